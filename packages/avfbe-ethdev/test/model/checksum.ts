// Checksums the slow way, from the RFCs: one's complement sums over big-endian words (RFC 1071) and bitwise CRCs. What the
// kernels compute is compared with these.

/** The Internet checksum over the given pieces, each but the last of even length. */
export function internetChecksum(...pieces: Uint8Array[]): number {
  let sum = 0;
  for (const piece of pieces) for (let i = 0; i < piece.length; i += 2) sum += (piece[i]! << 8) | (piece[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** A reflected CRC-32 by its polynomial, bit by bit. */
export function crc(bytes: Uint8Array, polynomial: number): number {
  let value = 0xffffffff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
  }
  return ~value >>> 0;
}

export interface Headers {
  l3: number;
  l4: number;
  ipv6: boolean;
  protocol: "tcp" | "udp" | "sctp";
}

/** The pseudo-header of an L4 packet; `length` 0 is what a stack leaves out for TSO. */
export function pseudoHeader(frame: Uint8Array, { l3, ipv6, protocol }: Headers, length: number): Uint8Array {
  const number = { tcp: 6, udp: 17, sctp: 132 }[protocol];
  const addresses = ipv6 ? frame.subarray(l3 + 8, l3 + 40) : frame.subarray(l3 + 12, l3 + 20);
  return Uint8Array.from([
    ...addresses,
    length >>> 24,
    (length >>> 16) & 255,
    (length >>> 8) & 255,
    length & 255,
    0,
    0,
    0,
    number,
  ]);
}

const FIELD = { tcp: 16, udp: 6, sctp: 8 } as const;

/** Makes the L4 checksum right, computed from nothing; `end` is where the L4 packet ends. */
export function finishL4(frame: Uint8Array, headers: Headers, end: number): void {
  const { l4, protocol } = headers;
  const view = new DataView(frame.buffer, frame.byteOffset);
  const field = l4 + FIELD[protocol];
  const bytes = frame.subarray(l4, end);
  if (protocol === "sctp") {
    view.setUint32(field, 0);
    view.setUint32(field, crc(bytes, 0x82f63b78), true);
    return;
  }
  view.setUint16(field, 0);
  const sum = internetChecksum(pseudoHeader(frame, headers, end - l4), bytes);
  view.setUint16(field, protocol === "udp" && sum === 0 ? 0xffff : sum);
}

/** Makes the checksum of an IPv4 header right. */
export function finishIpv4(frame: Uint8Array, l3: number, l4: number): void {
  const view = new DataView(frame.buffer, frame.byteOffset);
  view.setUint16(l3 + 10, 0);
  view.setUint16(l3 + 10, internetChecksum(frame.subarray(l3, l4)));
}

/** What a stack leaves in the L4 checksum field for the hardware: the folded sum of the pseudo-header. */
export function seedL4(frame: Uint8Array, headers: Headers, length: number): void {
  const view = new DataView(frame.buffer, frame.byteOffset);
  const field = headers.l4 + FIELD[headers.protocol];
  if (headers.protocol === "sctp") view.setUint32(field, 0xdeadbeef);
  else view.setUint16(field, ~internetChecksum(pseudoHeader(frame, headers, length)) & 0xffff);
}
