// TCP segmentation (and UDP's) of a packet that lies gathered in scratch memory, resumable at any segment: what a burst does
// not take is sent by the next. A segment is made in its mbuf, summed while it is copied; where it takes several mbufs, it is
// put together in the scratch memory first, its headers right before its payload, over payload that was sent already.
import { MBUF_DATA_LEN, MBUF_OL_RX, RX_IP_CKSUM_GOOD, RX_L4_CKSUM_GOOD } from "../../shm/src/layout/mbuf";
import { TX_CMD_IIPT_IPV6, TX_CMD_IIPT_MASK, TX_CMD_L4T_MASK, TX_CMD_L4T_TCP, TX_CMD_L4T_UDP } from "../../avf/src/layout/tx-desc";
import { copy } from "../../shm/assembly/copy";
import { data } from "../../shm/assembly/mbuf";
import {
  FRAME_MAX,
  GTX_TSO_AT,
  GTX_TSO_FLAGS,
  GTX_TSO_HEADERS,
  GTX_TSO_IP_ID,
  GTX_TSO_L3,
  GTX_TSO_L4,
  GTX_TSO_LEFT,
  GTX_TSO_MSS,
  GTX_TSO_SEQ,
  GTX_TSO_TEMPLATE,
  TSO_FIRST,
  TSO_HEADERS_MAX,
  TSO_IPV6,
  TSO_MSS_MIN,
  TSO_UDP,
} from "../src/layout/guest-queue";
import { RXQ_ROOM } from "../src/layout/port-queue";
import { copySum, swap16, wordSum } from "./checksum";
import { emit, finish } from "./emit";
import { finishIpv4, headersFit, ipLen, l4Len, macLen, putL4 } from "./offload";

const TCP_FIN_PSH: u8 = 0x09;
const TCP_CWR: u8 = 0x80;

/**
 * Begins the segmentation of a packet of `bytes` at `p`, of which the first `tags` bytes were inserted behind the guest's
 * own layout. Returns false for sizes and headers that no TSO may have.
 */
export function tsoBegin(gq: u32, p: u32, bytes: u32, tags: u32, cmd: u32, offsets: u32, mss: u32, payload: u32): bool {
  const own = p + tags; // the IP header's place is counted from where the frame began before tags were inserted
  const l4t = cmd & TX_CMD_L4T_MASK;
  if (l4t != TX_CMD_L4T_TCP && l4t != TX_CMD_L4T_UDP) return false;
  if (!headersFit(own, bytes - tags, cmd, offsets)) return false;
  const l4 = macLen(offsets) + ipLen(offsets) + tags;
  const headers = l4 + l4Len(offsets);
  if (headers > <u32>TSO_HEADERS_MAX || payload == 0 || payload != bytes - headers) return false;
  if (mss < <u32>TSO_MSS_MIN || mss + headers > <u32>FRAME_MAX) return false;
  const ipv6 = (cmd & TX_CMD_IIPT_MASK) == TX_CMD_IIPT_IPV6;
  const udp = l4t == TX_CMD_L4T_UDP;
  const l3 = macLen(offsets) + tags;
  store<u32>(gq, payload, GTX_TSO_LEFT);
  store<u32>(gq, p + headers, GTX_TSO_AT);
  store<u32>(gq, mss, GTX_TSO_MSS);
  store<u32>(gq, headers, GTX_TSO_HEADERS);
  store<u32>(gq, l3, GTX_TSO_L3);
  store<u32>(gq, l4, GTX_TSO_L4);
  store<u32>(gq, TSO_FIRST | (ipv6 ? TSO_IPV6 : 0) | (udp ? TSO_UDP : 0), GTX_TSO_FLAGS);
  store<u32>(gq, udp ? 0 : bswap<u32>(load<u32>(p + l4, 4)), GTX_TSO_SEQ);
  store<u32>(gq, ipv6 ? 0 : <u32>swap16(load<u16>(p + l3, 4)), GTX_TSO_IP_ID);
  copy(gq + GTX_TSO_TEMPLATE, p, headers);
  return true;
}

