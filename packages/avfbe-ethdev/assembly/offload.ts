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
import { complement, crc32, fold, swap16, wordSum } from "./checksum";

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
 * @param sum of the whole packet (wordSum), where needsSum() says so
 */
export function finishChecksums(p: u32, bytes: u32, sum: u32, cmd: u32, offsets: u32, crcTables: u32): u32 {
  if (!headersFit(p, bytes, cmd, offsets)) return OFFLOAD_BAD;
  const iipt = cmd & TX_CMD_IIPT_MASK;
  const l4t = cmd & TX_CMD_L4T_MASK;
  const l3 = macLen(offsets);
  const iplen = ipLen(offsets);
  const l4 = l3 + iplen;
  const l4bytes = l4t ? l4Bytes(p, bytes, l3, iplen, iipt == TX_CMD_IIPT_IPV6) : 0;
  if (l4t && l4bytes < l4Len(offsets)) return OFFLOAD_BAD;
  const ipSum = wordSum(p + l3, iplen);
  let flags: u32 = 0;
  if (iipt == TX_CMD_IIPT_IPV4_CSUM) {
    const field = <u32>load<u16>(p + l3, 10);
    store<u16>(p + l3, complement(ipSum - field), 10);
    flags = RX_IP_CKSUM_GOOD;
  } else if (iipt == TX_CMD_IIPT_IPV4 && fold(ipSum) == 0xffff) flags = RX_IP_CKSUM_GOOD;
  if (l4t == 0) return flags;
  if (l4t == TX_CMD_L4T_SCTP) {
    store<u32>(p + l4, 0, 8);
    store<u32>(p + l4, ~crc32(crcTables, 0xffffffff, p + l4, l4bytes), 8);
  } else {
    // Headers above and padding below are taken out of the sum of all; the checksum field's own value stays in.
    sum -= wordSum(p, l3) + ipSum;
    const end = l4 + l4bytes;
    if (end != bytes) sum -= end & 1 ? (<u32>load<u8>(p + end) << 8) + wordSum(p + end + 1, bytes - end - 1) : wordSum(p + end, bytes - end);
    putL4(p + l4, sum, l4t == TX_CMD_L4T_UDP);
  }
  return flags | RX_L4_CKSUM_GOOD;
}

/** Whether finishChecksums must be told the sum of the packet. */
// @ts-ignore: decorator
@inline
export function needsSum(cmd: u32): bool {
  const l4t = cmd & TX_CMD_L4T_MASK;
  return l4t != 0 && l4t != TX_CMD_L4T_SCTP;
}

/** Writes the checksum of an IPv4 header. */
export function finishIpv4(l3: u32, iplen: u32): void {
  store<u16>(l3, 0, 10);
  store<u16>(l3, complement(wordSum(l3, iplen)), 10);
}

/** Writes the L4 checksum for a sum of all that it covers. */
// @ts-ignore: decorator
@inline
export function putL4(l4: u32, sum: u32, udp: bool): void {
  const check = complement(sum);
  if (udp) store<u16>(l4, check == 0 ? 0xffff : check, 6);
  else store<u16>(l4, check, 16);
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
