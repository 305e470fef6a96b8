// Ethernet II (IEEE 802.3), the 802.1Q tag and ARP (RFC 826) for IPv4 over Ethernet.
import { HeaderView, tooShort } from "./view.ts";

export const ETHER_TYPE = { IPV4: 0x0800, ARP: 0x0806, VLAN: 0x8100, IPV6: 0x86dd, QINQ: 0x88a8 } as const;
export const ETHER_SIZE = 14;
export const VLAN_SIZE = 4;
export const ARP_SIZE = 28;
export const ETHER_MIN_BYTES = 60; // without CRC

export class Ethernet extends HeaderView {
  get destination(): Uint8Array {
    return this.bytesAt(0, 6);
  }
  set destination(mac: Uint8Array) {
    this.putBytes(0, mac);
  }
  get source(): Uint8Array {
    return this.bytesAt(6, 6);
  }
  set source(mac: Uint8Array) {
    this.putBytes(6, mac);
  }
  get type(): number {
    return this.u16(12);
  }
  set type(type: number) {
    this.put16(12, type);
  }
  get isMulticast(): boolean {
    return (this.u8(0) & 1) === 1;
  }
  get isBroadcast(): boolean {
    return this.u32(0) === 0xffffffff && this.u16(4) === 0xffff;
  }
  problem(): string | null {
    return tooShort("Ethernet", ETHER_SIZE, this.available);
  }
}

/** The four bytes behind the addresses of a tagged frame: tag control, then the type of what follows. */
export class Vlan extends HeaderView {
  get tci(): number {
    return this.u16(0);
  }
  set tci(tci: number) {
    this.put16(0, tci);
  }
  get id(): number {
    return this.tci & 0xfff;
  }
  get priority(): number {
    return this.tci >>> 13;
  }
  get type(): number {
    return this.u16(2);
  }
  set type(type: number) {
    this.put16(2, type);
  }
  problem(): string | null {
    return tooShort("802.1Q", VLAN_SIZE, this.available);
  }
}

/** The layer 3 type of a frame and where its header starts, behind at most two tags. */
export function layer3(frame: Uint8Array): { type: number; offset: number } | null {
  let offset = ETHER_SIZE;
  if (frame.length < offset) return null;
  let type = (frame[12]! << 8) | frame[13]!;
  for (let tags = 0; tags < 2 && (type === ETHER_TYPE.VLAN || type === ETHER_TYPE.QINQ); tags++) {
    if (frame.length < offset + VLAN_SIZE) return null;
    type = (frame[offset + 2]! << 8) | frame[offset + 3]!;
    offset += VLAN_SIZE;
  }
  return { type, offset };
}

export const ARP_OP = { REQUEST: 1, REPLY: 2 } as const;

export class Arp extends HeaderView {
  /** Sets the fields that are the same in every ARP for IPv4 over Ethernet. */
  init(op: number): this {
    this.put16(0, 1);
    this.put16(2, ETHER_TYPE.IPV4);
    this.put8(4, 6);
    this.put8(5, 4);
    this.put16(6, op);
    return this;
  }
  get op(): number {
    return this.u16(6);
  }
  set op(op: number) {
    this.put16(6, op);
  }
  get senderMac(): Uint8Array {
    return this.bytesAt(8, 6);
  }
  set senderMac(mac: Uint8Array) {
    this.putBytes(8, mac);
  }
  get senderIp(): Uint8Array {
    return this.bytesAt(14, 4);
  }
  set senderIp(ip: Uint8Array) {
    this.putBytes(14, ip);
  }
  get targetMac(): Uint8Array {
    return this.bytesAt(18, 6);
  }
  set targetMac(mac: Uint8Array) {
    this.putBytes(18, mac);
  }
  get targetIp(): Uint8Array {
    return this.bytesAt(24, 4);
  }
  set targetIp(ip: Uint8Array) {
    this.putBytes(24, ip);
  }
  problem(): string | null {
    const short = tooShort("ARP", ARP_SIZE, this.available);
    if (short !== null) return short;
    if (this.u16(0) !== 1 || this.u16(2) !== ETHER_TYPE.IPV4 || this.u8(4) !== 6 || this.u8(5) !== 4)
      return "ARP for other than IPv4 over Ethernet";
    return null;
  }
}
