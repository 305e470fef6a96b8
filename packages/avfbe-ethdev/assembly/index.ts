// The kernels of net_avfbe as its data module calls them: one burst each way, over the states of src/layout/. Arguments are
// arena offsets and u32 numbers.
import { freeBulk } from "../../shm/assembly/mbuf";
import { isHeld, markPending } from "../../emudev/assembly/vector";
import { GQ_HEAD, GQ_VECTOR, GRX_BUSY, GTX_BYTES } from "../src/layout/guest-queue";
import { RXQ_ACTIVE, RXQ_GUESTS, RXQ_NEXT, RXQ_FIRE, TXQ_GUEST, TXQ_FIRE, TXQ_RSS } from "../src/layout/port-queue";
import { count } from "./count";
import { completed, guestTx } from "./guest-tx";
import { giveHeld, giveOrHold } from "./hold";
import { lock, unlock } from "./lock";
import { spreadBurst, spreadHeld } from "./spread";

/**
 * Receives up to `n` packets from the guest's transmit queues that port queue `q` serves, into u32 pkts[n]. With several, each
 * burst begins behind the queue that filled the last one.
 */
export function avfbe_rx_burst(q: u32, pkts: u32, n: u32, lcore: u32): u32 {
  const active = atomic.load<u32>(q, RXQ_ACTIVE);
  store<u32>(q, 0, RXQ_FIRE);
  if (active == 0 || n == 0) return 0;
  const guests = load<u32>(q, RXQ_GUESTS);
  const next = load<u32>(q, RXQ_NEXT) & 31;
  let left = rotr<u32>(active, next);
  let done: u32 = 0;
  let fire: u32 = 0;
  for (let at = next; left; left >>>= 1, at = (at + 1) & 31) {
    const step = ctz<u32>(left);
    left >>>= step;
    at = (at + step) & 31;
    const guest = guests + at * GTX_BYTES;
    done += guestTx(q, guest, pkts + (done << 2), n - done, lcore);
    const vector = load<u32>(guest, GQ_VECTOR);
    if (vector && (completed ? markPending(vector) : isHeld(vector))) fire |= 1 << at;
    if (done < n) continue;
    store<u32>(q, at + 1, RXQ_NEXT);
    break;
  }
  store<u32>(q, fire, RXQ_FIRE);
  return done;
}

/**
 * Transmits up to `n` packets of u32 pkts[n] into the guest's receive queue that port queue `q` feeds, or those that it spreads
 * them over. Returns how many it took; where it spreads, these are moved to the front of pkts.
 */
export function avfbe_tx_burst(q: u32, pkts: u32, n: u32, lcore: u32): u32 {
  const gq = atomic.load<u32>(q, TXQ_GUEST);
  store<u32>(q, 0, TXQ_FIRE);
  if (gq == 0 || n == 0) return 0;
  const rss = atomic.load<u32>(q, TXQ_RSS);
  if (rss) return spreadBurst(q, rss, pkts, n, lcore);
  if (!lock(gq)) {
    count(gq, GRX_BUSY, 1);
    return 0;
  }
  const head = load<u32>(gq, GQ_HEAD);
  const done = giveOrHold(q, gq, pkts, n, 0);
  const moved = load<u32>(gq, GQ_HEAD) != head;
  unlock(gq);
  const vector = load<u32>(gq, GQ_VECTOR);
  if (vector && (moved ? markPending(vector) : isHeld(vector))) store<u32>(q, vector, TXQ_FIRE);
  if (done) freeBulk(lcore, pkts, done);
  return done;
}

/** A turn without packets to transmit: gives the guest what waited for a window, in the receive queues that `q` feeds. */
export function avfbe_tx_held(q: u32): void {
  const gq = atomic.load<u32>(q, TXQ_GUEST);
  store<u32>(q, 0, TXQ_FIRE);
  if (gq == 0) return;
  const rss = atomic.load<u32>(q, TXQ_RSS);
  if (rss) {
    spreadHeld(q, rss);
    return;
  }
  if (!lock(gq)) return;
  const head = load<u32>(gq, GQ_HEAD);
  giveHeld(q, gq);
  const moved = load<u32>(gq, GQ_HEAD) != head;
  unlock(gq);
  const vector = load<u32>(gq, GQ_VECTOR);
  if (vector && (moved ? markPending(vector) : isHeld(vector))) store<u32>(q, vector, TXQ_FIRE);
}
