// What the idle probe's lcore runs: nothing for a while, then one packet, whose round trip it times; over and over. The guest
// itself polls, so all of the time is the device's, which has been idle. Launched by probe.ts.
import { type LcoreEnv, pollLoop, stopLcore } from "@emudev/eal/data";
import { type DataPort, importDriver } from "@emudev/ethdev/data";
import { MBUF_BUF, MBUF_DATA_LEN, MBUF_DATA_OFF, MBUF_PKT_LEN, shmKernels } from "@emudev/shm/data";

const BYTES = 60;
/** Packets before the first that counts, one behind the other: both sides' code is compiled by then, as after any traffic. */
const WARM = 20_000;

export interface FirstArg {
  port: DataPort;
  pool: number;
  /** Destination and source address: 12 bytes. */
  macs: number[];
  /** Microseconds without a packet before each one, and for how long one is waited for. */
  idleUs: number;
  lostUs: number;
  count: number;
}

/** Round trips in microseconds; Infinity = it did not come back. */
export async function main(env: LcoreEnv, arg: FirstArg): Promise<number[]> {
  const { port, pool, macs } = arg;
  const { u8, u16, u32 } = env.arena;
  const driver = await importDriver(port.module);
  const rx = driver.openRxQueue(env, port.rx[0]!, port.portId, 0);
  const tx = driver.openTxQueue(env, port.tx[0]!, port.portId, 0);
  const shm = shmKernels(env.arena);
  const trips: number[] = [];
  let sentAt = 0; // 0 = none is under way
  let next = 0;

  const send = (now: number): void => {
    if (shm.pktmbuf_alloc_bulk(pool, env.index, env.scratch, 1) !== 1) return;
    const mbuf = u32[env.scratch >>> 2]!;
    const data = u32[(mbuf + MBUF_BUF) >>> 2]! + u16[(mbuf + MBUF_DATA_OFF) >>> 1]!;
    u8.fill(0, data, data + BYTES);
    u8.set([...macs, 0x88, 0xb5], data);
    u16[(mbuf + MBUF_DATA_LEN) >>> 1] = BYTES;
    u32[(mbuf + MBUF_PKT_LEN) >>> 2] = BYTES;
    if (tx.burst(env.scratch, 1) === 1) sentAt = now;
    else shm.pktmbuf_free_bulk(env.index, env.scratch, 1);
  };

  pollLoop(env, () => {
    const n = rx.burst(env.scratch, 32);
    if (n > 0) shm.pktmbuf_free_bulk(env.index, env.scratch, n);
    const now = env.nowUs();
    if (sentAt === 0) {
      tx.flush?.();
      if (now >= next) send(now);
    } else if (n > 0 || now - sentAt > arg.lostUs) {
      trips.push(n > 0 ? now - sentAt : Number.POSITIVE_INFINITY);
      sentAt = 0;
      next = now + (trips.length < WARM ? 0 : arg.idleUs);
      if (trips.length === WARM + arg.count) stopLcore(env.arena, env.off);
    }
    return 1;
  });
  return trips.slice(WARM);
}
