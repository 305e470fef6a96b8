// Packets that meet a receive buffer in memory without a window (emudev, windows on demand): they are taken over into the
// queue's area (layout/hold.ts), at most one for each descriptor that the guest has posted, and given to the guest in order
// when the window is there, by the next burst or flush of any lcore that feeds the queue. A queue of a guest whose memory is
// all mapped has no such area: one load and one branch a burst. Called by index.ts and spread.ts under the queue's lock.
import {
  MBUF_BUF,
  MBUF_DATA_LEN,
  MBUF_DATA_OFF,
  MBUF_NB_SEGS,
  MBUF_NEXT,
  MBUF_PKT_LEN,
  MBUF_SIZE,
} from "../../shm/src/layout/mbuf";
import { copy } from "../../shm/assembly/copy";
import { readPacket } from "../../shm/assembly/mbuf";
import { QSTATS_MISSED } from "../../ethdev/src/layout/queue-stats";
import {
  GQ_DOORBELL,
  GQ_HEAD,
  GQ_SIZE,
  GRX_HELD,
  GRX_HOLD,
  GRX_MAX_PKT,
  GRX_OVERSIZE,
} from "../src/layout/guest-queue";
import {
  HOLD_BURST,
  HOLD_COUNT,
  HOLD_HEAD,
  HOLD_MARKS,
  HOLD_PKTS,
  HOLD_RECORD_BYTES,
  HOLD_RECORD_MARK,
  HOLD_RECORD_MBUF,
  HOLD_RECORDS,
  HOLD_RECORDS_BYTES,
  HOLD_TAIL,
} from "../src/layout/hold";
import { count } from "./count";
import { guestRx, unmapped } from "./guest-rx";

/** guestRx, behind what waits already; what meets memory without a window is taken over while there is room. */
// @ts-ignore: decorator
@inline
export function giveOrHold(q: u32, gq: u32, pkts: u32, n: u32, marks: u32): u32 {
  return load<u32>(gq, GRX_HOLD) ? giveHolding(q, gq, pkts, n, marks) : guestRx(q, gq, pkts, n, marks);
}

/** Gives the guest what waits, as far as it goes. */
export function giveHeld(q: u32, gq: u32): void {
  const hold = load<u32>(gq, GRX_HOLD);
  if (!hold) return;
  const records = hold + HOLD_RECORDS;
  for (let left = load<u32>(hold, HOLD_COUNT); left; ) {
    const n = min<u32>(left, HOLD_BURST);
    let at = load<u32>(hold, HOLD_HEAD);
    for (let i: u32 = 0; i < n; i++) {
      at = place(records, at);
      store<u32>(hold + (i << 2), records + at + HOLD_RECORD_MBUF, HOLD_PKTS);
      store<u64>(hold + (i << 3), load<u64>(records + at, HOLD_RECORD_MARK), HOLD_MARKS);
      at += load<u32>(records + at, HOLD_RECORD_BYTES);
    }
    const done = guestRx(q, gq, hold + HOLD_PKTS, n, hold + HOLD_MARKS);
    at = load<u32>(hold, HOLD_HEAD);
    for (let i: u32 = 0; i < done; i++) {
      at = place(records, at);
      at += load<u32>(records + at, HOLD_RECORD_BYTES);
    }
    left -= done;
    store<u32>(hold, left, HOLD_COUNT);
    store<u32>(hold, left ? at : 0, HOLD_HEAD);
    if (!left) store<u32>(hold, 0, HOLD_TAIL);
    if (done < n) return;
  }
}

function giveHolding(q: u32, gq: u32, pkts: u32, n: u32, marks: u32): u32 {
  const hold = load<u32>(gq, GRX_HOLD);
  let done: u32 = 0;
  if (load<u32>(hold, HOLD_COUNT)) giveHeld(q, gq);
  if (!load<u32>(hold, HOLD_COUNT)) {
    done = guestRx(q, gq, pkts, n, marks);
    if (done == n) return done;
  }
  if (!unmapped) return done; // it is descriptors that are wanting
  const size = load<u32>(gq, GQ_SIZE);
  const head = load<u32>(gq, GQ_HEAD);
  const tail = atomic.load<u32>(load<u32>(gq, GQ_DOORBELL));
  if (tail >= size) return done;
  const given = tail >= head ? tail - head : tail + size - head;
  const longest = load<u32>(gq, GRX_MAX_PKT);
  let held: u32 = 0;
  let oversize: u32 = 0;
  for (; done < n && load<u32>(hold, HOLD_COUNT) < given; done++) {
    const mbuf = load<u32>(pkts + (done << 2));
    if (load<u32>(mbuf, MBUF_PKT_LEN) > longest) {
      oversize++;
      continue;
    }
    if (!keep(hold, mbuf, marks ? load<u64>(marks + (done << 3)) : 0)) break;
    held++;
  }
  count(gq, GRX_HELD, held);
  if (oversize) {
    count(q, QSTATS_MISSED, oversize);
    count(gq, GRX_OVERSIZE, oversize);
  }
  return done;
}

/** Copies a packet behind the others; false when there is no room. */
function keep(hold: u32, mbuf: u32, mark: u64): bool {
  const records = hold + HOLD_RECORDS;
  const length = load<u32>(mbuf, MBUF_PKT_LEN);
  const bytes = <u32>(HOLD_RECORD_MBUF + MBUF_SIZE + 63 + length) & ~63;
  const waiting = load<u32>(hold, HOLD_COUNT);
  const head = load<u32>(hold, HOLD_HEAD);
  let at = load<u32>(hold, HOLD_TAIL);
  if (waiting && at <= head) {
    if (head - at < bytes) return false;
  } else if (<u32>HOLD_RECORDS_BYTES - at < bytes) {
    if (head < bytes) return false;
    if (at < <u32>HOLD_RECORDS_BYTES) store<u32>(records + at, 0, HOLD_RECORD_BYTES);
    at = 0;
  }
  const record = records + at;
  const copied = record + HOLD_RECORD_MBUF;
  store<u32>(record, bytes, HOLD_RECORD_BYTES);
  store<u64>(record, mark, HOLD_RECORD_MARK);
  copy(copied, mbuf, MBUF_SIZE);
  store<u32>(copied, copied + MBUF_SIZE, MBUF_BUF);
  store<u16>(copied, 0, MBUF_DATA_OFF);
  store<u16>(copied, <u16>length, MBUF_DATA_LEN);
  store<u16>(copied, 1, MBUF_NB_SEGS);
  store<u32>(copied, 0, MBUF_NEXT);
  readPacket(mbuf, 0, length, copied + MBUF_SIZE);
  store<u32>(hold, at + bytes, HOLD_TAIL);
  store<u32>(hold, waiting + 1, HOLD_COUNT);
  return true;
}

/** Where the record is that follows what ends at `at`. */
// @ts-ignore: decorator
@inline
function place(records: u32, at: u32): u32 {
  return at == <u32>HOLD_RECORDS_BYTES || load<u32>(records + at, HOLD_RECORD_BYTES) == 0 ? 0 : at;
}
