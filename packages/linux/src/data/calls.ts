// The system calls that an lcore may make, besides the signal of an eventfd (signal.ts): reads and writes of a
// non-blocking fd straight from and to memory by absolute address (an arena offset plus the arena's base). They allocate
// nothing, throw nothing and return -errno; each costs about 0.4 microseconds. An lcore with nothing to do may wait for events. Drivers' data modules and forwarding
// engines are the callers.
import { epoll_wait, raw, read, write } from "../libc.ts";

/** Reads up to `bytes` bytes to an address. @returns bytes, 0 at the end, or -errno (-11: nothing there yet) */
export function readAt(fd: number, address: number, bytes: number): number {
  return raw(read(fd, address, bytes));
}

/** Writes `bytes` bytes from an address. @returns bytes taken, or -errno (-11: no room now) */
export function writeAt(fd: number, address: number, bytes: number): number {
  return raw(write(fd, address, bytes));
}

const EVENTS = 4;
const events = new Uint8Array(EVENTS * 16);

/**
 * Waits until an fd of a WaitSet is readable; consumes nothing.
 * @param set fd of the set, @param ms how long at most
 * @returns 0 when the time ran out, more when an fd is readable, or -errno (-4: a signal came)
 */
export function waitEvents(set: number, ms: number): number {
  return raw(epoll_wait(set, events, EVENTS, ms));
}
