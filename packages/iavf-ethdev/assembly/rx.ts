// iavf_rx_burst: takes what the device wrote back to a receive ring (legacy 32-byte descriptors) as mbufs, in place, and
// gives fresh buffers back 32 at a time with one tail write. The device is not trusted: a length beyond the buffer, a
// packet beyond the port's limit or one that never ends is dropped and counted, and only descriptors that hold a buffer
// are looked at. A refill that fails leaves the ring shorter, not wrong; the next burst tries again.
import {
  RX_ERROR_IPE,
  RX_ERROR_L4E,
  RX_ERROR_OVERSIZE,
  RX_ERROR_RXE,
  RX_ERROR_SHIFT,
  RX_FLTSTAT_RSS,
  RX_LENGTH_MASK,
  RX_LENGTH_SHIFT,
  RX_PTYPE_MASK,
  RX_PTYPE_SHIFT,
  RX_STATUS_DD,
  RX_STATUS_EOF,
  RX_STATUS_FLTSTAT_MASK,
  RX_STATUS_FLTSTAT_SHIFT,
  RX_STATUS_L2TAG1P,
  RX_STATUS_L3L4P,
  RX_WB_QW1,
} from "../../avf/src/layout/rx-desc";
import { QSTATS_BYTES, QSTATS_ERRORS, QSTATS_NOMBUF, QSTATS_PACKETS } from "../../ethdev/src/layout/queue-stats";
import { free, reset } from "../../shm/assembly/mbuf";
import { getBulk, putBulk, putOne } from "../../shm/assembly/mempool";
import {
  MBUF_DATA_LEN,
  MBUF_HEADROOM,
  MBUF_NB_SEGS,
  MBUF_NEXT,
  MBUF_OL_RX,
  MBUF_PACKET_TYPE,
  MBUF_PKT_LEN,
  MBUF_PORT,
  MBUF_RSS,
  MBUF_SIZE,
  MBUF_VLAN_TCI,
  PTYPE_L3_IPV4,
  PTYPE_L4_SCTP,
  PTYPE_L4_TCP,
  PTYPE_L4_UDP,
  RX_IP_CKSUM_BAD,
  RX_IP_CKSUM_GOOD,
  RX_L4_CKSUM_BAD,
  RX_L4_CKSUM_GOOD,
  RX_RSS_HASH,
  RX_VLAN,
  RX_VLAN_STRIPPED,
} from "../../shm/src/layout/mbuf";
import {
  RXQ_BUF_SIZE,
  RXQ_DOORBELL,
  RXQ_FIRST,
  RXQ_FREE_THRESH,
  RXQ_HELD,
  RXQ_KICK,
  RXQ_LAST,
  RXQ_MAX_PKT,
  RXQ_MAX_SEGS,
  RXQ_NEXT,
  RXQ_POOL,
  RXQ_PORT,
  RXQ_PTYPES,
  RXQ_REFILL_FAILS,
  RXQ_RING,
  RXQ_RUN,
  RXQ_SIZE,
  RXQ_SKIP,
  RXQ_SW_RING,
} from "../src/layout/rx-queue";
import { addCounter, iova, ringDoorbell } from "./common";

// Bits of a written-back descriptor's second word.
const IPE: u64 = <u64>RX_ERROR_IPE << RX_ERROR_SHIFT;
const L4E: u64 = <u64>RX_ERROR_L4E << RX_ERROR_SHIFT;
const FAILED: u64 = <u64>(RX_ERROR_RXE | RX_ERROR_OVERSIZE) << RX_ERROR_SHIFT;

const PTYPE_L3_MASK: u32 = 0xf0;
const PTYPE_L4_MASK: u32 = 0xf00;

/**
 * @param lcore index of the calling lcore, @param pkts u32[n] for the mbufs
 * @returns packets received; the caller owns them
 */
