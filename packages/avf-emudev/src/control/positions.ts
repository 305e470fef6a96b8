// Where each queue stands: the words that the backend begins at and leaves (emudev's layout/position.ts), one record a queue by
// emudev's numbers. They lie in a memzone of the device, or in its state file (state/state-file.ts), where they outlive the
// process. The device writes them only while the backend does not have the queue.
import { AVF_QUEUE_PAIRS_MAX } from "@emudev/avf";
import { type EmuDevQueuePosition, QPOS_BYTES, QPOS_DONE, QPOS_NEXT } from "@emudev/emudev";
import type { Arena } from "@emudev/shm";

export const POSITIONS_BYTES = 2 * AVF_QUEUE_PAIRS_MAX * QPOS_BYTES;

export class Positions {
  readonly #arena: Arena;
  readonly #off: number;
  readonly #durable: boolean;

  /** @param off POSITIONS_BYTES in the arena; @param durable they outlive the process */
  constructor(arena: Arena, off: number, durable: boolean) {
    this.#arena = arena;
    this.#off = off;
    this.#durable = durable;
  }

  /** For the backend. */
  of(queue: number): EmuDevQueuePosition {
    return { off: this.#off + queue * QPOS_BYTES, durable: this.#durable };
  }

  get(queue: number): number {
    return this.#arena.u32[(this.#off + queue * QPOS_BYTES + QPOS_DONE) >>> 2]!;
  }

  set(queue: number, word: number): void {
    const at = this.#off + queue * QPOS_BYTES;
    Atomics.store(this.#arena.u32, (at + QPOS_NEXT) >>> 2, word);
    Atomics.store(this.#arena.u32, (at + QPOS_DONE) >>> 2, word);
  }
}
