// The port's queues as an lcore polls them: one kernel call a burst, then at most one interrupt for each guest queue that
// the burst completed descriptors of. What ITR holds back is looked at in each call, packets or not. The last two stops of
// the data path in TypeScript; opened by ethdev's openPort.
import type { LcoreEnv } from "@emudev/eal/data";
import { pollHeld, raiseVector } from "@emudev/emudev/data";
import type { RxQueue, TxQueue } from "@emudev/ethdev/data";
import { GQ_VECTOR, GTX_BYTES } from "../layout/guest-queue.ts";
import { RXQ_ACTIVE, RXQ_GUESTS, RXQ_RAISE, TXQ_GUEST, TXQ_RAISE } from "../layout/port-queue.ts";
import { avfbeKernels } from "./kernels.ts";

/** A receive queue of the port: what one or more transmit queues of the guest send. */
export function openRxQueue(env: LcoreEnv, off: number, _portId: number, _queueId: number): RxQueue {
  const { u32, i32 } = env.arena;
  const { avfbe_rx_burst } = avfbeKernels(env.arena);
  const { index } = env;
  const guests = u32[(off + RXQ_GUESTS) >>> 2]!;
  const activeWord = (off + RXQ_ACTIVE) >>> 2;
  const raiseWord = (off + RXQ_RAISE) >>> 2;
  const vectorOf = (guest: number): number => u32[(guests + guest * GTX_BYTES + GQ_VECTOR) >>> 2]!;
  return {
    burst(pktsOff, n) {
      const received = avfbe_rx_burst(off, pktsOff, n, index);
      const raise = u32[raiseWord]!;
      for (let left = Atomics.load(i32, activeWord); left !== 0; left &= left - 1) {
        const guest = 31 - Math.clz32(left & -left);
        const vector = vectorOf(guest);
        if (vector === 0) continue;
        if ((raise >>> guest) & 1) raiseVector(env, vector);
        else pollHeld(env, vector);
      }
      return received;
    },
  };
}

/** A transmit queue of the port: what one receive queue of the guest gets. */
export function openTxQueue(env: LcoreEnv, off: number, _portId: number, _queueId: number): TxQueue {
  const { u32, i32 } = env.arena;
  const { avfbe_tx_burst } = avfbeKernels(env.arena);
  const { index } = env;
  const guestWord = (off + TXQ_GUEST) >>> 2;
  const raiseWord = (off + TXQ_RAISE) >>> 2;
  const poll = (): void => {
    const guest = Atomics.load(i32, guestWord) >>> 0;
    const vector = guest === 0 ? 0 : u32[(guest + GQ_VECTOR) >>> 2]!;
    if (vector !== 0) pollHeld(env, vector);
  };
  return {
    burst(pktsOff, n) {
      const sent = avfbe_tx_burst(off, pktsOff, n, index);
      const vector = u32[raiseWord]!;
      if (vector !== 0) raiseVector(env, vector);
      else poll();
      return sent;
    },
    flush: poll,
  };
}