export function iavf_rx_burst(q: u32, lcore: u32, pkts: u32, n: u32): u32 {
  if (atomic.load<u32>(q, RXQ_RUN) == 0) return 0;
  const ring = load<u32>(q, RXQ_RING);
  const size = load<u32>(q, RXQ_SIZE);
  const swRing = load<u32>(q, RXQ_SW_RING);
  const bufSize = load<u32>(q, RXQ_BUF_SIZE);
  const ptypes = load<u32>(q, RXQ_PTYPES);
  const port = load<u32>(q, RXQ_PORT);
  const pool = load<u32>(q, RXQ_POOL);
  let next = load<u32>(q, RXQ_NEXT);
  let held = load<u32>(q, RXQ_HELD);
  let partial = load<u32>(q, RXQ_FIRST) | load<u32>(q, RXQ_SKIP);
  let taken: u32 = 0;
  let bytes: u64 = 0;
  while (taken < n && held < size) {
    const desc = ring + (next << 5);
    const word1 = atomic.load<u64>(desc, RX_WB_QW1);
    if ((word1 & RX_STATUS_DD) == 0) break;
    const word0 = load<u64>(desc);
    let mbuf = load<u32>(swRing + (next << 2));
    next = next + 1 == size ? 0 : next + 1;
    held++;
    const length = <u32>((word1 >> RX_LENGTH_SHIFT) & RX_LENGTH_MASK);
    // One unsigned comparison for "0 or beyond the buffer".
    if (partial != 0 || (word1 & (RX_STATUS_EOF | FAILED)) != RX_STATUS_EOF || length - 1 >= bufSize) {
      mbuf = assemble(q, lcore, pool, mbuf, word1, length, bufSize);
      partial = load<u32>(q, RXQ_FIRST) | load<u32>(q, RXQ_SKIP);
      if (mbuf == 0) continue;
      bytes += <u64>load<u32>(mbuf, MBUF_PKT_LEN);
    } else {
      startMbuf(mbuf, pool, length);
      bytes += <u64>length;
    }
    describe(mbuf, word0, word1, ptypes, port);
    store<u32>(pkts + (taken << 2), mbuf);
    taken++;
  }
  store<u32>(q, next, RXQ_NEXT);
  if (held >= <u32>RXQ_FREE_THRESH) held = refill(q, lcore, next, held);
  store<u32>(q, held, RXQ_HELD);
  if (taken != 0) {
    addCounter(q + QSTATS_PACKETS, taken);
    addCounter(q + QSTATS_BYTES, bytes);
  }
  return taken;
}

/** Fills an empty ring with buffers and writes its tail. Returns the descriptors filled: all, or 0 for want of mbufs. */
export function iavf_rx_fill(q: u32, lcore: u32): u32 {
  const pool = load<u32>(q, RXQ_POOL);
  const size = load<u32>(q, RXQ_SIZE);
  const swRing = load<u32>(q, RXQ_SW_RING);
  for (let at: u32 = 0; at < size; at += RXQ_FREE_THRESH) {
    if (getBulk(pool, lcore, swRing + (at << 2), RXQ_FREE_THRESH) == 0) {
      putBulk(pool, lcore, swRing, at);
      return 0;
    }
    writeDescriptors(q, at);
  }
  store<u32>(q, 0, RXQ_NEXT);
  store<u32>(q, 0, RXQ_HELD);
  store<u32>(q, 0, RXQ_FIRST);
  store<u32>(q, 0, RXQ_SKIP);
  writeTail(q, size);
  return size;
}

/** Frees every mbuf of a ring that the device has let go of. */
export function iavf_rx_release(q: u32, lcore: u32): void {
  const pool = load<u32>(q, RXQ_POOL);
  const size = load<u32>(q, RXQ_SIZE);
  const swRing = load<u32>(q, RXQ_SW_RING);
  const filled = size - load<u32>(q, RXQ_HELD);
  let at = load<u32>(q, RXQ_NEXT);
  for (let i: u32 = 0; i < filled; i++) {
    putOne(pool, lcore, load<u32>(swRing + (at << 2)));
    at = at + 1 == size ? 0 : at + 1;
  }
  const first = load<u32>(q, RXQ_FIRST);
  if (first != 0) free(lcore, first);
  store<u32>(q, size, RXQ_HELD);
  store<u32>(q, 0, RXQ_NEXT);
  store<u32>(q, 0, RXQ_FIRST);
  store<u32>(q, 0, RXQ_SKIP);
}

// Buffers lie in the ring as the pool gave them, so that a refill touches no mbuf: the header is written here.
// @ts-ignore: decorator
@inline
function startMbuf(mbuf: u32, pool: u32, length: u32): void {
  reset(mbuf, pool);
  store<u16>(mbuf, <u16>length, MBUF_DATA_LEN);
  store<u32>(mbuf, length, MBUF_PKT_LEN);
}

// @ts-ignore: decorator
@inline
function describe(mbuf: u32, word0: u64, word1: u64, ptypes: u32, port: u32): void {
  const packetType = load<u32>(ptypes + ((<u32>(word1 >> RX_PTYPE_SHIFT) & RX_PTYPE_MASK) << 2));
  let flags: u32 = 0;
  if (((word1 >> RX_STATUS_FLTSTAT_SHIFT) & RX_STATUS_FLTSTAT_MASK) == RX_FLTSTAT_RSS) flags = RX_RSS_HASH;
  if ((word1 & RX_STATUS_L2TAG1P) != 0) flags |= RX_VLAN | RX_VLAN_STRIPPED;
  if ((word1 & RX_STATUS_L3L4P) != 0) flags |= checksums(word1, packetType);
  store<u64>(mbuf, <u64>flags, MBUF_OL_RX);
  store<u32>(mbuf, packetType, MBUF_PACKET_TYPE);
  store<u16>(mbuf, port, MBUF_PORT);
  store<u32>(mbuf, <u32>(word0 >> 32), MBUF_RSS);
  store<u16>(mbuf, <u16>(word0 >> 16), MBUF_VLAN_TCI);
}

