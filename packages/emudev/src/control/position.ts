// The words of a queue's position (layout/position.ts) as the main thread reads and writes them: by the provider that keeps
// them and by the backend's control side, each while no lcore has the queue.
import type { Arena } from "@emudev/shm";
import { QPOS_DONE, QPOS_NEXT } from "../layout/position.ts";

/** Both words of a position: an index and the backend's flags each. */
export interface QueuePlace {
  done: number;
  next: number;
}

/** A word with its complement above it. */
export const sealPlace = (word: number): bigint => (BigInt(~word >>> 0) << 32n) | BigInt(word >>> 0);

/** What sealPlace() was given, or null: it was damaged since. */
export function openPlace(sealed: bigint): number | null {
  const word = Number(sealed & 0xffffffffn);
  return sealPlace(word) === sealed ? word : null;
}

/** The words at an arena offset; null when one of them is damaged. */
export function loadPlace(arena: Arena, off: number): QueuePlace | null {
  const done = openPlace(Atomics.load(arena.u64, (off + QPOS_DONE) >>> 3));
  const next = openPlace(Atomics.load(arena.u64, (off + QPOS_NEXT) >>> 3));
  return done === null || next === null ? null : { done, next };
}

/** Descriptors up to that of `word` are about to be given back. */
export function storeIntent(arena: Arena, off: number, word: number): void {
  Atomics.store(arena.u64, (off + QPOS_NEXT) >>> 3, sealPlace(word));
}

/** The queue stands at `word`, and nothing is being given back. */
export function storePlace(arena: Arena, off: number, word: number): void {
  storeIntent(arena, off, word);
  Atomics.store(arena.u64, (off + QPOS_DONE) >>> 3, sealPlace(word));
}
