// The port's queues as an lcore polls them: one kernel call a burst. The kernel also does the common part of the interrupt
// protocol; what is left, for vectors that are armed or held back by ITR, is done here, at most once a burst for each guest
// queue. The last two stops of the data path in TypeScript; opened by ethdev's openPort.
import type { LcoreEnv } from "@emudev/eal/data";
import { announceReader, fireVector, pollHeld } from "@emudev/emudev/data";
import type { RxQueue, TxQueue } from "@emudev/ethdev/data";
import { GQ_VECTOR, GRX_BYTES, GRX_HOLD, GTX_BYTES } from "../layout/guest-queue.ts";
import { HOLD_COUNT } from "../layout/hold.ts";
import {
  RXQ_FIRE,
  RXQ_GUESTS,
  RXQ_LEND,
  RXQ_MEM_WORD,
  RXQ_POLLED,
  TXQ_FIRE,
  TXQ_FIRE_MANY,
  TXQ_FIRES,
  TXQ_GUEST,
  TXQ_MEM_WORD,
  TXQ_RSS,
  TXQ_STATES,
} from "../layout/port-queue.ts";
import { RSS_ACTIVE } from "../layout/rss.ts";
import { avfbeKernels } from "./kernels.ts";

/** A receive queue of the port: what one or more transmit queues of the guest send. */
export function openRxQueue(env: LcoreEnv, off: number, _portId: number, _queueId: number): RxQueue {
  const { u32 } = env.arena;
  const { avfbe_rx_burst } = avfbeKernels(env.arena);
  const { index } = env;
  const guests = u32[(off + RXQ_GUESTS) >>> 2]!;
  const fireWord = (off + RXQ_FIRE) >>> 2;
  const polledWord = (off + RXQ_POLLED) >>> 2;
  u32[(off + RXQ_LEND) >>> 2] = 0;
  announceReader(env, u32[(off + RXQ_MEM_WORD) >>> 2]!);
  const fireAll = (): void => {
    for (let left = u32[fireWord]!; left !== 0; left &= left - 1) {
      const guest = 31 - Math.clz32(left & -left);
      fireVector(env, u32[(guests + guest * GTX_BYTES + GQ_VECTOR) >>> 2]!);
    }
  };
  return {
    burst(pktsOff, n) {
      const received = avfbe_rx_burst(off, pktsOff, n, index);
      if (u32[fireWord] !== 0) fireAll();
      return received;
    },
    announced: () => u32[polledWord] === 0,
    lend(on) {
      u32[(off + RXQ_LEND) >>> 2] = on ? 1 : 0;
    },
  };
}

/** A transmit queue of the port: what one receive queue of the guest gets, or several do. */
export function openTxQueue(env: LcoreEnv, off: number, _portId: number, _queueId: number): TxQueue {
  const { u32, i32 } = env.arena;
  const { avfbe_tx_burst, avfbe_tx_held } = avfbeKernels(env.arena);
  const { index } = env;
  const guestWord = (off + TXQ_GUEST) >>> 2;
  const fireWord = (off + TXQ_FIRE) >>> 2;
  const rssWord = (off + TXQ_RSS) >>> 2;
  announceReader(env, u32[(off + TXQ_MEM_WORD) >>> 2]!);
  /** Calls `done` for the vectors of the guest's receive queues `mask`. */
  const each = (mask: number, done: (env: LcoreEnv, vector: number) => void): void => {
    const states = u32[(off + TXQ_STATES) >>> 2]!;
    for (let left = mask; left !== 0; left &= left - 1) {
      const vector = u32[(states + (31 - Math.clz32(left & -left)) * GRX_BYTES + GQ_VECTOR) >>> 2]!;
      if (vector !== 0) done(env, vector);
    }
  };
  const fireAll = (): void => {
    const fire = u32[fireWord]!;
    if (fire === TXQ_FIRE_MANY) each(u32[(off + TXQ_FIRES) >>> 2]!, fireVector);
    else if (fire !== 0) fireVector(env, fire);
  };
  /** Whether packets wait for a window of the guest's memory. */
  const holds = (guest: number): boolean => {
    const hold = u32[(guest + GRX_HOLD) >>> 2]!;
    return hold !== 0 && u32[(hold + HOLD_COUNT) >>> 2] !== 0;
  };
  const someHold = (mask: number): boolean => {
    const states = u32[(off + TXQ_STATES) >>> 2]!;
    for (let left = mask; left !== 0; left &= left - 1)
      if (holds(states + (31 - Math.clz32(left & -left)) * GRX_BYTES)) return true;
    return false;
  };
  return {
    immediate: true,
    burst(pktsOff, n) {
      const sent = avfbe_tx_burst(off, pktsOff, n, index);
      fireAll();
      return sent;
    },
    flush() {
      const rss = Atomics.load(i32, rssWord) >>> 0;
      if (rss !== 0) {
        const active = u32[(rss + RSS_ACTIVE) >>> 2]!;
        if (someHold(active)) {
          avfbe_tx_held(off);
          fireAll();
        }
        each(active, pollHeld);
        return;
      }
      const guest = Atomics.load(i32, guestWord) >>> 0;
      if (guest !== 0 && holds(guest)) {
        avfbe_tx_held(off);
        fireAll();
      }
      const vector = guest === 0 ? 0 : u32[(guest + GQ_VECTOR) >>> 2]!;
      if (vector !== 0) pollHeld(env, vector);
    },
  };
}