// What the device examined: the IPv4 header, and the L4 checksum of the three protocols that have one.
// @ts-ignore: decorator
@inline
function checksums(word1: u64, packetType: u32): u32 {
  let flags: u32 = 0;
  const l4 = packetType & PTYPE_L4_MASK;
  if ((packetType & PTYPE_L3_MASK) == PTYPE_L3_IPV4) flags = word1 & IPE ? RX_IP_CKSUM_BAD : RX_IP_CKSUM_GOOD;
  if (l4 == PTYPE_L4_TCP || l4 == PTYPE_L4_UDP || l4 == PTYPE_L4_SCTP)
    flags |= word1 & L4E ? RX_L4_CKSUM_BAD : RX_L4_CKSUM_GOOD;
  return flags;
}

// The descriptors that are not a whole good packet: returns the packet that this one completes, or 0.
function assemble(q: u32, lcore: u32, pool: u32, mbuf: u32, word1: u64, length: u32, bufSize: u32): u32 {
  const end = (word1 & RX_STATUS_EOF) != 0;
  if (load<u32>(q, RXQ_SKIP) != 0) {
    putOne(pool, lcore, mbuf);
    if (end) store<u32>(q, 0, RXQ_SKIP);
    return 0;
  }
  const first = load<u32>(q, RXQ_FIRST);
  const total = first != 0 ? load<u32>(first, MBUF_PKT_LEN) + length : length;
  const segments: u32 = first != 0 ? <u32>load<u16>(first, MBUF_NB_SEGS) + 1 : 1;
  const bad =
    (word1 & FAILED) != 0 ||
    length - 1 >= bufSize ||
    total > load<u32>(q, RXQ_MAX_PKT) ||
    segments > <u32>RXQ_MAX_SEGS;
  if (bad) {
    putOne(pool, lcore, mbuf);
    if (first != 0) free(lcore, first);
    store<u32>(q, 0, RXQ_FIRST);
    store<u32>(q, end ? 0 : 1, RXQ_SKIP);
    addCounter(q + QSTATS_ERRORS, 1);
    return 0;
  }
  startMbuf(mbuf, pool, length);
  if (first == 0) {
    store<u32>(q, mbuf, RXQ_FIRST);
  } else {
    store<u32>(load<u32>(q, RXQ_LAST), mbuf, MBUF_NEXT);
    store<u32>(first, total, MBUF_PKT_LEN);
    store<u16>(first, <u16>segments, MBUF_NB_SEGS);
  }
  store<u32>(q, mbuf, RXQ_LAST);
  if (!end) return 0;
  store<u32>(q, 0, RXQ_FIRST);
  return first == 0 ? mbuf : first;
}

// Gives back the oldest held descriptors in runs that start at a multiple of the threshold, as all before them did.
function refill(q: u32, lcore: u32, next: u32, held: u32): u32 {
  const size = load<u32>(q, RXQ_SIZE);
  const swRing = load<u32>(q, RXQ_SW_RING);
  const pool = load<u32>(q, RXQ_POOL);
  const before = held;
  let at = next >= held ? next - held : next + size - held;
  while (held >= <u32>RXQ_FREE_THRESH) {
    if (getBulk(pool, lcore, swRing + (at << 2), RXQ_FREE_THRESH) == 0) {
      addCounter(q + QSTATS_NOMBUF, RXQ_FREE_THRESH);
      addCounter(q + RXQ_REFILL_FAILS, 1);
      break;
    }
    writeDescriptors(q, at);
    at += RXQ_FREE_THRESH;
    if (at == size) at = 0;
    held -= RXQ_FREE_THRESH;
  }
  if (held != before) writeTail(q, at);
  return held;
}

// @ts-ignore: decorator
@inline
function writeDescriptors(q: u32, at: u32): void {
  const swRing = load<u32>(q, RXQ_SW_RING);
  let slot = swRing + (at << 2);
  let desc = load<u32>(q, RXQ_RING) + (at << 5);
  const end = slot + (RXQ_FREE_THRESH << 2);
  for (; slot < end; slot += 4, desc += 32) {
    store<u64>(desc, iova(load<u32>(slot) + MBUF_SIZE + MBUF_HEADROOM));
    store<u64>(desc, 0, 8);
  }
}

// The tail stays one behind, as in every driver of this family: the device owns [head, tail).
// @ts-ignore: decorator
@inline
function writeTail(q: u32, end: u32): void {
  const tail = (end == 0 ? load<u32>(q, RXQ_SIZE) : end) - 1;
  ringDoorbell(load<u32>(q, RXQ_DOORBELL), load<u32>(q, RXQ_KICK), tail);
}
