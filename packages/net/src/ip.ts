// IPv4 (RFC 791) and IPv6 (RFC 8200) headers, ICMP (RFC 792) and ICMPv6 (RFC 4443).
import { checksum, finish, pseudoHeader6, sum } from "./checksum.ts";
import { HeaderView, tooShort } from "./view.ts";

export const IP_PROTOCOL = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58, SCTP: 132 } as const;
export const IPV4_SIZE = 20;
export const IPV6_SIZE = 40;
export const ICMP_SIZE = 8;
export const ICMP_TYPE = { ECHO_REPLY: 0, ECHO_REQUEST: 8, V6_ECHO_REQUEST: 128, V6_ECHO_REPLY: 129 } as const;

export class Ipv4 extends HeaderView {
  /** Version 4, five words, time to live 64; everything else 0. */
  init(): this {
    this.bytesAt(0, IPV4_SIZE).fill(0);
    this.put8(0, 0x45);
    this.put8(8, 64);
    return this;
  }
  get version(): number {
    return this.u8(0) >>> 4;
  }
  /** Bytes of the header, options included. */
  get headerLength(): number {
    return (this.u8(0) & 0xf) * 4;
  }
  get totalLength(): number {
    return this.u16(2);
  }
  set totalLength(bytes: number) {
    this.put16(2, bytes);
  }
  get id(): number {
    return this.u16(4);
  }
  set id(id: number) {
    this.put16(4, id);
  }
  get dontFragment(): boolean {
    return (this.u16(6) & 0x4000) !== 0;
  }
  /** A part of a fragmented packet: more fragments, or an offset. */
  get isFragment(): boolean {
    return (this.u16(6) & 0x3fff) !== 0;
  }
  get ttl(): number {
    return this.u8(8);
  }
  set ttl(ttl: number) {
    this.put8(8, ttl);
  }
  get protocol(): number {
    return this.u8(9);
  }
  set protocol(protocol: number) {
    this.put8(9, protocol);
  }
  get checksum(): number {
    return this.u16(10);
  }
  set checksum(value: number) {
    this.put16(10, value);
  }
  get source(): Uint8Array {
    return this.bytesAt(12, 4);
  }
  set source(ip: Uint8Array) {
    this.putBytes(12, ip);
  }
  get destination(): Uint8Array {
    return this.bytesAt(16, 4);
  }
  set destination(ip: Uint8Array) {
    this.putBytes(16, ip);
  }
  /** Computes and sets the header's checksum. */
  fixChecksum(): this {
    this.checksum = 0;
    this.checksum = checksum(this.bytesAt(0, this.headerLength));
    return this;
  }
  problem(): string | null {
    const short = tooShort("IPv4", IPV4_SIZE, this.available);
    if (short !== null) return short;
    if (this.version !== 4) return `IP version ${this.version}, not 4`;
    if (this.headerLength < IPV4_SIZE || this.headerLength > this.available)
      return `IPv4 header of ${this.headerLength} bytes`;
    if (this.totalLength < this.headerLength) return `IPv4 packet of ${this.totalLength} bytes`;
    return checksum(this.bytesAt(0, this.headerLength)) === 0 ? null : "wrong IPv4 header checksum";
  }
}

export class Ipv6 extends HeaderView {
  /** Version 6, hop limit 64; everything else 0. */
  init(): this {
    this.bytesAt(0, IPV6_SIZE).fill(0);
    this.put8(0, 0x60);
    this.put8(7, 64);
    return this;
  }
  get version(): number {
    return this.u8(0) >>> 4;
  }
  /** Bytes behind the fixed header. */
  get payloadLength(): number {
    return this.u16(4);
  }
  set payloadLength(bytes: number) {
    this.put16(4, bytes);
  }
  get nextHeader(): number {
    return this.u8(6);
  }
  set nextHeader(protocol: number) {
    this.put8(6, protocol);
  }
  get hopLimit(): number {
    return this.u8(7);
  }
  set hopLimit(limit: number) {
    this.put8(7, limit);
  }
  get source(): Uint8Array {
    return this.bytesAt(8, 16);
  }
  set source(ip: Uint8Array) {
    this.putBytes(8, ip);
  }
  get destination(): Uint8Array {
    return this.bytesAt(24, 16);
  }
  set destination(ip: Uint8Array) {
    this.putBytes(24, ip);
  }
  problem(): string | null {
    const short = tooShort("IPv6", IPV6_SIZE, this.available);
    if (short !== null) return short;
    return this.version === 6 ? null : `IP version ${this.version}, not 6`;
  }
}

/** ICMP and ICMPv6 echo messages have the same shape. */
export class Icmp extends HeaderView {
  get type(): number {
    return this.u8(0);
  }
  set type(type: number) {
    this.put8(0, type);
  }
  get code(): number {
    return this.u8(1);
  }
  set code(code: number) {
    this.put8(1, code);
  }
  get checksum(): number {
    return this.u16(2);
  }
  set checksum(value: number) {
    this.put16(2, value);
  }
  get id(): number {
    return this.u16(4);
  }
  set id(id: number) {
    this.put16(4, id);
  }
  get sequence(): number {
    return this.u16(6);
  }
  set sequence(sequence: number) {
    this.put16(6, sequence);
  }
  /** Sets the checksum of an ICMP message of `length` bytes, header included. */
  fixChecksum(length: number): this {
    this.checksum = 0;
    this.checksum = checksum(this.bytesAt(0, length));
    return this;
  }
  /** The same for ICMPv6, which covers the addresses too. */
  fixChecksum6(length: number, source: Uint8Array, destination: Uint8Array): this {
    this.checksum = 0;
    const pseudo = pseudoHeader6(source, destination, IP_PROTOCOL.ICMPV6, length);
    this.checksum = finish(sum(this.bytesAt(0, length), 0, length, pseudo));
    return this;
  }
  problem(): string | null {
    return tooShort("ICMP", ICMP_SIZE, this.available);
  }
}
