// How an lcore opens the queues of a net_iavf port (the data module's contract with ethdev). A burst is one kernel call;
// where ring tails are not mapped an eventfd follows it: the device's own, or one that tells the main thread that there is
// a tail to send.
import type { LcoreEnv } from "@emudev/eal/data";
import type { RxQueue, TxQueue } from "@emudev/ethdev/data";
import { signalEventfd } from "@emudev/linux/data";
import type { Arena } from "@emudev/shm/data";
import { KICK_DIRECT, KICK_DIRTY, KICK_FD, KICK_IDLE, KICK_SIGNALLED, KICK_WORD } from "../layout/doorbell.ts";
import { RXQ_KICK } from "../layout/rx-queue.ts";
import { TXQ_KICK } from "../layout/tx-queue.ts";
import { iavfKernels } from "./kernels.ts";

/** Opens receive queue state at `off` for bursts by this lcore. */
export function openRxQueue(env: LcoreEnv, off: number): RxQueue {
  const kernels = iavfKernels(env.arena);
  const lcore = env.index;
  const kickWord = (off + RXQ_KICK) >>> 2;
  if (env.arena.u32[kickWord] === 0) return { burst: (pkts, n) => kernels.iavf_rx_burst(off, lcore, pkts, n) };
  return {
    burst(pkts, n) {
      const kick = env.arena.u32[kickWord]!;
      const received = kernels.iavf_rx_burst(off, lcore, pkts, n);
      if (kick !== 0) tell(env.arena, kick);
      return received;
    },
  };
}

/** Opens transmit queue state at `off` for bursts by this lcore. */
export function openTxQueue(env: LcoreEnv, off: number): TxQueue {
  const kernels = iavfKernels(env.arena);
  const lcore = env.index;
  const kickWord = (off + TXQ_KICK) >>> 2;
  const flush = (): void => {
    kernels.iavf_tx_reclaim(off, lcore);
  };
  if (env.arena.u32[kickWord] === 0) return { burst: (pkts, n) => kernels.iavf_tx_burst(off, lcore, pkts, n), flush };
  return {
    burst(pkts, n) {
      const kick = env.arena.u32[kickWord]!;
      const accepted = kernels.iavf_tx_burst(off, lcore, pkts, n);
      if (kick !== 0) tell(env.arena, kick);
      return accepted;
    },
    flush,
  };
}

// The kick word is another one after a reconnection, so it is read for each burst; 0 while there is none.
function tell(arena: Arena, kick: number): void {
  if (arena.u32[(kick + KICK_DIRECT) >>> 2] === 1) signalDevice(arena, kick);
  else forwardTail(arena, kick);
}

// One signal for all tails that move until the main thread has looked.
function forwardTail(arena: Arena, kick: number): void {
  const word = (kick + KICK_WORD) >>> 2;
  if (Atomics.compareExchange(arena.i32, word, KICK_DIRTY, KICK_SIGNALLED) !== KICK_DIRTY) return;
  signalEventfd(arena.i32[(kick + KICK_FD) >>> 2]!);
}

// One signal for each burst that moved the tail. The word is this lcore's alone: a queue has one poller.
function signalDevice(arena: Arena, kick: number): void {
  const word = (kick + KICK_WORD) >>> 2;
  if (arena.i32[word] !== KICK_DIRTY) return;
  arena.i32[word] = KICK_IDLE;
  signalEventfd(arena.i32[(kick + KICK_FD) >>> 2]!);
}
