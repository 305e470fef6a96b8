// The lock of a receive queue of the guest, which several lcores can feed. Nobody waits for long: an lcore that holds it is
// in the midst of a burst, or was taken its CPU from.
import { GQ_LOCK } from "../src/layout/guest-queue";

const SPINS: u32 = 4096;

/** Takes it; false when another lcore has held it for too long. */
// @ts-ignore: decorator
@inline
export function lock(gq: u32): bool {
  for (let i: u32 = 0; i < SPINS; i++) if (atomic.cmpxchg<u32>(gq, 0, 1, GQ_LOCK) == 0) return true;
  return false;
}

// @ts-ignore: decorator
@inline
export function unlock(gq: u32): void {
  atomic.store<u32>(gq, 0, GQ_LOCK);
}
