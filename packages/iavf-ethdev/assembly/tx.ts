// iavf_tx_burst: turns mbufs into transmit descriptors, in place, and writes the tail once. Completion is asked for (RS) on
// the last descriptor of the packet that fills each run of TXQ_RS_THRESH, reported there as type "done", and mbufs are
// freed in bulk up to it. A packet the hardware could not send (too many or too long segments, TSO parameters out of range)
// is consumed, freed and counted as an error, so it cannot block those behind it.
import {
  TX_BUF_SIZE_SHIFT,
  TX_CMD_EOP,
  TX_CMD_ICRC,
  TX_CMD_RS,
  TX_CMD_SHIFT,
  TX_DESC_QW1,
  TX_DTYPE_DONE,
  TX_DTYPE_MASK,
} from "../../avf/src/layout/tx-desc";
import { QSTATS_BYTES, QSTATS_ERRORS, QSTATS_PACKETS } from "../../ethdev/src/layout/queue-stats";
import { data, free, freeBulk } from "../../shm/assembly/mbuf";
import { MBUF_DATA_LEN, MBUF_NB_SEGS, MBUF_OL_TX, MBUF_PKT_LEN } from "../../shm/src/layout/mbuf";
import {
  TXQ_CLEAN,
  TXQ_DOORBELL,
  TXQ_FREE,
  TXQ_FULL,
  TXQ_KICK,
  TXQ_MAX_PKT,
  TXQ_RECLAIMED,
  TXQ_RING,
  TXQ_RS,
  TXQ_RS_HEAD,
  TXQ_RS_SIZE,
  TXQ_RS_TAIL,
  TXQ_RS_THRESH,
  TXQ_RUN,
  TXQ_SIZE,
  TXQ_SW_RING,
  TXQ_TAIL,
  TXQ_USED,
} from "../src/layout/tx-queue";
import { addCounter, iova, ringDoorbell } from "./common";
import { descriptors, writePacket } from "./tx-packet";

const PLAIN: u64 = <u64>(TX_CMD_EOP | TX_CMD_ICRC) << TX_CMD_SHIFT;
const RS: u64 = <u64>TX_CMD_RS << TX_CMD_SHIFT;

/**
 * @param lcore index of the calling lcore, @param pkts u32[n] mbufs
 * @returns packets accepted; those are the driver's, the rest stay the caller's
 */
export function iavf_tx_burst(q: u32, lcore: u32, pkts: u32, n: u32): u32 {
  if (atomic.load<u32>(q, TXQ_RUN) == 0) return 0;
  const ring = load<u32>(q, TXQ_RING);
  const size = load<u32>(q, TXQ_SIZE);
  const swRing = load<u32>(q, TXQ_SW_RING);
  const maxPkt = load<u32>(q, TXQ_MAX_PKT);
  let room = reclaim(q, lcore);
  let tail = load<u32>(q, TXQ_TAIL);
  let used = load<u32>(q, TXQ_USED);
  const start = tail;
  let sent: u32 = 0;
  let errors: u32 = 0;
  let bytes: u64 = 0;
  for (; sent + errors < n; ) {
    const mbuf = load<u32>(pkts + ((sent + errors) << 2));
    const length = load<u32>(mbuf, MBUF_PKT_LEN);
    const flags = load<u32>(mbuf, MBUF_OL_TX);
    let last = tail;
    if (load<u16>(mbuf, MBUF_NB_SEGS) == 1 && flags == 0) {
      if (length - 1 >= maxPkt || <u32>load<u16>(mbuf, MBUF_DATA_LEN) != length) {
        free(lcore, mbuf);
        errors++;
        continue;
      }
      if (room == 0) break;
      room--;
      used++;
      const desc = ring + (tail << 4);
      store<u64>(desc, iova(data(mbuf)));
      store<u64>(desc, PLAIN | (<u64>length << TX_BUF_SIZE_SHIFT), TX_DESC_QW1);
      tail = tail + 1 == size ? 0 : tail + 1;
    } else {
      const need = descriptors(mbuf, flags, length, maxPkt);
      if (need == 0) {
        free(lcore, mbuf);
        errors++;
        continue;
      }
      if (room < need) break;
      room -= need;
      used += need;
      tail = writePacket(ring, size, swRing, tail, mbuf, flags);
      last = tail == 0 ? size - 1 : tail - 1;
    }
    // The whole packet is freed with its last descriptor.
    store<u32>(swRing + (last << 2), mbuf);
    if (used >= <u32>TXQ_RS_THRESH) {
      const word1 = ring + (last << 4) + TX_DESC_QW1;
      store<u64>(word1, load<u64>(word1) | RS);
      awaitReport(q, last);
      used = 0;
    }
    bytes += <u64>length;
    sent++;
  }
  if (sent + errors < n) addCounter(q + TXQ_FULL, n - sent - errors);
  if (errors != 0) addCounter(q + QSTATS_ERRORS, errors);
  if (tail == start) return errors;
  store<u32>(q, tail, TXQ_TAIL);
  store<u32>(q, used, TXQ_USED);
  store<u32>(q, room, TXQ_FREE);
  addCounter(q + QSTATS_PACKETS, sent);
  addCounter(q + QSTATS_BYTES, bytes);
  ringDoorbell(load<u32>(q, TXQ_DOORBELL), load<u32>(q, TXQ_KICK), tail);
  return sent + errors;
}

