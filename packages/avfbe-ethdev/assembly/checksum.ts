// Internet checksums and CRCs over contiguous bytes in the arena. Sums are over 16-bit words as they lie in memory, which a
// one's complement sum allows; the result is stored the same way.

/** Adds up 16-bit words; an odd last byte counts as the first of a word. At most 256 KiB. */
export function sumWords(at: u32, bytes: u32, sum: u32): u32 {
  let lanes = i32x4(0, 0, 0, 0);
  const end = at + (bytes & ~15);
  for (; at < end; at += 16) lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
  let total = <u64>sum;
  total += <u64>(<u32>i32x4.extract_lane(lanes, 0)) + <u64>(<u32>i32x4.extract_lane(lanes, 1));
  total += <u64>(<u32>i32x4.extract_lane(lanes, 2)) + <u64>(<u32>i32x4.extract_lane(lanes, 3));
  const rest = bytes & 15;
  const stop = at + (rest & ~1);
  for (; at < stop; at += 2) total += load<u16>(at);
  if (rest & 1) total += load<u8>(at);
  return fold(total);
}

// @ts-ignore: decorator
@inline
function fold(sum: u64): u32 {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  return <u32>((sum & 0xffff) + (sum >> 16));
}

/** The checksum field for a sum: its complement. */
// @ts-ignore: decorator
@inline
export function complement(sum: u32): u16 {
  return <u16>~sum;
}

/** Continues a reflected CRC-32 by bytes; `table` is u32[256] of its polynomial. Start and end are complemented by callers. */
export function crc32(table: u32, crc: u32, at: u32, bytes: u32): u32 {
  for (const end = at + bytes; at < end; at++) crc = load<u32>(table + (((crc ^ load<u8>(at)) & 0xff) << 2)) ^ (crc >>> 8);
  return crc;
}

// @ts-ignore: decorator
@inline
export function swap16(value: u32): u16 {
  return bswap<u16>(<u16>value);
}
