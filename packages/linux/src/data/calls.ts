// The system calls that an lcore may make: reads and writes of a non-blocking fd straight from and to memory by
// absolute address (an arena offset plus the arena's base), and the signal of an eventfd. They allocate nothing, throw
// nothing and return -errno; each costs about 0.4 microseconds. Drivers' data modules and forwarding engines are the
// callers.
import { errno, raw, read, write } from "../libc.ts";

const one = new Uint8Array(new BigUint64Array([1n]).buffer);

/** Reads up to `bytes` bytes to an address. @returns bytes, 0 at the end, or -errno (-11: nothing there yet) */
export function readAt(fd: number, address: number, bytes: number): number {
  return raw(read(fd, address, bytes));
}

/** Writes `bytes` bytes from an address. @returns bytes taken, or -errno (-11: no room now) */
export function writeAt(fd: number, address: number, bytes: number): number {
  return raw(write(fd, address, bytes));
}

/** Adds 1 to an eventfd. @returns 0, or -errno (-11: the counter is full, and so is signalled all the same) */
export function signalEventfd(fd: number): number {
  return write(fd, one, 8) === 8 ? 0 : -errno();
}
