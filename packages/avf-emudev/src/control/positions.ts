// Where each queue stands: the words that the backend begins at and leaves (emudev's layout/position.ts), one record a queue by
// emudev's numbers. They lie in a memzone of the device, or in its state file (state/state-file.ts), where they outlive the
// process. The device writes them only while the backend does not have the queue.
import { AVF_QUEUE_PAIRS_MAX } from "@emudev/avf";
import { type EmuDevQueuePosition, loadPlace, QPOS_BYTES, storePlace } from "@emudev/emudev";
import type { Arena } from "@emudev/shm";

export const POSITIONS = 2 * AVF_QUEUE_PAIRS_MAX;
export const POSITIONS_BYTES = POSITIONS * QPOS_BYTES;

export class Positions {
  readonly #arena: Arena;
  readonly #off: number;
  readonly #durable: boolean;

  /** @param off POSITIONS_BYTES in the arena; @param durable they outlive the process, and hold what the last one left */
  constructor(arena: Arena, off: number, durable: boolean) {
    this.#arena = arena;
    this.#off = off;
    this.#durable = durable;
    if (!durable) for (let queue = 0; queue < POSITIONS; queue++) this.set(queue, 0);
  }

  /** For the backend. */
  of(queue: number): EmuDevQueuePosition {
    return { off: this.#off + queue * QPOS_BYTES, durable: this.#durable };
  }

  get(queue: number): number {
    return loadPlace(this.#arena, this.#off + queue * QPOS_BYTES)?.done ?? 0;
  }

  set(queue: number, word: number): void {
    storePlace(this.#arena, this.#off + queue * QPOS_BYTES, word);
  }
}
