// How lcores poll and what they did: the poll mode and the switch for timing turns, written into every lcore's words, and
// the counters of data/poll-loop.ts read back. Called by init.ts (--poll-mode, telemetry) and by applications.
import type { Arena } from "@emudev/shm";
import { wakeLcore } from "../data/wake.ts";
import {
  LCORE_BUSY_LOOPS,
  LCORE_BUSY_NS,
  LCORE_LOOPS,
  LCORE_NAP_US,
  LCORE_NAPS,
  LCORE_POLL_MODE,
  LCORE_RECORD,
  LCORE_TIMED_NS,
  POLL_ADAPTIVE,
  POLL_BUSY,
  POLL_INTERRUPT,
} from "../layout/lcore.ts";
import type { Lcore } from "./lcores.ts";

/**
 * What an lcore does with nothing to do. busy: it polls on; adaptive: it naps, 50 us to 1 ms at a time; interrupt: where all
 * that it polls makes events (trapped doorbells), it waits for one and looks by itself every 100 ms, else as adaptive.
 */
export type PollMode = "busy" | "adaptive" | "interrupt";

const MODES: Record<PollMode, number> = { busy: POLL_BUSY, adaptive: POLL_ADAPTIVE, interrupt: POLL_INTERRUPT };
export const POLL_MODES = Object.keys(MODES) as PollMode[];

/** Since the lcore's first launch. */
export interface LcoreUsage {
  /** Turns of the polling loop, and those that moved a packet. */
  loops: number;
  busyLoops: number;
  naps: number;
  napUs: number;
  /** Nanoseconds during which turns were timed, and those in turns that moved a packet. */
  timedNs: number;
  busyNs: number;
}

/** Sets the poll mode; lcores that nap are woken, so it holds at once. */
export function setPollMode(arena: Arena, lcores: readonly Lcore[], mode: PollMode): void {
  for (const { off } of lcores) {
    arena.u32[(off + LCORE_POLL_MODE) >>> 2] = MODES[mode];
    wakeLcore(arena, off);
  }
}

/** Turns the timing of turns on or off; it costs a look at the clock, 0.1 us, each turn. */
export function recordCoreCycles(arena: Arena, lcores: readonly Lcore[], on: boolean): void {
  for (const { off } of lcores) arena.u32[(off + LCORE_RECORD) >>> 2] = on ? 1 : 0;
}

export function lcoreUsage(arena: Arena, { off }: Lcore): LcoreUsage {
  const at = (field: number): number => arena.counter(off + field);
  return {
    loops: at(LCORE_LOOPS),
    busyLoops: at(LCORE_BUSY_LOOPS),
    naps: at(LCORE_NAPS),
    napUs: at(LCORE_NAP_US),
    timedNs: at(LCORE_TIMED_NS),
    busyNs: at(LCORE_BUSY_NS),
  };
}
