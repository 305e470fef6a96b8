// What the polling lcore of either side runs: receive a burst and free it, and while sending is on, make a burst and hand it
// to the driver, whose refusals are offered again in the next turn so that nothing is thrown away. The packets' bytes lie
// ready in the pool (frame.ts); only lengths are set. Started by child.ts; the words are those of words.ts.
import { type LcoreEnv, pollLoop } from "@emudev/eal/data";
import { type DataPort, openPort } from "@emudev/ethdev/data";
import { MBUF_DATA_LEN, MBUF_PKT_LEN } from "@emudev/shm";
import { shmKernels } from "@emudev/shm/data";
import { WORDS } from "./words.ts";

export interface LoopArg {
  port: DataPort;
  /** Arena offset of the words. */
  words: number;
  /** Arena offset of the mempool whose buffers hold the packet. */
  pool: number;
  bytes: number;
  burst: number;
}

export async function main(env: LcoreEnv, arg: LoopArg): Promise<void> {
  const { rx, tx } = await openPort(env, arg.port);
  const [rxQueue, txQueue] = [rx[0]!, tx[0]!];
  const kernels = shmKernels(env.arena);
  const { i32, u16, u32, f64 } = env.arena;
  const { index: lcore } = env;
  const { pool, bytes, burst } = arg;
  const sendWord = (arg.words + WORDS.SEND) >>> 2;
  const counter = (field: number): number => (arg.words + field) >>> 3;
  const received = counter(WORDS.RECEIVED);
  const receivedBytes = counter(WORDS.RECEIVED_BYTES);
  const handed = counter(WORDS.HANDED);
  const waitingCount = counter(WORDS.WAITING);
  const fullTurns = counter(WORDS.FULL);
  const noBuffer = counter(WORDS.NO_BUFFER);
  const rxPkts = env.scratch;
  const txPkts = env.scratch + 4 * burst;
  let next = txPkts; // first packet that waits
  let waiting = 0;

  const receive = (): number => {
    const n = rxQueue.burst(rxPkts, burst);
    if (n === 0) return 0;
    let sum = 0;
    for (let i = rxPkts >>> 2, end = i + n; i < end; i++) sum += u32[(u32[i]! + MBUF_PKT_LEN) >>> 2]!;
    kernels.pktmbuf_free_bulk(lcore, rxPkts, n);
    f64[received]! += n;
    f64[receivedBytes]! += sum;
    return n;
  };

  const make = (): void => {
    if (kernels.pktmbuf_alloc_bulk(pool, lcore, txPkts, burst) === 0) {
      f64[noBuffer]! += burst;
      return;
    }
    for (let i = txPkts >>> 2, end = i + burst; i < end; i++) {
      const mbuf = u32[i]!;
      u16[(mbuf + MBUF_DATA_LEN) >>> 1] = bytes;
      u32[(mbuf + MBUF_PKT_LEN) >>> 2] = bytes;
    }
    next = txPkts;
    waiting = burst;
  };

  const send = (): number => {
    if (waiting === 0 && Atomics.load(i32, sendWord) === 1) make();
    if (waiting === 0) {
      txQueue.flush?.();
      return 0;
    }
    const n = txQueue.burst(next, waiting);
    next += 4 * n;
    waiting -= n;
    if (waiting !== 0) f64[fullTurns]! += 1;
    f64[handed]! += n;
    f64[waitingCount] = waiting;
    return n;
  };

  pollLoop(env, () => receive() + send());
  // Stopped with packets in hand: they were never handed over, so nobody misses them.
  if (waiting !== 0) kernels.pktmbuf_free_bulk(lcore, next, waiting);
  f64[waitingCount] = 0;
}
