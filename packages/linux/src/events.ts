// Event counters (eventfd(2)), always non-blocking and close-on-exec: doorbells, interrupts, event channels. Lcores
// signal them through `@emudev/linux/data`. An eventfd that a peer made must go through `adoptEventfd` before it is
// written to.
import { ERRNO, LinuxError } from "./errors.ts";
import { fdName, setNonBlocking } from "./files.ts";
import { check, errno, eventfdCreate, read, write } from "./libc.ts";

const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;

const word = new BigUint64Array(1);
const bytes = new Uint8Array(word.buffer);

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

/** Takes the counter's value and clears it. @returns 0 when there was nothing */
export function eventfdRead(fd: number): number {
  if (read(fd, bytes, 8) === 8) return Number(word[0]);
  const error = errno();
  if (error === ERRNO.EAGAIN) return 0;
  throw new LinuxError(error, "read", fd);
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
