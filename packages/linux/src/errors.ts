// What a failed system call is to the rest of the project: the errno by number and by name, the call, and what it was
// called on. Errno values are those of x86-64 and arm64 Linux (asm-generic/errno.h), which also are the numbers that
// vfio-user and virtchnl replies carry, so they are constants here and not looked up.
import { constants } from "node:os";

/** Errno values by name (asm-generic/errno-base.h and errno.h). */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EPIPE: 32,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  EPROTO: 71,
  EBADMSG: 74,
  EOVERFLOW: 75,
  ENOTSOCK: 88,
  EMSGSIZE: 90,
  ENOPROTOOPT: 92,
  ENOTSUP: 95,
  EADDRINUSE: 98,
  ENETDOWN: 100,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  EISCONN: 106,
  ENOTCONN: 107,
  ESHUTDOWN: 108,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EALREADY: 114,
  EINPROGRESS: 115,
  ECANCELED: 125,
} as const;

const names = new Map<number, string>();
for (const [name, value] of Object.entries(constants.errno)) if (!names.has(value)) names.set(value, name);
for (const [name, value] of Object.entries(ERRNO)) names.set(value, name);

/** Name of an errno, either sign: 11 -> "EAGAIN"; one that has none is "errno N". */
export function errnoName(errno: number): string {
  const value = Math.abs(errno);
  return names.get(value) ?? `errno ${value}`;
}

/** A system call that failed. The message reads `connect(/run/vm.sock): ECONNREFUSED`, with a hint where one helps. */
export class LinuxError extends Error {
  /** Name of the errno, "ECONNREFUSED". */
  readonly code: string;
  /** The errno, positive. */
  readonly errno: number;
  /** Name of the call, as in its manual page. */
  readonly syscall: string;
  /** What it was called on: a path, a name, or "fd N". */
  readonly target: string;

  constructor(errno: number, syscall: string, target: string | number, hint = "") {
    const on = typeof target === "number" ? `fd ${target}` : target;
    super(`${syscall}(${on}): ${errnoName(errno)}${hint === "" ? "" : `: ${hint}`}`);
    this.name = "LinuxError";
    this.code = errnoName(errno);
    this.errno = errno;
    this.syscall = syscall;
    this.target = on;
  }
}
