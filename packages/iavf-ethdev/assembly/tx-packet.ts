// The packets that are more than one plain buffer: how many descriptors they need, whether the hardware could send them at
// all, and the words they become (reference: data and context descriptor of the AVF). Called by iavf_tx_burst.
import {
  TX_BUF_SIZE_SHIFT,
  TX_CMD_EOP,
  TX_CMD_ICRC,
  TX_CMD_IIPT_IPV4,
  TX_CMD_IIPT_IPV4_CSUM,
  TX_CMD_IIPT_IPV6,
  TX_CMD_IL2TAG1,
  TX_CMD_L4T_SCTP,
  TX_CMD_L4T_TCP,
  TX_CMD_L4T_UDP,
  TX_CMD_SHIFT,
  TX_CTX_CMD_SHIFT,
  TX_CTX_CMD_TSO,
  TX_CTX_MSS_SHIFT,
  TX_CTX_TSO_LEN_MASK,
  TX_CTX_TSO_LEN_SHIFT,
  TX_DESC_QW1,
  TX_DTYPE_CONTEXT,
  TX_IPLEN_MASK,
  TX_IPLEN_SHIFT,
  TX_L2TAG1_SHIFT,
  TX_L4LEN_MASK,
  TX_L4LEN_SHIFT,
  TX_MACLEN_MASK,
  TX_OFFSET_SHIFT,
} from "../../avf/src/layout/tx-desc";
import { data } from "../../shm/assembly/mbuf";
import {
  MBUF_DATA_LEN,
  MBUF_L2_LEN,
  MBUF_L3_LEN,
  MBUF_L4_LEN,
  MBUF_NB_SEGS,
  MBUF_NEXT,
  MBUF_PKT_LEN,
  MBUF_TSO_SEGSZ,
  MBUF_VLAN_TCI,
  TX_IP_CKSUM,
  TX_IPV4,
  TX_IPV6,
  TX_L4_MASK,
  TX_SCTP_CKSUM,
  TX_TCP_CKSUM,
  TX_TCP_SEG,
  TX_UDP_CKSUM,
  TX_VLAN,
} from "../../shm/src/layout/mbuf";
import {
  TXQ_MAX_BUF,
  TXQ_MAX_SEGS,
  TXQ_MAX_TSO_SEGS,
  TXQ_TSO_MSS_MAX,
  TXQ_TSO_MSS_MIN,
} from "../src/layout/tx-queue";
import { iova } from "./common";

const EOP: u64 = <u64>TX_CMD_EOP << TX_CMD_SHIFT;

// Descriptors that a packet needs, 0 when it cannot be sent: what tx_prepare and the hardware's limits ask for.
export function descriptors(mbuf: u32, flags: u32, length: u32, maxPkt: u32): u32 {
  const segments = <u32>load<u16>(mbuf, MBUF_NB_SEGS);
  const tso = (flags & TX_TCP_SEG) != 0;
  let total: u32 = 0;
  let count: u32 = 0;
  for (let at = mbuf; at != 0 && count < segments; at = load<u32>(at, MBUF_NEXT)) {
    const bytes = <u32>load<u16>(at, MBUF_DATA_LEN);
    if (bytes - 1 >= <u32>TXQ_MAX_BUF) return 0;
    total += bytes;
    count++;
  }
  if (count != segments || total != length) return 0;
  const l2 = <u32>load<u8>(mbuf, MBUF_L2_LEN);
  const l3 = <u32>load<u16>(mbuf, MBUF_L3_LEN);
  const l4 = <u32>load<u8>(mbuf, MBUF_L4_LEN);
  if ((flags & ~TX_VLAN) != 0) {
    if ((l2 & 1) != 0 || l2 >> 1 > <u32>TX_MACLEN_MASK || (l3 & 3) != 0 || l3 >> 2 > <u32>TX_IPLEN_MASK) return 0;
  }
  if (!tso) return segments <= <u32>TXQ_MAX_SEGS && length <= maxPkt ? segments : 0;
  const mss = <u32>load<u16>(mbuf, MBUF_TSO_SEGSZ);
  const headers = l2 + l3 + l4;
  if (mss < <u32>TXQ_TSO_MSS_MIN || mss > <u32>TXQ_TSO_MSS_MAX) return 0;
  if ((l4 & 3) != 0 || l4 >> 2 > <u32>TX_L4LEN_MASK || l4 < 20 || headers >= length) return 0;
  if (length - headers > <u32>TX_CTX_TSO_LEN_MASK || headers + mss > maxPkt) return 0;
  return segments <= <u32>TXQ_MAX_TSO_SEGS ? segments + 1 : 0;
}

