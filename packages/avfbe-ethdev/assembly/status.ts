// What a written back descriptor says of a frame: destination, checksums, and the packet type of the AVF's legacy table as
// far as it is cheap to tell (no extension headers, no tunnels, no second look behind a tag).
import { MBUF_OL_RX, RX_L4_CKSUM_GOOD } from "../../shm/src/layout/mbuf";
import {
  RX_PTYPE_ARP,
  RX_PTYPE_IPV4,
  RX_PTYPE_IPV4_FRAG,
  RX_PTYPE_IPV4_ICMP,
  RX_PTYPE_IPV4_SCTP,
  RX_PTYPE_IPV4_TCP,
  RX_PTYPE_IPV4_UDP,
  RX_PTYPE_IPV6,
  RX_PTYPE_IPV6_FRAG,
  RX_PTYPE_IPV6_ICMP,
  RX_PTYPE_IPV6_SCTP,
  RX_PTYPE_IPV6_TCP,
  RX_PTYPE_IPV6_UDP,
  RX_PTYPE_L2,
  RX_STATUS_L3L4P,
  RX_STATUS_UMBCAST_SHIFT,
} from "../../avf/src/layout/rx-desc";
import { MAC_MASK } from "./count";

const ETHERTYPE_ARP: u32 = 0x0608; // as it lies in memory
const ETHERTYPE_IPV4: u32 = 0x0008;
const ETHERTYPE_IPV6: u32 = 0xdd86;
const IP_MORE_OR_OFFSET: u32 = 0xff3f;

/** Status bits of the second word for a packet's destination: unicast, multicast or broadcast. */
// @ts-ignore: decorator
@inline
export function castBits(address: u64): u32 {
  if (!(address & 1)) return 0;
  return (address == MAC_MASK ? 2 : 1) << RX_STATUS_UMBCAST_SHIFT;
}

/** L3L4P when who made the packet vouches for its checksums. */
// @ts-ignore: decorator
@inline
export function checkedBits(mbuf: u32): u32 {
  return load<u32>(mbuf, MBUF_OL_RX) & RX_L4_CKSUM_GOOD ? RX_STATUS_L3L4P : 0;
}

/** @param type the EtherType as it lies in memory; @param l3 what follows it, `bytes` of it */
// @ts-ignore: decorator
@inline
export function packetType(type: u32, l3: u32, bytes: u32): u32 {
  if (type == ETHERTYPE_IPV4 && bytes >= 20) return ipv4Type(l3);
  if (type == ETHERTYPE_IPV6 && bytes >= 40) return ipv6Type(l3);
  return type == ETHERTYPE_ARP ? RX_PTYPE_ARP : RX_PTYPE_L2;
}

// @ts-ignore: decorator
@inline
function ipv4Type(l3: u32): u32 {
  if (<u32>load<u16>(l3, 6) & IP_MORE_OR_OFFSET) return RX_PTYPE_IPV4_FRAG;
  switch (<u32>load<u8>(l3, 9)) {
    case 6:
      return RX_PTYPE_IPV4_TCP;
    case 17:
      return RX_PTYPE_IPV4_UDP;
    case 1:
      return RX_PTYPE_IPV4_ICMP;
    case 132:
      return RX_PTYPE_IPV4_SCTP;
    default:
      return RX_PTYPE_IPV4;
  }
}

// @ts-ignore: decorator
@inline
function ipv6Type(l3: u32): u32 {
  switch (<u32>load<u8>(l3, 6)) {
    case 6:
      return RX_PTYPE_IPV6_TCP;
    case 17:
      return RX_PTYPE_IPV6_UDP;
    case 58:
      return RX_PTYPE_IPV6_ICMP;
    case 132:
      return RX_PTYPE_IPV6_SCTP;
    case 44:
      return RX_PTYPE_IPV6_FRAG;
    default:
      return RX_PTYPE_IPV6;
  }
}
