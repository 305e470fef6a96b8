// Transmit offloads on a packet in one piece: checksums by the header lengths that the guest's descriptor gives (checked
// against the packet), and VLAN insertion. The L4 field holds what the guest's stack left there, the sum of the pseudo-header,
// as with the hardware: the sum is completed, not made anew.
import { RX_IP_CKSUM_GOOD, RX_L4_CKSUM_GOOD } from "../../shm/src/layout/mbuf";
import {
  TX_CMD_IIPT_IPV4,
  TX_CMD_IIPT_IPV4_CSUM,
  TX_CMD_IIPT_IPV6,
  TX_CMD_IIPT_MASK,
  TX_CMD_L4T_MASK,
  TX_CMD_L4T_SCTP,
  TX_CMD_L4T_TCP,
  TX_CMD_L4T_UDP,
  TX_IPLEN_MASK,
  TX_IPLEN_SHIFT,
  TX_L4LEN_MASK,
  TX_L4LEN_SHIFT,
  TX_MACLEN_MASK,
} from "../../avf/src/layout/tx-desc";
import { complement, crc32, sumWords, swap16 } from "./checksum";

/** Answer of checkHeaders and finishChecksums: the descriptor and the packet disagree. */
export const OFFLOAD_BAD: u32 = 0xffffffff;

// @ts-ignore: decorator
@inline
export function macLen(offsets: u32): u32 {
  return (offsets & TX_MACLEN_MASK) << 1;
}

// @ts-ignore: decorator
@inline
export function ipLen(offsets: u32): u32 {
  return ((offsets >>> TX_IPLEN_SHIFT) & TX_IPLEN_MASK) << 2;
}

// @ts-ignore: decorator
@inline
export function l4Len(offsets: u32): u32 {
  return ((offsets >>> TX_L4LEN_SHIFT) & TX_L4LEN_MASK) << 2;
}

/** Whether the headers named by command and offsets are there: version, header length, room for each. */
export function headersFit(p: u32, bytes: u32, cmd: u32, offsets: u32): bool {
  const l3 = macLen(offsets);
  const iplen = ipLen(offsets);
  const l4len = l4Len(offsets);
  if (l3 < 14 || l3 + iplen > bytes) return false;
  const iipt = cmd & TX_CMD_IIPT_MASK;
  if (iipt == TX_CMD_IIPT_IPV6) {
    if (iplen < 40 || load<u8>(p + l3) >>> 4 != 6) return false;
  } else if (iipt != 0) {
    if (iplen < 20 || load<u8>(p + l3) >>> 4 != 4 || <u32>(load<u8>(p + l3) & 15) << 2 != iplen) return false;
  }
  const l4t = cmd & TX_CMD_L4T_MASK;
  if (l4t == 0) return true;
  if (iipt == 0 || l3 + iplen + l4len > bytes) return false;
  if (l4t == TX_CMD_L4T_TCP) return l4len >= 20;
  if (l4t == TX_CMD_L4T_UDP) return l4len == 8;
  return l4len == 12;
}

/** Bytes from the L4 header to the end of the IP packet, or 0 when the IP header's length does not fit the frame. */
function l4Bytes(p: u32, bytes: u32, l3: u32, iplen: u32, ipv6: bool): u32 {
  const inFrame = bytes - l3 - iplen;
  if (!ipv6) {
    const total = <u32>swap16(load<u16>(p + l3, 2));
    return total >= iplen && total - iplen <= inFrame ? total - iplen : 0;
  }
  const payload = <u32>swap16(load<u16>(p + l3, 4)) + 40;
  return payload >= iplen && payload - iplen <= inFrame ? payload - iplen : 0;
}

/**
 * Finishes the checksums that a data descriptor asks for.
 * Returns the receive flags that are true of the packet now, or OFFLOAD_BAD.
 */
export function finishChecksums(p: u32, bytes: u32, cmd: u32, offsets: u32, crcTable: u32): u32 {
  if (!headersFit(p, bytes, cmd, offsets)) return OFFLOAD_BAD;
  const iipt = cmd & TX_CMD_IIPT_MASK;
  const l3 = macLen(offsets);
  const iplen = ipLen(offsets);
  let flags: u32 = 0;
  if (iipt == TX_CMD_IIPT_IPV4_CSUM) {
    finishIpv4(p + l3, iplen);
    flags = RX_IP_CKSUM_GOOD;
  } else if (iipt == TX_CMD_IIPT_IPV4 && sumWords(p + l3, iplen, 0) == 0xffff) flags = RX_IP_CKSUM_GOOD;
  const l4t = cmd & TX_CMD_L4T_MASK;
  if (l4t == 0) return flags;
  const l4bytes = l4Bytes(p, bytes, l3, iplen, iipt == TX_CMD_IIPT_IPV6);
  if (l4bytes < l4Len(offsets)) return OFFLOAD_BAD;
  const l4 = p + l3 + iplen;
  if (l4t == TX_CMD_L4T_SCTP) {
    store<u32>(l4, 0, 8);
    store<u32>(l4, ~crc32(crcTable, 0xffffffff, l4, l4bytes), 8);
  } else {
    finishL4(l4, l4bytes, l4t == TX_CMD_L4T_UDP);
  }
  return flags | RX_L4_CKSUM_GOOD;
}

/** Writes the checksum of an IPv4 header. */
export function finishIpv4(l3: u32, iplen: u32): void {
  store<u16>(l3, 0, 10);
  store<u16>(l3, complement(sumWords(l3, iplen, 0)), 10);
}

/** Completes the sum that the checksum field holds by the L4 packet's bytes. */
export function finishL4(l4: u32, l4bytes: u32, udp: bool): void {
  const sum = complement(sumWords(l4, l4bytes, 0)); // the field's own value is among the bytes
  if (udp) store<u16>(l4, sum == 0 ? 0xffff : sum, 6);
  else store<u16>(l4, sum, 16);
}

/** Inserts an 802.1Q tag behind the MAC addresses; the four bytes before the packet must be free. Returns its new start. */
export function insertTag(p: u32, tci: u32): u32 {
  const start = p - 4;
  const low = load<u64>(p);
  const high = load<u32>(p, 8);
  store<u64>(start, low);
  store<u32>(start, high, 8);
  store<u16>(start, 0x0081, 12);
  store<u16>(start, swap16(tci), 14);
  return start;
}
