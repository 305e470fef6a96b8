// The first bytes of the packets that txonly makes: Ethernet, IPv4 and UDP headers as DPDK's testpmd sends them (RFC 2544's
// test addresses, UDP port 9). Written into a stream's record by forwarding.ts.
import { ETHER_TYPE, IP_PROTOCOL, IPV4_SIZE, inet } from "@emudev/net";

export const HEAD_BYTES = 14 + 20 + 8;
const SOURCE_IP = [198, 18, 0, 1] as const; // RFC 2544 appendix C.2.2
const TARGET_IP = [198, 18, 0, 2] as const;
const UDP_PORT = 9; // discard
const TTL = 64;

/**
 * Lays the headers out.
 * @param length bytes of the whole packet, from HEAD_BYTES to 65,535 + 14
 */
export function makeHead(target: Uint8Array, source: Uint8Array, length: number): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  const view = new DataView(head.buffer);
  head.set(target, 0);
  head.set(source, 6);
  view.setUint16(12, ETHER_TYPE.IPV4);
  view.setUint8(14, 0x45);
  view.setUint16(16, length - 14);
  view.setUint8(22, TTL);
  view.setUint8(23, IP_PROTOCOL.UDP);
  head.set(SOURCE_IP, 26);
  head.set(TARGET_IP, 30);
  view.setUint16(24, inet.checksum(head, 14, IPV4_SIZE));
  view.setUint16(34, UDP_PORT);
  view.setUint16(36, UDP_PORT);
  view.setUint16(38, length - 34); // its checksum stays 0: none
  return head;
}
