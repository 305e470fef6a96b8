// RSS the slow way, from Microsoft's definition: for every bit of the input that is set, the 32 bits of the key that begin
// there are added. And what of a frame is the input, by the packet classes that are enabled.

/** The Toeplitz hash, bit by bit. */
export function toeplitz(key: Uint8Array, input: Uint8Array): number {
  const bit = (bytes: Uint8Array, i: number): number => (bytes[i >> 3]! >> (7 - (i & 7))) & 1;
  let hash = 0;
  for (let i = 0; i < 8 * input.length; i++) {
    if (bit(input, i) === 0) continue;
    for (let j = 0; j < 32; j++) hash ^= bit(key, i + j) << (31 - j);
  }
  return hash >>> 0;
}

/** The hash of a frame, or null: not IP, or of a class that is not in `hena`. */
export function hashOf(key: Uint8Array, hena: bigint, frame: Uint8Array): number | null {
  let at = 12;
  const word = (i: number): number => (frame[i]! << 8) | frame[i + 1]!;
  for (let tags = 0; tags < 2 && (word(at) === 0x8100 || word(at) === 0x88a8); tags++) at += 4;
  const ipv6 = word(at) === 0x86dd;
  if (!ipv6 && word(at) !== 0x800) return null;
  const l3 = at + 2;
  if (frame.length < l3 + (ipv6 ? 40 : 20)) return null;
  const protocol = frame[l3 + (ipv6 ? 6 : 9)]!;
  const fragment = ipv6 ? protocol === 44 : (word(l3 + 6) & 0x3fff) !== 0;
  const classes = new Map([
    [17, ipv6 ? [39, 40, 41] : [29, 30, 31]],
    [6, ipv6 ? [43] : [33]],
    [132, ipv6 ? [44] : [34]],
  ]);
  const withPorts = fragment ? undefined : classes.get(protocol);
  const bits = withPorts ?? [(fragment ? 36 : 35) + (ipv6 ? 10 : 0)];
  if (!bits.some((bit) => (hena >> BigInt(bit)) & 1n)) return null;
  const addresses = ipv6 ? frame.subarray(l3 + 8, l3 + 40) : frame.subarray(l3 + 12, l3 + 20);
  const l4 = l3 + (ipv6 ? 40 : (frame[l3]! & 15) * 4);
  const hasPorts = withPorts !== undefined && l4 >= l3 + 20 && l4 + 4 <= frame.length;
  return toeplitz(key, Uint8Array.from([...addresses, ...(hasPorts ? frame.subarray(l4, l4 + 4) : [])]));
}
