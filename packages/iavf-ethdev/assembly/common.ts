// What the receive and the transmit kernel share: counters, device addresses and the kick of a tail that is not mapped.
import { IOVA_HIGH, KICK_DIRTY } from "../src/layout/doorbell";

// @ts-ignore: decorator
@inline
export function addCounter(at: u32, n: u64): void {
  store<u64>(at, load<u64>(at) + n);
}

/** The address by which the device knows a byte of the arena. */
// @ts-ignore: decorator
@inline
export function iova(off: u32): u64 {
  return ((<u64>IOVA_HIGH) << 32) | <u64>off;
}

/**
 * Publishes a tail. The store is sequentially consistent: all descriptors written before are visible to who reads it.
 * @param kickWord 0 when the tail word is the device's register, else the word that says that a tail waits to be sent
 */
// @ts-ignore: decorator
@inline
export function ringDoorbell(doorbell: u32, kickWord: u32, tail: u32): void {
  atomic.store<u32>(doorbell, tail);
  if (kickWord != 0) atomic.store<u32>(kickWord, KICK_DIRTY);
}
