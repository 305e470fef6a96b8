// What the polling lcore of either side runs, made of testpmd's forwarding engine: mode rxonly on one stream, and on another
// the packets of mode txonly. Unlike txonly it throws nothing away: what the queue does not take is offered again in the
// next turn, and no packet is made before. Started by child.ts.
import { type LcoreEnv, pollLoop } from "@emudev/eal/data";
import { type DataPort, importDriver } from "@emudev/ethdev/data";
import { shmKernels } from "@emudev/shm/data";
import { fwdKernels } from "../fwd/kernels.ts";
import { rxonly } from "../fwd/rxonly.ts";
import { Stream } from "../fwd/stream.ts";
import type { FwdTask, StreamTask } from "../fwd/task.ts";
import { STREAM_NOMBUF, STREAM_PKTS, STREAM_RETRIES, STREAM_TX } from "../layout/stream.ts";

/** The words that the main thread and the lcore share, beside the streams' records. */
export const SEND = 0; // i32 atomic: 1 = send
export const WAITING = 64; // f64 packets made and not yet taken by the queue
export const WORDS_BYTES = 128;

export interface LoopArg {
  port: DataPort;
  /** Arena offsets of the words, of the engine's control block, of the two streams' records, of the mempool to send from. */
  words: number;
  block: number;
  receive: number;
  send: number;
  pool: number;
  burst: number;
}

export async function main(env: LcoreEnv, arg: LoopArg): Promise<void> {
  const { module, portId, rx, tx } = arg.port;
  const { openRxQueue, openTxQueue } = await importDriver(module);
  const rxRef = { module, portId, queueId: 0, off: rx[0]! };
  const rxQueue = openRxQueue(env, rxRef.off, portId, 0);
  const txQueue = openTxQueue(env, tx[0]!, portId, 0);
  const task: FwdTask = {
    mode: "rxonly",
    block: arg.block,
    pool: arg.pool,
    trace: 0,
    streams: [],
    shared: false,
    txFirst: 0,
  };
  const ends: StreamTask = { off: arg.receive, rx: rxRef, tx: null, copies: [] };
  const receive = rxonly(new Stream(env, task, ends, rxQueue, { burst: () => 0 }));

  const { i32, f64 } = env.arena;
  const { index: lcore } = env;
  const { pool, burst, send: stream } = arg;
  const kernels = fwdKernels(env.arena);
  const pkts = stream + STREAM_PKTS;
  const sendWord = (arg.words + SEND) >>> 2;
  const waitingCount = (arg.words + WAITING) >>> 3;
  const handed = (stream + STREAM_TX) >>> 3;
  const noMbuf = (stream + STREAM_NOMBUF) >>> 3;
  const retries = (stream + STREAM_RETRIES) >>> 3;
  let next = pkts; // first packet that waits
  let waiting = 0;

  const send = (): number => {
    if (waiting === 0 && Atomics.load(i32, sendWord) === 1) {
      waiting = kernels.fwd_txonly(stream, pool, lcore, burst);
      next = pkts;
      if (waiting === 0) f64[noMbuf]! += burst;
    }
    if (waiting === 0) {
      txQueue.flush?.();
      return 0;
    }
    const n = txQueue.burst(next, waiting);
    next += n << 2;
    waiting -= n;
    if (waiting !== 0) f64[retries]! += 1;
    f64[handed]! += n;
    f64[waitingCount] = waiting;
    return n;
  };

  pollLoop(env, () => receive() + send());
  // Stopped with packets in hand: they were never handed over, so nobody misses them.
  if (waiting !== 0) shmKernels(env.arena).pktmbuf_free_bulk(lcore, next, waiting);
}
