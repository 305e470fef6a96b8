// CRC32c (Castagnoli, reflected polynomial 0x82f63b78), the checksum of SCTP packets (RFC 9260, appendix A). The value
// goes into the packet in little-endian byte order, over a packet whose checksum field is zero.

const TABLE = new Uint32Array(256).map((_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** The CRC of a run of bytes. `previous` continues an earlier call. */
export function crc32c(bytes: Uint8Array, offset = 0, length = bytes.length - offset, previous = 0): number {
  let crc = ~previous;
  for (let i = offset; i < offset + length; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]!) & 0xff]!;
  return ~crc >>> 0;
}
