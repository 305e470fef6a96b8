// What a function that runs on an lcore is given: its number, the packet memory, the stop word, scratch memory and a clock.
// Made once a task by the thread's entry (../control/lcore-thread.ts), and by main() itself for work on the main lcore.
import type { Arena, Qsbr } from "@emudev/shm/data";
import { LCORE_SCRATCH, LCORE_STOP } from "../layout/lcore.ts";

export interface LcoreEnv {
  /** The lcore's id, as on the command line. */
  readonly id: number;
  /** Its place in per-lcore tables (mempool caches, QSBR): 0 is the main lcore. */
  readonly index: number;
  readonly arena: Arena;
  readonly qsbr: Qsbr;
  /** Arena offset of this lcore's words (layout/lcore.ts). */
  readonly off: number;
  /** Arena offset of LCORE_SCRATCH_BYTES that only this lcore uses. */
  readonly scratch: number;
  /** True once the lcore has been told to stop. */
  stopping(): boolean;
  /** CLOCK_MONOTONIC in microseconds: the same clock in every thread and process. */
  nowUs(): number;
  /**
   * Time in microseconds by which this lcore must be awake, Infinity = none. The polling loop resets it before every turn;
   * drivers lower it.
   */
  deadlineUs: number;
}

/** CLOCK_MONOTONIC in microseconds. */
export function nowUs(): number {
  // By index: taken apart by a pattern it is too long to be inlined, and then leaves garbage on an lcore.
  const time = process.hrtime();
  return time[0] * 1e6 + time[1] / 1e3;
}

/**
 * Makes the environment of an lcore.
 * @param off arena offset of its words
 */
export function makeLcoreEnv(arena: Arena, qsbr: Qsbr, id: number, index: number, off: number): LcoreEnv {
  const { i32, u32 } = arena;
  const stop = (off + LCORE_STOP) >>> 2;
  return {
    id,
    index,
    arena,
    qsbr,
    off,
    scratch: u32[(off + LCORE_SCRATCH) >>> 2]!,
    stopping: () => Atomics.load(i32, stop) !== 0,
    nowUs,
    deadlineUs: Number.POSITIVE_INFINITY,
  };
}