/** Segments that are left of the packet. */
// @ts-ignore: decorator
@inline
export function tsoSegments(gq: u32): u32 {
  const mss = load<u32>(gq, GTX_TSO_MSS);
  return (load<u32>(gq, GTX_TSO_LEFT) + mss - 1) / mss;
}

/**
 * Emits the next segment into an empty mbuf of the queue's pool.
 * Returns its bytes, or 0 when the pool is exhausted; then it is still to be sent.
 */
export function tsoNext(q: u32, gq: u32, mbuf: u32, lcore: u32): u32 {
  const left = load<u32>(gq, GTX_TSO_LEFT);
  const run = min<u32>(left, load<u32>(gq, GTX_TSO_MSS));
  const headers = load<u32>(gq, GTX_TSO_HEADERS);
  const at = load<u32>(gq, GTX_TSO_AT);
  const flags = load<u32>(gq, GTX_TSO_FLAGS);
  const bytes = headers + run;
  const direct = bytes <= load<u32>(q, RXQ_ROOM);
  const p = direct ? data(mbuf) : at - headers;
  copy(p, gq + GTX_TSO_TEMPLATE, headers);
  const sum = direct ? copySum(p + headers, at, run, 0) : wordSum(at, run);
  fixIp(gq, p, bytes, flags);
  fixL4(gq, p, bytes, sum, flags, run == left);
  if (direct) {
    store<u16>(mbuf, <u16>bytes, MBUF_DATA_LEN);
    finish(q, mbuf, bytes);
  } else if (!emit(q, mbuf, p, bytes, lcore)) return 0;
  store<u32>(mbuf, flags & TSO_IPV6 ? RX_L4_CKSUM_GOOD : RX_L4_CKSUM_GOOD | RX_IP_CKSUM_GOOD, MBUF_OL_RX);
  store<u32>(gq, left - run, GTX_TSO_LEFT);
  store<u32>(gq, at + run, GTX_TSO_AT);
  store<u32>(gq, flags & ~TSO_FIRST, GTX_TSO_FLAGS);
  store<u32>(gq, load<u32>(gq, GTX_TSO_SEQ) + run, GTX_TSO_SEQ);
  store<u32>(gq, load<u32>(gq, GTX_TSO_IP_ID) + 1, GTX_TSO_IP_ID);
  return headers + run;
}

function fixIp(gq: u32, p: u32, bytes: u32, flags: u32): void {
  const at = load<u32>(gq, GTX_TSO_L3);
  const l3 = p + at;
  if (flags & TSO_IPV6) {
    store<u16>(l3, swap16(bytes - at - 40), 4);
    return;
  }
  store<u16>(l3, swap16(bytes - at), 2);
  store<u16>(l3, swap16(load<u32>(gq, GTX_TSO_IP_ID)), 4);
  finishIpv4(l3, load<u32>(gq, GTX_TSO_L4) - at);
}

// The template's checksum field holds the sum of the pseudo-header without its length, which differs from segment to segment.
// @param sum of the segment's payload, which begins at an even offset of the L4 packet
function fixL4(gq: u32, p: u32, bytes: u32, sum: u32, flags: u32, last: bool): void {
  const at = load<u32>(gq, GTX_TSO_L4);
  const l4 = p + at;
  const l4bytes = bytes - at;
  const udp = (flags & TSO_UDP) != 0;
  if (udp) {
    store<u16>(l4, swap16(l4bytes), 4);
  } else {
    store<u32>(l4, bswap<u32>(load<u32>(gq, GTX_TSO_SEQ)), 4);
    let bits = load<u8>(l4, 13);
    if (!last) bits &= ~TCP_FIN_PSH;
    if (!(flags & TSO_FIRST)) bits &= ~TCP_CWR;
    store<u8>(l4, bits, 13);
  }
  sum += wordSum(l4, load<u32>(gq, GTX_TSO_HEADERS) - at) + <u32>swap16(l4bytes);
  putL4(l4, sum, udp);
}
