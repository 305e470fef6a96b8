// The internet checksum (RFC 1071): the complement of the ones' complement sum of 16-bit words in network order.
// Partial sums are plain numbers and may be added in any order as long as each part starts at an even offset. Updating
// after a field changed follows RFC 1624, equation 3. Used by tests, tools and control code; lcores have kernels.

/** Sum of `length` bytes, an odd last byte counted as a high one. Folded only when finished. */
export function sum(bytes: Uint8Array, offset = 0, length = bytes.length - offset, initial = 0): number {
  let total = initial;
  const end = offset + (length & ~1);
  for (let i = offset; i < end; i += 2) total += (bytes[i]! << 8) | bytes[i + 1]!;
  if (length & 1) total += bytes[end]! << 8;
  return total;
}

/** The 16-bit checksum of a sum. */
export function finish(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}

/** The checksum of a run of bytes; 0 for a run that holds its own correct checksum. */
export const checksum = (bytes: Uint8Array, offset = 0, length = bytes.length - offset): number =>
  finish(sum(bytes, offset, length));

/** RFC 1624: the checksum after a 16-bit word that it covers changed from `before` to `after`. */
export function update(check: number, before: number, after: number): number {
  return finish((~check & 0xffff) + (~before & 0xffff) + after);
}

/** Sum of the IPv4 pseudo-header: addresses of 4 bytes, protocol, length of the layer 4 header and data. */
export function pseudoHeader4(source: Uint8Array, destination: Uint8Array, protocol: number, length: number): number {
  return sum(source) + sum(destination) + protocol + length;
}

/** Sum of the IPv6 pseudo-header (RFC 8200, section 8.1): addresses of 16 bytes. */
export function pseudoHeader6(source: Uint8Array, destination: Uint8Array, protocol: number, length: number): number {
  return sum(source) + sum(destination) + protocol + (length >>> 16) + (length & 0xffff);
}