/** Frees what the device reports done. Returns the descriptors that may be written. */
export function iavf_tx_reclaim(q: u32, lcore: u32): u32 {
  if (atomic.load<u32>(q, TXQ_RUN) == 0) return 0;
  return reclaim(q, lcore);
}

/** Frees every packet of a ring that the device has let go of, and empties it. */
export function iavf_tx_release(q: u32, lcore: u32): void {
  const size = load<u32>(q, TXQ_SIZE);
  const tail = load<u32>(q, TXQ_TAIL);
  const clean = load<u32>(q, TXQ_CLEAN);
  freeSlots(q, lcore, clean, tail >= clean ? tail - clean : tail + size - clean);
  store<u32>(q, 0, TXQ_TAIL);
  store<u32>(q, 0, TXQ_CLEAN);
  store<u32>(q, 0, TXQ_USED);
  store<u32>(q, 0, TXQ_RS_HEAD);
  store<u32>(q, 0, TXQ_RS_TAIL);
  store<u32>(q, size - 1, TXQ_FREE);
}

// @ts-ignore: decorator
@inline
function reclaim(q: u32, lcore: u32): u32 {
  const ring = load<u32>(q, TXQ_RING);
  let head = load<u32>(q, TXQ_RS_HEAD);
  if (head != load<u32>(q, TXQ_RS_TAIL)) {
    const word1 = ring + (load<u32>(load<u32>(q, TXQ_RS) + (head << 2)) << 4) + TX_DESC_QW1;
    if ((atomic.load<u64>(word1) & TX_DTYPE_MASK) == TX_DTYPE_DONE) reclaimDone(q, lcore, ring, head);
  }
  return load<u32>(q, TXQ_FREE);
}

function reclaimDone(q: u32, lcore: u32, ring: u32, head: u32): void {
  const size = load<u32>(q, TXQ_SIZE);
  const reports = load<u32>(q, TXQ_RS);
  const slots = load<u32>(q, TXQ_RS_SIZE);
  const tail = load<u32>(q, TXQ_RS_TAIL);
  const clean = load<u32>(q, TXQ_CLEAN);
  let done = clean;
  let count: u32 = 0;
  while (head != tail) {
    const last = load<u32>(reports + (head << 2));
    if ((atomic.load<u64>(ring + (last << 4) + TX_DESC_QW1) & TX_DTYPE_MASK) != TX_DTYPE_DONE) break;
    count += last >= done ? last - done + 1 : last + size - done + 1;
    done = last + 1 == size ? 0 : last + 1;
    head = head + 1 == slots ? 0 : head + 1;
  }
  freeSlots(q, lcore, clean, count);
  store<u32>(q, done, TXQ_CLEAN);
  store<u32>(q, head, TXQ_RS_HEAD);
  store<u32>(q, load<u32>(q, TXQ_FREE) + count, TXQ_FREE);
  addCounter(q + TXQ_RECLAIMED, count);
}

// @ts-ignore: decorator
@inline
function freeSlots(q: u32, lcore: u32, from: u32, count: u32): void {
  const swRing = load<u32>(q, TXQ_SW_RING);
  const first = min<u32>(count, load<u32>(q, TXQ_SIZE) - from);
  freeBulk(lcore, swRing + (from << 2), first);
  freeBulk(lcore, swRing, count - first);
}

// @ts-ignore: decorator
@inline
function awaitReport(q: u32, last: u32): void {
  const at = load<u32>(q, TXQ_RS_TAIL);
  store<u32>(load<u32>(q, TXQ_RS) + (at << 2), last);
  store<u32>(q, at + 1 == load<u32>(q, TXQ_RS_SIZE) ? 0 : at + 1, TXQ_RS_TAIL);
}
