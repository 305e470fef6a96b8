// Internet checksums and CRCs over contiguous bytes in the arena. Sums are over 16-bit words as they lie in memory, which a
// one's complement sum allows; the result is stored the same way. They are exact, not folded, so that sums of parts can be
// added and subtracted: a packet is summed while it is copied, its headers are taken out again.

// i32x4.dot_i16x8_s adds up two words in one instruction, but signed ones: words are moved by 0x8000 before and the eight
// of a block set right at the end. Faster than widening adds and than 64-bit scalars, see bench/src/micro/header.ts.
const BLOCK_BIAS_SHIFT: u32 = 14; // 8 words of 0x8000 in 16 bytes

/** Eight words added up in pairs, less a bias: 1 << 18 for the block, 16 bytes << BLOCK_BIAS_SHIFT. */
// @ts-ignore: decorator
@inline
export function words8(v: v128): v128 {
  return i32x4.dot_i16x8_s(v128.xor(v, i16x8.splat(<i16>0x8000)), i16x8.splat(1));
}

/** The four lanes of such sums together. */
// @ts-ignore: decorator
@inline
export function lanesSum(lanes: v128): u32 {
  const folded = i32x4.add(lanes, i8x16.shuffle(lanes, lanes, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  return i32x4.extract_lane(folded, 0) + i32x4.extract_lane(folded, 1);
}

/** The exact sum of 16-bit words; an odd last byte counts as the first of a word. At most 128 KiB, so that it fits. */
export function wordSum(at: u32, bytes: u32): u32 {
  const whole = bytes & ~15;
  const end = at + whole;
  let a = i32x4(0, 0, 0, 0);
  let b = a;
  for (const stop = at + (bytes & ~63); at < stop; at += 64) {
    a = i32x4.add(a, i32x4.add(words8(v128.load(at)), words8(v128.load(at, 16))));
    b = i32x4.add(b, i32x4.add(words8(v128.load(at, 32)), words8(v128.load(at, 48))));
  }
  for (; at < end; at += 16) a = i32x4.add(a, words8(v128.load(at)));
  let sum = lanesSum(i32x4.add(a, b)) + (whole << BLOCK_BIAS_SHIFT);
  if (bytes & 8) {
    sum += wordsOf(load<u64>(at));
    at += 8;
  }
  if (bytes & 4) {
    const two = load<u32>(at);
    sum += (two & 0xffff) + (two >>> 16);
    at += 4;
  }
  if (bytes & 2) {
    sum += <u32>load<u16>(at);
    at += 2;
  }
  return bytes & 1 ? sum + <u32>load<u8>(at) : sum;
}

/**
 * Copies `bytes` between ranges that do not overlap, and sums them up as wordSum does.
 * @param odd 1 = the bytes begin at an odd offset of what is summed: the first is the second of a word
 */
export function copySum(to: u32, from: u32, bytes: u32, odd: u32): u32 {
  let sum: u32 = 0;
  if (odd && bytes) {
    const first = load<u8>(from++);
    store<u8>(to++, first);
    sum = <u32>first << 8;
    bytes--;
  }
  const whole = bytes & ~15;
  const end = from + whole;
  let a = i32x4(0, 0, 0, 0);
  let b = a;
  for (const stop = from + (bytes & ~63); from < stop; from += 64, to += 64) {
    const v = v128.load(from);
    const w = v128.load(from, 16);
    const x = v128.load(from, 32);
    const y = v128.load(from, 48);
    v128.store(to, v);
    v128.store(to, w, 16);
    v128.store(to, x, 32);
    v128.store(to, y, 48);
    a = i32x4.add(a, i32x4.add(words8(v), words8(w)));
    b = i32x4.add(b, i32x4.add(words8(x), words8(y)));
  }
  for (; from < end; from += 16, to += 16) {
    const v = v128.load(from);
    v128.store(to, v);
    a = i32x4.add(a, words8(v));
  }
  sum += lanesSum(i32x4.add(a, b)) + (whole << BLOCK_BIAS_SHIFT);
  if (bytes & 8) {
    const four = load<u64>(from);
    store<u64>(to, four);
    sum += wordsOf(four);
    from += 8;
    to += 8;
  }
  if (bytes & 4) {
    const two = load<u32>(from);
    store<u32>(to, two);
    sum += (two & 0xffff) + (two >>> 16);
    from += 4;
    to += 4;
  }
  if (bytes & 2) {
    const one = load<u16>(from);
    store<u16>(to, one);
    sum += <u32>one;
    from += 2;
    to += 2;
  }
  if (bytes & 1) {
    const last = load<u8>(from);
    store<u8>(to, last);
    sum += <u32>last;
  }
  return sum;
}

// @ts-ignore: decorator
@inline
function wordsOf(four: u64): u32 {
  const pairs = (four & 0x0000_ffff_0000_ffff) + ((four >> 16) & 0x0000_ffff_0000_ffff);
  return <u32>pairs + <u32>(pairs >> 32);
}

/** A sum as 16 bits; 0 only of a sum that is 0. */
// @ts-ignore: decorator
@inline
export function fold(sum: u32): u32 {
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/** The checksum field for a sum: the complement of it in 16 bits. */
// @ts-ignore: decorator
@inline
export function complement(sum: u32): u16 {
  return <u16>~fold(sum);
}

/**
 * Continues a reflected CRC-32 by bytes. Start and end are complemented by callers.
 * @param tables u32[16][256]: table k is the CRC of a byte with k zero bytes behind it (control/crc-tables.ts)
 */
export function crc32(tables: u32, crc: u32, at: u32, bytes: u32): u32 {
  const end = at + bytes;
  for (const stop = at + (bytes & ~15); at < stop; at += 16) {
    // What does not depend on the CRC so far is looked up meanwhile.
    const rest = crcWord(tables + 8192, load<u32>(at, 4)) ^ crcWord(tables + 4096, load<u32>(at, 8));
    crc = crcWord(tables + 12288, load<u32>(at) ^ crc) ^ rest ^ crcWord(tables, load<u32>(at, 12));
  }
  for (; at < end; at++) crc = load<u32>(tables + (((crc ^ load<u8>(at)) & 0xff) << 2)) ^ (crc >>> 8);
  return crc;
}

// Four bytes by four tables, the last byte by the first of them.
// @ts-ignore: decorator
@inline
function crcWord(tables: u32, word: u32): u32 {
  return (
    load<u32>(tables + ((word & 0xff) << 2), 3072) ^
    load<u32>(tables + (((word >>> 8) & 0xff) << 2), 2048) ^
    load<u32>(tables + (((word >>> 16) & 0xff) << 2), 1024) ^
    load<u32>(tables + ((word >>> 24) << 2))
  );
}

// @ts-ignore: decorator
@inline
export function swap16(value: u32): u16 {
  return bswap<u16>(<u16>value);
}
