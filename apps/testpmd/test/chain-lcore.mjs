// What the polling lcore of one end of the chain runs (chain-end.mjs): on each queue it sends numbered packets, as many as its
// window allows, and checks the numbers of those that come. Every packet carries the number that is expected next from the other
// side, which opens that one's window; where there is nothing to send, a packet without a number does.
import { pollLoop } from "@emudev/eal/data";
import { importDriver } from "@emudev/ethdev/data";
import { MBUF_BUF, MBUF_DATA_LEN, MBUF_DATA_OFF, MBUF_PKT_LEN, shmKernels } from "@emudev/shm/data";

/** Words that the main thread shares, then the counters of each queue, f64 each. */
export const SEND = 0; // i32 atomic: 1 = send
export const QUEUE_BYTES = 64;
export const COUNTERS = ["sent", "acked", "next", "doubles", "missing", "reordered", "received", "strange"];

const BURST = 32;
const FRAME_BYTES = 64;
const WINDOW = 256;
const ACK_EVERY = 32;
// Places in a frame, all aligned.
const QUEUE = 16;
const NUMBER = 20;
const EXPECTED = 24;
const NO_NUMBER = 0xffffffff;

export async function main(env, { port, words, pool, scratch }) {
  const { openRxQueue, openTxQueue } = await importDriver(port.module);
  const ends = port.rx.map((off, q) => ({
    rx: openRxQueue(env, off, port.portId, q),
    tx: openTxQueue(env, port.tx[q], port.portId, q),
    counters: (words + QUEUE_BYTES * (q + 1)) >>> 3,
    waiting: scratch + q * 4 * BURST, // mbufs that the queue has not taken
    first: 0,
    count: 0,
    told: 0,
    missing: new Set(),
  }));
  const pkts = scratch + port.rx.length * 4 * BURST;
  const { u8, u16, u32, f64, i32 } = env.arena;
  const shm = shmKernels(env.arena);
  const dataOf = (mbuf) => u32[(mbuf + MBUF_BUF) >>> 2] + u16[(mbuf + MBUF_DATA_OFF) >>> 1];

  const take = (frame, own) => {
    const end = ends[u32[(frame + QUEUE) >>> 2]];
    if (end !== own) return f64[own.counters + 7]++;
    const at = end.counters;
    f64[at + 1] = Math.max(f64[at + 1], u32[(frame + EXPECTED) >>> 2]);
    const number = u32[(frame + NUMBER) >>> 2];
    if (number === NO_NUMBER) return;
    f64[at + 6]++;
    const next = f64[at + 2];
    if (number < next) {
      if (end.missing.delete(number)) f64[at + 5]++;
      else f64[at + 3]++;
    } else {
      for (let i = next; i < number && end.missing.size < 10_000; i++) end.missing.add(i);
      f64[at + 2] = number + 1;
    }
    f64[at + 4] = end.missing.size;
  };

  const receive = (end) => {
    const n = end.rx.burst(pkts, BURST);
    for (let i = 0; i < n; i++) take(dataOf(u32[(pkts >>> 2) + i]), end);
    if (n > 0) shm.pktmbuf_free_bulk(env.index, pkts, n);
    return n;
  };

  const make = (end, q) => {
    const at = end.counters;
    const open = Math.max(0, Math.min(BURST, f64[at + 1] + WINDOW - f64[at]));
    const numbered = Atomics.load(i32, (words + SEND) >>> 2) === 1 ? open : 0;
    const expected = f64[at + 2];
    const n = numbered > 0 ? numbered : expected - end.told >= ACK_EVERY ? 1 : 0;
    if (n === 0 || shm.pktmbuf_alloc_bulk(pool, env.index, end.waiting, n) === 0) return;
    for (let i = 0; i < n; i++) {
      const mbuf = u32[(end.waiting >>> 2) + i];
      const frame = dataOf(mbuf);
      u8.fill(0xff, frame, frame + 6);
      u8.fill(0x02, frame + 6, frame + 12);
      u32[(frame + 12) >>> 2] = 0xb588; // a local experiment's EtherType
      u32[(frame + QUEUE) >>> 2] = q;
      u32[(frame + NUMBER) >>> 2] = numbered > 0 ? f64[at]++ : NO_NUMBER;
      u32[(frame + EXPECTED) >>> 2] = expected;
      u16[(mbuf + MBUF_DATA_LEN) >>> 1] = FRAME_BYTES;
      u32[(mbuf + MBUF_PKT_LEN) >>> 2] = FRAME_BYTES;
    }
    end.told = expected;
    end.first = 0;
    end.count = n;
  };

  const send = (end, q) => {
    if (end.count === 0) make(end, q);
    if (end.count === 0) {
      end.tx.flush?.();
      return 0;
    }
    const n = end.tx.burst(end.waiting + 4 * end.first, end.count);
    end.first += n;
    end.count -= n;
    return n;
  };

  pollLoop(env, () => {
    let moved = 0;
    for (let q = 0; q < ends.length; q++) moved += receive(ends[q]) + send(ends[q], q);
    return moved;
  });
  for (const { waiting, first, count } of ends)
    if (count > 0) shm.pktmbuf_free_bulk(env.index, waiting + 4 * first, count);
}
