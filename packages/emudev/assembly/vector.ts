// The part of the interrupt protocol (src/layout/vector.ts) that a burst goes through each time: set pending, look whether
// anything is to be done at once. For a guest that polls with its vector disarmed that is all; otherwise the lcore's
// JavaScript goes on (src/data/vector.ts, fireVector). Imported by the kernels of backend drivers.
import { VECTOR_ARMED, VECTOR_HELD, VECTOR_PENDING } from "../src/layout/vector";

/**
 * Sets a vector pending, after everything the interrupt is about was stored.
 * Returns whether fireVector must be called: the vector is armed, or held back by ITR.
 */
// @ts-ignore: decorator
@inline
export function markPending(vector: u32): bool {
  atomic.store<u32>(vector, 1, VECTOR_PENDING); // a full barrier too: what is read below is read after all stores above
  return (atomic.load<u32>(vector, VECTOR_ARMED) | atomic.load<u32>(vector, VECTOR_HELD)) != 0;
}

/** Whether a vector is held back by ITR, and fireVector is to look at its deadline. */
// @ts-ignore: decorator
@inline
export function isHeld(vector: u32): bool {
  return atomic.load<u32>(vector, VECTOR_HELD) != 0;
}
