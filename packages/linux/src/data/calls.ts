// The system calls that an lcore may make, besides the signal of an eventfd (signal.ts): reads and writes of a
// non-blocking fd straight from and to memory by absolute address (an arena offset plus the arena's base). They allocate
// nothing, throw nothing and return -errno; each costs about 0.4 microseconds. An lcore with nothing to do may wait for
// events. Drivers' data modules, forwarding engines and the polling loop are the callers.
import { ERRNO } from "../errors.ts";
import { address, epoll_wait, raw, read, syscall6, write } from "../libc.ts";

/** Reads up to `bytes` bytes to an address. @returns bytes, 0 at the end, or -errno (-11: nothing there yet) */
export function readAt(fd: number, address: number, bytes: number): number {
  return raw(read(fd, address, bytes));
}

/** Writes `bytes` bytes from an address. @returns bytes taken, or -errno (-11: no room now) */
export function writeAt(fd: number, address: number, bytes: number): number {
  return raw(write(fd, address, bytes));
}

const EPOLL_PWAIT2 = 441; // Linux 5.11, the same number on every machine
const EVENTS = 8;
// Buffers of their own, which stay where they are; the function below holds on to them.
const events = new Uint8Array(new ArrayBuffer(EVENTS * 16));
/** struct timespec, low words: seconds at 0, nanoseconds at 2. */
const timeout = new Int32Array(new ArrayBuffer(16));
const eventsAt = address(events);
const timeoutAt = address(new Uint8Array(timeout.buffer));
let exact = true;

/**
 * Waits until an fd of a WaitSet is signalled; reads none of them.
 * @param set fd of the set
 * @param us how long at most, below 2^31; without epoll_pwait2(2) rounded up to a millisecond
 * @returns 0 when the time ran out, more when an fd was signalled, or -errno (-4: a signal came)
 */
export function waitEvents(set: number, us: number): number {
  if (exact) {
    timeout[0] = us / 1e6;
    timeout[2] = (us % 1e6) * 1e3;
    const result = raw(syscall6(EPOLL_PWAIT2, set, eventsAt, EVENTS, timeoutAt, 0, 0));
    if (result !== -ERRNO.ENOSYS && result !== -ERRNO.EPERM) return result;
    exact = false; // an older kernel, or a sandbox that does not know the call
  }
  return raw(epoll_wait(set, events, EVENTS, Math.ceil(us / 1000)));
}
