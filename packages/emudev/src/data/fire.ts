// The words of an interrupt vector (layout/vector.ts) and the one decision both threads make over them: signal now, leave
// it pending, or hold it until the throttling interval (ITR) has passed. `armed` and `pending` have two writers, so every
// access is sequentially consistent: whoever sets one then looks at the other, and an interrupt is never lost between.
import { signalEventfd } from "@emudev/linux/data";
import type { Arena } from "@emudev/shm/data";
import {
  VECTOR_ARMED,
  VECTOR_FD,
  VECTOR_HELD,
  VECTOR_ITR_US,
  VECTOR_ITRN,
  VECTOR_LAST_US,
  VECTOR_PENDING,
} from "../layout/vector.ts";

/** Bits of an ITR register that count, in units of 2 us. */
const ITR_INTERVAL_MASK = 0xfff;

/** Least gap between two interrupts in microseconds; from the mapped register, which the guest may write at any time. */
function gapUs(arena: Arena, off: number): number {
  const itrn = arena.u32[(off + VECTOR_ITRN) >>> 2]!;
  if (itrn === 0) return arena.u32[(off + VECTOR_ITR_US) >>> 2]!;
  return (arena.u32[itrn >>> 2]! & ITR_INTERVAL_MASK) * 2;
}

/**
 * Fires the vector if it is pending, armed, connected to an eventfd and not held back.
 * @param clock the data clock; read only for a vector that could fire
 * @param counter VECTOR_FIRED or VECTOR_FIRED_MAIN, by the calling thread
 * @returns the time (us) until which it is held back, or 0
 */
export function tryFire(arena: Arena, off: number, clock: () => number, counter: number): number {
  const { i32, f64, u64 } = arena;
  if (Atomics.load(i32, (off + VECTOR_HELD) >>> 2) !== 0) Atomics.store(i32, (off + VECTOR_HELD) >>> 2, 0);
  if (Atomics.load(i32, (off + VECTOR_PENDING) >>> 2) === 0) return 0;
  if (Atomics.load(i32, (off + VECTOR_ARMED) >>> 2) === 0) return 0; // stays pending: fires when re-armed
  const fd = Atomics.load(i32, (off + VECTOR_FD) >>> 2);
  if (fd < 0) return 0; // stays pending and armed: fires when the client gives an eventfd
  const gap = gapUs(arena, off);
  const nowUs = clock();
  const due = f64[(off + VECTOR_LAST_US) >>> 3]! + gap;
  if (gap > 0 && nowUs < due) {
    Atomics.store(i32, (off + VECTOR_HELD) >>> 2, 1);
    return Math.min(due, nowUs + gap); // a torn or future time holds back for one gap at most
  }
  if (Atomics.exchange(i32, (off + VECTOR_ARMED) >>> 2, 0) !== 1) return 0; // another thread was faster
  Atomics.store(i32, (off + VECTOR_PENDING) >>> 2, 0);
  f64[(off + VECTOR_LAST_US) >>> 3] = nowUs;
  u64[(off + counter) >>> 3]! += 1n;
  signalEventfd(fd);
  return 0;
}
