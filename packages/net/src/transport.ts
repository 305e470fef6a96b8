// UDP (RFC 768), TCP (RFC 9293) and SCTP (RFC 9260) headers, and the checksum of the first two over either IP version.
import { finish, pseudoHeader4, pseudoHeader6, sum } from "./checksum.ts";
import { IP_PROTOCOL } from "./ip.ts";
import { HeaderView, tooShort } from "./view.ts";

export const UDP_SIZE = 8;
export const TCP_SIZE = 20;
export const SCTP_SIZE = 12;
export const TCP_FLAG = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32, ECE: 64, CWR: 128 } as const;

/** Both ports lie at the same place in all three. */
abstract class PortsView extends HeaderView {
  get sourcePort(): number {
    return this.u16(0);
  }
  set sourcePort(port: number) {
    this.put16(0, port);
  }
  get destinationPort(): number {
    return this.u16(2);
  }
  set destinationPort(port: number) {
    this.put16(2, port);
  }
}

export class Udp extends PortsView {
  /** Header and data. */
  get length(): number {
    return this.u16(4);
  }
  set length(bytes: number) {
    this.put16(4, bytes);
  }
  get checksum(): number {
    return this.u16(6);
  }
  set checksum(value: number) {
    this.put16(6, value);
  }
  problem(): string | null {
    const short = tooShort("UDP", UDP_SIZE, this.available);
    if (short !== null) return short;
    return this.length >= UDP_SIZE ? null : `UDP datagram of ${this.length} bytes`;
  }
}

export class Tcp extends PortsView {
  get sequence(): number {
    return this.u32(4);
  }
  set sequence(sequence: number) {
    this.put32(4, sequence >>> 0);
  }
  get acknowledgment(): number {
    return this.u32(8);
  }
  set acknowledgment(number: number) {
    this.put32(8, number >>> 0);
  }
  /** Bytes of the header, options included. */
  get headerLength(): number {
    return (this.u8(12) >>> 4) * 4;
  }
  set headerLength(bytes: number) {
    this.put8(12, (bytes / 4) << 4);
  }
  get flags(): number {
    return this.u8(13);
  }
  set flags(flags: number) {
    this.put8(13, flags);
  }
  get window(): number {
    return this.u16(14);
  }
  set window(window: number) {
    this.put16(14, window);
  }
  get checksum(): number {
    return this.u16(16);
  }
  set checksum(value: number) {
    this.put16(16, value);
  }
  problem(): string | null {
    const short = tooShort("TCP", TCP_SIZE, this.available);
    if (short !== null) return short;
    return this.headerLength >= TCP_SIZE && this.headerLength <= this.available
      ? null
      : `TCP header of ${this.headerLength} bytes`;
  }
}

export class Sctp extends PortsView {
  get verificationTag(): number {
    return this.u32(4);
  }
  set verificationTag(tag: number) {
    this.put32(4, tag >>> 0);
  }
  /** CRC32c, kept in little-endian order (RFC 9260, appendix A). */
  get checksum(): number {
    return this.view.getUint32(this.base + 8, true);
  }
  set checksum(crc: number) {
    this.view.setUint32(this.base + 8, crc, true);
  }
  problem(): string | null {
    return tooShort("SCTP", SCTP_SIZE, this.available);
  }
}

/**
 * The checksum of a UDP or TCP segment, whose own field must hold 0; over one that holds a correct checksum it is 0.
 * UDP's 0 means "none", so a computed 0 is sent as 0xffff.
 * @param source address of 4 or 16 bytes, which decides the IP version; @param segment header and data
 */
export function transportChecksum(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  segment: Uint8Array,
): number {
  const pseudo = source.length === 4 ? pseudoHeader4 : pseudoHeader6;
  return finish(sum(segment, 0, segment.length, pseudo(source, destination, protocol, segment.length)));
}

/** As transportChecksum, for the field of a UDP datagram. */
export const udpChecksum = (source: Uint8Array, destination: Uint8Array, segment: Uint8Array): number =>
  transportChecksum(source, destination, IP_PROTOCOL.UDP, segment) || 0xffff;
