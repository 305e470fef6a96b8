// What a received packet is: the packet_type that each hardware packet type of the legacy table stands for. Written once
// into the arena, where the receive kernel looks it up. Types that the table does not name are plain Ethernet.
import * as D from "@emudev/avf";
import * as P from "@emudev/shm";

export const PTYPE_TABLE_ENTRIES = 256;

const IPV4 = P.PTYPE_L2_ETHER | P.PTYPE_L3_IPV4;
const IPV6 = P.PTYPE_L2_ETHER | P.PTYPE_L3_IPV6;

const NAMED: readonly (readonly [ptype: number, packetType: number])[] = [
  [D.RX_PTYPE_ARP, P.PTYPE_L2_ETHER_ARP],
  [D.RX_PTYPE_IPV4_FRAG, IPV4 | P.PTYPE_L4_FRAG],
  [D.RX_PTYPE_IPV4, IPV4 | P.PTYPE_L4_NONFRAG],
  [D.RX_PTYPE_IPV4_UDP, IPV4 | P.PTYPE_L4_UDP],
  [D.RX_PTYPE_IPV4_TCP, IPV4 | P.PTYPE_L4_TCP],
  [D.RX_PTYPE_IPV4_SCTP, IPV4 | P.PTYPE_L4_SCTP],
  [D.RX_PTYPE_IPV4_ICMP, IPV4 | P.PTYPE_L4_ICMP],
  [D.RX_PTYPE_IPV6_FRAG, IPV6 | P.PTYPE_L4_FRAG],
  [D.RX_PTYPE_IPV6, IPV6 | P.PTYPE_L4_NONFRAG],
  [D.RX_PTYPE_IPV6_UDP, IPV6 | P.PTYPE_L4_UDP],
  [D.RX_PTYPE_IPV6_TCP, IPV6 | P.PTYPE_L4_TCP],
  [D.RX_PTYPE_IPV6_SCTP, IPV6 | P.PTYPE_L4_SCTP],
  [D.RX_PTYPE_IPV6_ICMP, IPV6 | P.PTYPE_L4_ICMP],
];

/** packet_type by hardware packet type. */
export function ptypeTable(): Uint32Array {
  const table = new Uint32Array(PTYPE_TABLE_ENTRIES).fill(P.PTYPE_L2_ETHER);
  table[D.RX_PTYPE_UNKNOWN] = 0;
  for (const [ptype, packetType] of NAMED) table[ptype] = packetType;
  return table;
}
