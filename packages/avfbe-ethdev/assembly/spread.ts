// A transmit burst of the port for a guest with RSS: packets are sorted by receive queue, stably, so that flows keep their
// order, and each queue is given its own in one go. What a queue has no descriptors for stays the caller's, moved behind
// what was taken; a full queue holds up no other. Called by index.ts for ports whose guest has a table (layout/rss.ts).
import { markPending, isHeld } from "../../emudev/assembly/vector";
import { copy } from "../../shm/assembly/copy";
import { freeBulk } from "../../shm/assembly/mbuf";
import { GQ_HEAD, GQ_VECTOR, GRX_BUSY, GRX_BYTES, GRX_HOLD } from "../src/layout/guest-queue";
import { TXQ_FIRE, TXQ_FIRE_MANY, TXQ_FIRES, TXQ_OWN, TXQ_SCRATCH, TXQ_STATES } from "../src/layout/port-queue";
import {
  RSS_ACTIVE,
  RSS_LUT,
  RSS_LUT_ENTRIES,
  SPREAD_COUNTS,
  SPREAD_MARKS,
  SPREAD_MAX,
  SPREAD_QUEUES,
  SPREAD_SORTED_MARKS,
  SPREAD_SORTED_PKTS,
} from "../src/layout/rss";
import { count } from "./count";
import { giveHeld, giveOrHold } from "./hold";
import { lock, unlock } from "./lock";
import { hashMark } from "./toeplitz";

const COUNTS_BYTES: u32 = SPREAD_QUEUES - SPREAD_COUNTS;

/** avfbe_tx_burst by the table `rss`; up to SPREAD_MAX packets. */
export function spreadBurst(q: u32, rss: u32, pkts: u32, n: u32, lcore: u32): u32 {
  const scratch = load<u32>(q, TXQ_SCRATCH);
  const counts = scratch + SPREAD_COUNTS;
  const total = min<u32>(n, SPREAD_MAX);
  const own = load<u32>(q, TXQ_OWN);
  for (let at: u32 = 0; at < COUNTS_BYTES; at += 16) v128.store(counts + at, i64x2(0, 0));
  let only: u32 = 0; // the queue of the last packet
  let others: u32 = 0; // not 0: there are others
  for (let i: u32 = 0; i < total; i++) {
    const mark = hashMark(rss, load<u32>(pkts + (i << 2)));
    const queue = mark ? <u32>load<u8>(rss + (<u32>(mark >> 32) & (RSS_LUT_ENTRIES - 1)), RSS_LUT) : own;
    store<u64>(scratch + (i << 3), mark, SPREAD_MARKS);
    store<u8>(scratch + i, <u8>queue, SPREAD_QUEUES);
    const counter = counts + (queue << 2);
    store<u32>(counter, load<u32>(counter) + 1);
    if (i) others |= queue ^ only;
    only = queue;
  }
  let done: u32;
  let fires: u32 = 0;
  const states = load<u32>(q, TXQ_STATES);
  const active = load<u32>(rss, RSS_ACTIVE);
  if (others == 0) {
    done = give(q, states + only * GRX_BYTES, pkts, total, scratch + SPREAD_MARKS);
    if (moved) fires = 1 << only;
  } else {
    sort(scratch, pkts, total);
    done = 0;
    let refused: u32 = 0;
    let from: u32 = 0;
    for (let left = active; left; left &= left - 1) {
      const queue = ctz<u32>(left);
      const end = load<u32>(counts + (queue << 2)); // sort() left the place behind the queue's last packet
      if (end == from) continue;
      const sorted = scratch + SPREAD_SORTED_PKTS + (from << 2);
      const taken = give(q, states + queue * GRX_BYTES, sorted, end - from, scratch + SPREAD_SORTED_MARKS + (from << 3));
      if (moved) fires |= 1 << queue;
      copy(pkts + (done << 2), sorted, taken << 2);
      done += taken;
      // Kept in the sorted array's front, which was handled already, until all that were taken are in place. The
      // two can overlap.
      const rest = end - from - taken;
      if (rest) memory.copy(scratch + SPREAD_SORTED_PKTS + (refused << 2), sorted + (taken << 2), rest << 2);
      refused += rest;
      from = end;
    }
    if (refused) copy(pkts + (done << 2), scratch + SPREAD_SORTED_PKTS, refused << 2);
  }
  fire(q, raise(states, active, fires));
  if (done) freeBulk(lcore, pkts, done);
  return done;
}

/** avfbe_tx_held by the table `rss`. */
export function spreadHeld(q: u32, rss: u32): void {
  const states = load<u32>(q, TXQ_STATES);
  const active = load<u32>(rss, RSS_ACTIVE);
  let fires: u32 = 0;
  for (let left = active; left; left &= left - 1) {
    const queue = ctz<u32>(left);
    const gq = states + queue * GRX_BYTES;
    if (load<u32>(gq, GRX_HOLD) == 0 || !lock(gq)) continue;
    const head = load<u32>(gq, GQ_HEAD);
    giveHeld(q, gq);
    if (load<u32>(gq, GQ_HEAD) != head) fires |= 1 << queue;
    unlock(gq);
  }
  fire(q, raise(states, active, fires));
}

/** Whether the last give() used descriptors. */
let moved: bool = false;

function give(q: u32, gq: u32, pkts: u32, n: u32, marks: u32): u32 {
  moved = false;
  if (!lock(gq)) {
    count(gq, GRX_BUSY, 1);
    return 0;
  }
  const head = load<u32>(gq, GQ_HEAD);
  const done = giveOrHold(q, gq, pkts, n, marks);
  moved = load<u32>(gq, GQ_HEAD) != head;
  unlock(gq);
  return done;
}

/** Packets and marks in the order of queues; leaves in each count the place behind the queue's last packet. */
function sort(scratch: u32, pkts: u32, n: u32): void {
  const counts = scratch + SPREAD_COUNTS;
  let place: u32 = 0;
  for (let counter = counts; counter < counts + COUNTS_BYTES; counter += 4) {
    const first = place;
    place += load<u32>(counter);
    store<u32>(counter, first);
  }
  for (let i: u32 = 0; i < n; i++) {
    const counter = counts + (<u32>load<u8>(scratch + i, SPREAD_QUEUES) << 2);
    const at = load<u32>(counter);
    store<u32>(counter, at + 1);
    store<u32>(scratch + (at << 2), load<u32>(pkts + (i << 2)), SPREAD_SORTED_PKTS);
    store<u64>(scratch + (at << 3), load<u64>(scratch + (i << 3), SPREAD_MARKS), SPREAD_SORTED_MARKS);
  }
}

/** Says which vectors the lcore is to look at. */
// @ts-ignore: decorator
@inline
function fire(q: u32, fires: u32): void {
  if (fires == 0) return;
  store<u32>(q, fires, TXQ_FIRES);
  store<u32>(q, TXQ_FIRE_MANY, TXQ_FIRE);
}

/** Marks the vectors of queues that got packets; which vectors the lcore is to fire, or to look at the deadline of. */
// @ts-ignore: decorator
@inline
function raise(states: u32, active: u32, given: u32): u32 {
  let fires: u32 = 0;
  for (let left = active; left; left &= left - 1) {
    const queue = ctz<u32>(left);
    const vector = load<u32>(states + queue * GRX_BYTES, GQ_VECTOR);
    if (vector && (given & (1 << queue) ? markPending(vector) : isHeld(vector))) fires |= 1 << queue;
  }
  return fires;
}
