// Event counters (eventfd(2)), always non-blocking and close-on-exec: doorbells, interrupts, event channels. Lcores
// signal them through `@emudev/linux/data`. An eventfd that a peer made must go through `adoptEventfd` before it is
// used, and be signalled by `signalEventfd` (data/signal.ts), never by `eventfdWrite`: the peer can make that wait.
import { ERRNO, LinuxError } from "./errors.ts";
import { fdName, setNonBlocking } from "./files.ts";
import { address, check, errno, eventfdCreate, preadv2, read, write } from "./libc.ts";

const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;

const word = new BigUint64Array(1);
const bytes = new Uint8Array(word.buffer);
/** struct iovec: address, length. */
const vector = new Uint8Array(new BigUint64Array([BigInt(address(bytes)), 8n]).buffer);
const RWF_NOWAIT = 8;

/** A new counter; the caller owns the fd. */
export function eventfd(initial = 0): number {
  return check(eventfdCreate(initial, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd", `initial ${initial}`);
}

/** Adds `value` to the counter. @returns false when the counter is full, and so is signalled all the same */
export function eventfdWrite(fd: number, value = 1): boolean {
  word[0] = BigInt(value);
  if (write(fd, bytes, 8) === 8) return true;
  const error = errno();
  if (error === ERRNO.EAGAIN) return false;
  throw new LinuxError(error, "write", fd);
}

/**
 * Takes the counter's value and clears it. Never waits, even where a peer that shares the eventfd has cleared its
 * O_NONBLOCK and taken the value first. @returns 0 when there was nothing
 */
export function eventfdRead(fd: number): number {
  const count = readNow(fd);
  if (count === 8) return Number(word[0]);
  const error = errno();
  if (error === ERRNO.EAGAIN) return 0;
  throw new LinuxError(error, "read", fd);
}

/** RWF_NOWAIT (readv(2)) is of this call, not of the open file. Kernels before 5.8 do not know it of eventfds. */
function readNow(fd: number): number {
  if (preadv2 !== null) {
    const count = preadv2(fd, vector, 1, -1, RWF_NOWAIT);
    if (count >= 0 || errno() !== ERRNO.ENOTSUP) return count;
  }
  return read(fd, bytes, 8);
}

/**
 * Checks that an fd from a peer is an eventfd, and makes it non-blocking, so that signalling it can never wait.
 * @throws LinuxError EINVAL when it is anything else (a pipe or a socket could make its writer wait); the fd stays
 * open and the caller's
 */
export function adoptEventfd(fd: number): void {
  const name = fdName(fd);
  if (!name.startsWith("anon_inode:[eventfd")) {
    throw new LinuxError(ERRNO.EINVAL, "eventfd", fd, `not an eventfd but ${name}`);
  }
  setNonBlocking(fd);
}
