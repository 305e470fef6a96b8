// What the probe's lcore runs: it sends packets at a steady rate, each with a sequence number and the time it left, receives
// them back, and counts their round trips in a histogram. c/dpdk-probe.c does the same on a DPDK port. Rates beyond what the
// path takes are cut by the rings: what a queue does not take was not sent. Launched by probe.ts.
import { type LcoreEnv, pollLoop, stopLcore } from "@emudev/eal/data";
import { type DataPort, importDriver } from "@emudev/ethdev/data";
import { MBUF_BUF, MBUF_DATA_LEN, MBUF_DATA_OFF, MBUF_PKT_LEN, shmKernels } from "@emudev/shm/data";

const BURST = 32;
/** Buckets of 0.1 us; what takes longer than all of them is in the last. */
export const BUCKETS = 200_000;
export const BUCKETS_PER_US = 10;

export interface PacerArg {
  port: DataPort;
  pool: number;
  /** Bytes of a packet without CRC, at least 60. */
  bytes: number;
  /** Destination and source address: 12 bytes. */
  macs: number[];
  /** Packets a microsecond; Infinity = as many as the queue takes. */
  perUs: number;
  /** Microseconds before round trips are counted, during which they are, and after the last packet was sent. */
  warmUs: number;
  runUs: number;
  drainUs: number;
}

export interface Pace {
  sent: number;
  received: number;
  /** Packets that came back while round trips were counted, a second. */
  pps: number;
  histogram: Uint32Array;
}

export async function main(env: LcoreEnv, arg: PacerArg): Promise<Pace> {
  const { port, pool, bytes, perUs } = arg;
  const { u16, u32 } = env.arena;
  const driver = await importDriver(port.module);
  const rx = driver.openRxQueue(env, port.rx[0]!, port.portId, 0);
  const tx = driver.openTxQueue(env, port.tx[0]!, port.portId, 0);
  const shm = shmKernels(env.arena);
  const lcore = env.index;
  const pkts = env.scratch;
  const head = new Uint32Array(Uint8Array.from([...arg.macs, 0x88, 0xb5, 0, 0]).buffer);
  const histogram = new Uint32Array(BUCKETS);
  const start = env.nowUs();
  const [from, to] = [arg.warmUs, arg.warmUs + arg.runUs];
  let sent = 0;
  let received = 0;
  let counted = 0;

  const receive = (now: number): void => {
    const n = rx.burst(pkts, BURST);
    if (n === 0) return;
    for (let i = 0; i < n; i++) {
      const mbuf = u32[(pkts >>> 2) + i]!;
      const data = (u32[(mbuf + MBUF_BUF) >>> 2]! + u16[(mbuf + MBUF_DATA_OFF) >>> 1]!) >>> 2;
      if (now < from || now >= to) continue;
      const trip = now * BUCKETS_PER_US - u32[data + 4]!;
      histogram[Math.min(Math.max(Math.floor(trip), 0), BUCKETS - 1)]!++;
      counted++;
    }
    received += n;
    shm.pktmbuf_free_bulk(lcore, pkts, n);
  };

  const send = (now: number): void => {
    const due = perUs === Number.POSITIVE_INFINITY ? BURST : Math.min(BURST, Math.floor(now * perUs) - sent);
    if (due <= 0) {
      tx.flush?.();
      return;
    }
    if (shm.pktmbuf_alloc_bulk(pool, lcore, pkts, due) !== due) return;
    for (let i = 0; i < due; i++) {
      const mbuf = u32[(pkts >>> 2) + i]!;
      const data = (u32[(mbuf + MBUF_BUF) >>> 2]! + u16[(mbuf + MBUF_DATA_OFF) >>> 1]!) >>> 2;
      for (let word = 0; word < 4; word++) u32[data + word] = head[word]!;
      u32[data + 4] = now * BUCKETS_PER_US;
      u32[data + 5] = sent + i;
      u16[(mbuf + MBUF_DATA_LEN) >>> 1] = bytes;
      u32[(mbuf + MBUF_PKT_LEN) >>> 2] = bytes;
    }
    const taken = tx.burst(pkts, due);
    sent += taken;
    if (taken < due) shm.pktmbuf_free_bulk(lcore, pkts + (taken << 2), due - taken);
  };

  pollLoop(env, () => {
    const now = env.nowUs() - start;
    receive(now);
    if (now < to) send(now);
    else if (received === sent || now > to + arg.drainUs) stopLcore(env.arena, env.off);
    return 1;
  });
  return { sent, received, pps: (counted * 1e6) / arg.runUs, histogram };
}