// Writes a checked packet from `tail` on and returns the tail after it. Slots of all but the last descriptor become 0.
export function writePacket(ring: u32, size: u32, swRing: u32, tail: u32, mbuf: u32, flags: u32): u32 {
  if ((flags & TX_TCP_SEG) != 0) {
    const headers =
      <u32>load<u8>(mbuf, MBUF_L2_LEN) + <u32>load<u16>(mbuf, MBUF_L3_LEN) + <u32>load<u8>(mbuf, MBUF_L4_LEN);
    const desc = ring + (tail << 4);
    store<u64>(desc, 0);
    store<u64>(
      desc,
      (<u64>TX_DTYPE_CONTEXT) |
        ((<u64>TX_CTX_CMD_TSO) << TX_CTX_CMD_SHIFT) |
        ((<u64>(load<u32>(mbuf, MBUF_PKT_LEN) - headers)) << TX_CTX_TSO_LEN_SHIFT) |
        ((<u64>load<u16>(mbuf, MBUF_TSO_SEGSZ)) << TX_CTX_MSS_SHIFT),
      TX_DESC_QW1,
    );
    store<u32>(swRing + (tail << 2), 0);
    tail = tail + 1 == size ? 0 : tail + 1;
  }
  const common = offloads(mbuf, flags);
  let at = mbuf;
  do {
    const next = load<u32>(at, MBUF_NEXT);
    const desc = ring + (tail << 4);
    const bytes = <u64>load<u16>(at, MBUF_DATA_LEN);
    store<u64>(desc, iova(data(at)));
    store<u64>(desc, common | (bytes << TX_BUF_SIZE_SHIFT) | (next == 0 ? EOP : 0), TX_DESC_QW1);
    store<u32>(swRing + (tail << 2), 0);
    tail = tail + 1 == size ? 0 : tail + 1;
    at = next;
  } while (at != 0);
  return tail;
}

// Command, header lengths and tag: the part of the second word that all data descriptors of a packet share.
function offloads(mbuf: u32, flags: u32): u64 {
  let cmd: u32 = TX_CMD_ICRC;
  let word: u64 = 0;
  if ((flags & TX_VLAN) != 0) {
    cmd |= TX_CMD_IL2TAG1;
    word = (<u64>load<u16>(mbuf, MBUF_VLAN_TCI)) << TX_L2TAG1_SHIFT;
  }
  if ((flags & ~TX_VLAN) != 0) {
    const l4 = flags & TX_L4_MASK;
    let offsets = (<u32>load<u8>(mbuf, MBUF_L2_LEN)) >> 1;
    offsets |= ((<u32>load<u16>(mbuf, MBUF_L3_LEN)) >> 2) << TX_IPLEN_SHIFT;
    // TSO rewrites every IPv4 header, checksum included.
    if ((flags & TX_IP_CKSUM) != 0 || (flags & (TX_TCP_SEG | TX_IPV4)) == (TX_TCP_SEG | TX_IPV4)) cmd |= TX_CMD_IIPT_IPV4_CSUM;
    else if ((flags & TX_IPV4) != 0) cmd |= TX_CMD_IIPT_IPV4;
    else if ((flags & TX_IPV6) != 0) cmd |= TX_CMD_IIPT_IPV6;
    if ((flags & TX_TCP_SEG) != 0) {
      cmd |= TX_CMD_L4T_TCP;
      offsets |= ((<u32>load<u8>(mbuf, MBUF_L4_LEN)) >> 2) << TX_L4LEN_SHIFT;
    } else if (l4 == TX_TCP_CKSUM) {
      cmd |= TX_CMD_L4T_TCP;
      offsets |= 5 << TX_L4LEN_SHIFT;
    } else if (l4 == TX_UDP_CKSUM) {
      cmd |= TX_CMD_L4T_UDP;
      offsets |= 2 << TX_L4LEN_SHIFT;
    } else if (l4 == TX_SCTP_CKSUM) {
      cmd |= TX_CMD_L4T_SCTP;
      offsets |= 3 << TX_L4LEN_SHIFT;
    }
    word |= (<u64>offsets) << TX_OFFSET_SHIFT;
  }
  return word | ((<u64>cmd) << TX_CMD_SHIFT);
}
