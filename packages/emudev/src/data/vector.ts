// Interrupts from lcores: a driver raises its queue's vector at most once a burst and polls what ITR held back once a
// burst call. The main thread's half is control/vector.ts. Called by backend drivers' data modules.
import type { LcoreEnv } from "@emudev/eal/data";
import { VECTOR_FIRED, VECTOR_HELD, VECTOR_PENDING } from "../layout/vector.ts";
import { tryFire } from "./fire.ts";

/**
 * Raises a vector: signals its eventfd if it is armed and ITR allows, else leaves it pending.
 * @param off arena offset of the vector (layout/vector.ts)
 * @param nowUs the data clock where the caller has read it already; else it is read when it is needed
 */
export function raiseVector(env: LcoreEnv, off: number, nowUs?: number): void {
  Atomics.store(env.arena.i32, (off + VECTOR_PENDING) >>> 2, 1);
  const due = tryFire(env.arena, off, nowUs === undefined ? env.nowUs : () => nowUs, VECTOR_FIRED);
  if (due !== 0 && due < env.deadlineUs) env.deadlineUs = due;
}

/** Fires a vector whose ITR interval has passed; otherwise lowers env.deadlineUs so that the lcore is awake by then. */
export function pollHeld(env: LcoreEnv, off: number): void {
  if (Atomics.load(env.arena.i32, (off + VECTOR_HELD) >>> 2) !== 0) fireVector(env, off);
}

/** What follows a kernel's markPending or isHeld: fires the vector if it is pending and may be fired, or sets the deadline. */
export function fireVector(env: LcoreEnv, off: number): void {
  const due = tryFire(env.arena, off, env.nowUs, VECTOR_FIRED);
  if (due !== 0 && due < env.deadlineUs) env.deadlineUs = due;
}
