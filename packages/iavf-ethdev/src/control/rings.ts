// What the main thread does to the queues of a port as a whole, while no burst is under way: lets bursts in or keeps them out,
// points queues to other doorbells, writes tails as the rings have them, empties rings. Called by port.ts.
import { RX_STATUS_DD, RX_STATUS_EOF, RX_WB_QW1 } from "@emudev/avf";
import type { Arena } from "@emudev/shm";
import { iavfKernels } from "../data/kernels.ts";
import * as R from "../layout/rx-queue.ts";
import * as T from "../layout/tx-queue.ts";
import type { Doorbells } from "./doorbells.ts";
import type { Doorbell, QueueMemory } from "./queue-memory.ts";

export type Queues<Q extends QueueMemory = QueueMemory> = (Q | undefined)[];

const MAIN_LCORE = 0; // index of the main lcore, which fills and empties rings

/** Lets bursts touch the rings, or keeps them out from their next call on. */
export function letBursts(arena: Arena, rx: Queues, tx: Queues, run: boolean): void {
  const set = (off: number) => Atomics.store(arena.u32, off >>> 2, run ? 1 : 0);
  for (const queue of rx) if (queue !== undefined) set(queue.off + R.RXQ_RUN);
  for (const queue of tx) if (queue !== undefined) set(queue.off + T.TXQ_RUN);
}

/** Nothing signals the doorbells any more; no burst may be let in. */
export function unwire(arena: Arena, rx: Queues, tx: Queues): void {
  const set = (off: number) => Atomics.store(arena.u32, off >>> 2, 0);
  for (const queue of rx) if (queue !== undefined) set(queue.off + R.RXQ_KICK);
  for (const queue of tx) if (queue !== undefined) set(queue.off + T.TXQ_KICK);
}

/** Points the queues to the doorbells of another connection. */
export function rewire(arena: Arena, rx: Queues, tx: Queues, doorbells: Doorbells): void {
  const set = (word: number, kick: number, bell: Doorbell): void => {
    arena.u32[word >>> 2] = bell.word;
    Atomics.store(arena.u32, kick >>> 2, bell.kick);
  };
  for (const [q, queue] of rx.entries())
    if (queue !== undefined) set(queue.off + R.RXQ_DOORBELL, queue.off + R.RXQ_KICK, doorbells.rx(q));
  for (const [q, queue] of tx.entries())
    if (queue !== undefined) set(queue.off + T.TXQ_DOORBELL, queue.off + T.TXQ_KICK, doorbells.tx(q));
}

/** Writes the tails as bursts have left them; of rings that are not filled none. */
export function writeTails({ u32 }: Arena, rx: Queues, tx: Queues): void {
  const get = (off: number) => u32[off >>> 2]!;
  for (const queue of rx) {
    if (queue === undefined) continue;
    const held = get(queue.off + R.RXQ_HELD);
    if (held === queue.size) continue;
    // The tail is one behind the last descriptor that has a buffer's end.
    const tail = (get(queue.off + R.RXQ_NEXT) + 2 * queue.size - held - 1) % queue.size;
    Atomics.store(u32, get(queue.off + R.RXQ_DOORBELL) >>> 2, tail);
  }
  for (const queue of tx)
    if (queue !== undefined) Atomics.store(u32, get(queue.off + T.TXQ_DOORBELL) >>> 2, get(queue.off + T.TXQ_TAIL));
}

/** Frees every mbuf of the rings, which the device has let go of. */
export function emptyRings(arena: Arena, rx: Queues, tx: Queues): void {
  const kernels = iavfKernels(arena);
  for (const queue of rx) if (queue !== undefined) kernels.iavf_rx_release(queue.off, MAIN_LCORE);
  for (const queue of tx) if (queue !== undefined) kernels.iavf_tx_release(queue.off, MAIN_LCORE);
}

/** Gives every descriptor a buffer and writes the tail. False for want of mbufs. */
export const fillRing = (arena: Arena, { off }: QueueMemory): boolean =>
  iavfKernels(arena).iavf_rx_fill(off, MAIN_LCORE) !== 0;

/** Packets that lie in a receive ring and were not taken. */
export function receivedIn({ u32, u64 }: Arena, { off, ringOff, size }: QueueMemory): number {
  let at = u32[(off + R.RXQ_NEXT) >>> 2]!;
  let packets = 0;
  for (let left = size - u32[(off + R.RXQ_HELD) >>> 2]!; left > 0; left--, at = at + 1 === size ? 0 : at + 1) {
    const word = Atomics.load(u64, (ringOff + at * R.RXQ_DESC_BYTES + RX_WB_QW1) >>> 3);
    if ((word & BigInt(RX_STATUS_DD)) === 0n) break;
    if ((word & BigInt(RX_STATUS_EOF)) !== 0n) packets++;
  }
  return packets;
}

/** Packets in a transmit ring that the device has not reported done; some of them it may have sent. */
export function unreportedIn({ u32 }: Arena, { off, size }: QueueMemory): number {
  const swRing = u32[(off + T.TXQ_SW_RING) >>> 2]!;
  const tail = u32[(off + T.TXQ_TAIL) >>> 2]!;
  let packets = 0;
  for (let at = u32[(off + T.TXQ_CLEAN) >>> 2]!; at !== tail; at = at + 1 === size ? 0 : at + 1)
    if (u32[(swRing >>> 2) + at] !== 0) packets++;
  return packets;
}
