// The symbols of libc that this package calls, bound once a thread through koffi, and the two forms in which a failure
// leaves it: a LinuxError from `check`, or `-errno` from `raw`. `koffi.load(null)` finds the symbols in the process
// itself, so glibc and musl need no names. Types follow what koffi knows: ssize_t and addresses are intptr_t, which
// arrives as a number below 2^53. Every other file of the package imports from here; nothing outside the package may.
import koffi from "koffi";
import { LinuxError } from "./errors.ts";

/** What koffi takes for a pointer: bytes of ours, an absolute address, or null. */
export type Pointer = Uint8Array | ArrayBuffer | bigint | number | null;

const lib = koffi.load(null);

function bind<F>(declaration: string): F {
  return lib.func(declaration) as F;
}

function bindIfThere<F>(declaration: string): F | null {
  try {
    return bind<F>(declaration);
  } catch {
    return null;
  }
}

export const socket = bind<(domain: number, type: number, protocol: number) => number>("int socket(int, int, int)");
export const socketpair = bind<(domain: number, type: number, protocol: number, pair: Pointer) => number>(
  "int socketpair(int, int, int, void *)",
);
export const bindSocket = bind<(fd: number, address: Pointer, bytes: number) => number>(
  "int bind(int, void *, uint32_t)",
);
export const connect = bind<(fd: number, address: Pointer, bytes: number) => number>(
  "int connect(int, void *, uint32_t)",
);
export const listen = bind<(fd: number, backlog: number) => number>("int listen(int, int)");
export const accept4 = bind<(fd: number, address: Pointer, bytes: Pointer, flags: number) => number>(
  "int accept4(int, void *, void *, int)",
);
export const shutdown = bind<(fd: number, how: number) => number>("int shutdown(int, int)");
export const getsockopt = bind<(fd: number, level: number, name: number, value: Pointer, bytes: Pointer) => number>(
  "int getsockopt(int, int, int, void *, void *)",
);
export const sendmsg = bind<(fd: number, message: number, flags: number) => number>(
  "intptr_t sendmsg(int, intptr_t, int)",
);
export const recvmsg = bind<(fd: number, message: number, flags: number) => number>(
  "intptr_t recvmsg(int, intptr_t, int)",
);
export const recv = bind<(fd: number, into: number, bytes: number, flags: number) => number>(
  "intptr_t recv(int, intptr_t, size_t, int)",
);
/** By address, which costs less than a view, as do the three above. */
export const send = bind<(fd: number, from: number, bytes: number, flags: number) => number>(
  "intptr_t send(int, intptr_t, size_t, int)",
);
export const read = bind<(fd: number, into: Pointer, bytes: number) => number>("intptr_t read(int, void *, size_t)");
/** null in a libc that has not got it. */
export const preadv2 = bindIfThere<
  (fd: number, vectors: Pointer, count: number, offset: number, flags: number) => number
>("intptr_t preadv2(int, void *, int, int64_t, int)");
export const write = bind<(fd: number, from: Pointer, bytes: number) => number>(
  "intptr_t write(int, const void *, size_t)",
);
export const pread64 = bind<(fd: number, into: Pointer, bytes: number, offset: number | bigint) => number>(
  "intptr_t pread64(int, void *, size_t, int64_t)",
);
export const pwrite64 = bind<(fd: number, from: Pointer, bytes: number, offset: number | bigint) => number>(
  "intptr_t pwrite64(int, const void *, size_t, int64_t)",
);
export const close = bind<(fd: number) => number>("int close(int)");
export const memfd_create = bind<(name: string, flags: number) => number>("int memfd_create(const char *, uint32_t)");
export const flock = bind<(fd: number, operation: number) => number>("int flock(int, int)");
export const ftruncate64 = bind<(fd: number, bytes: number) => number>("int ftruncate64(int, int64_t)");
export const mmap64 = bind<
  (address: number, bytes: number, prot: number, flags: number, fd: number, offset: number | bigint) => number
>("intptr_t mmap64(intptr_t, size_t, int, int, int, int64_t)");
export const madvise = bind<(address: number, bytes: number, advice: number) => number>(
  "int madvise(intptr_t, size_t, int)",
);
export const munmap = bind<(address: number, bytes: number) => number>("int munmap(intptr_t, size_t)");
// syscall(2) for what libc does not offer by name; all arguments are words, so a fixed list is as good as a variable one.
export const syscall1 = bind<(number: number, a: number) => number>("intptr_t syscall(intptr_t, intptr_t)");
export const syscall2 = bind<(number: number, a: number, b: number) => number>(
  "intptr_t syscall(intptr_t, intptr_t, intptr_t)",
);
export const syscall3 = bind<(number: number, a: number, b: number, c: number) => number>(
  "intptr_t syscall(intptr_t, intptr_t, intptr_t, intptr_t)",
);
export const syscall5 = bind<(number: number, a: number, b: number, c: number, d: number, e: number) => number>(
  "intptr_t syscall(intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t)",
);
export const syscall6 = bind<
  (number: number, a: number, b: number, c: number, d: number, e: number, f: number) => number
>("intptr_t syscall(intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t)");
export const sigaction = bind<(signal: number, action: Pointer, old: Pointer) => number>(
  "int sigaction(int, const void *, void *)",
);
export const clock_gettime = bind<(clock: number, time: number) => number>("int clock_gettime(int, intptr_t)");
export const eventfdCreate = bind<(initial: number, flags: number) => number>("int eventfd(uint32_t, int)");
export const epoll_create1 = bind<(flags: number) => number>("int epoll_create1(int)");
export const epoll_wait = bind<(epoll: number, events: Pointer, max: number, ms: number) => number>(
  "int epoll_wait(int, void *, int, int)",
);
export const epoll_ctl = bind<(epoll: number, operation: number, fd: number, event: Pointer) => number>(
  "int epoll_ctl(int, int, int, void *)",
);
export const getpwnam = bind<(name: string) => number>("intptr_t getpwnam(const char *)");
export const getgrnam = bind<(name: string) => number>("intptr_t getgrnam(const char *)");
export const sched_setaffinity = bind<(thread: number, bytes: number, mask: Pointer) => number>(
  "int sched_setaffinity(int, size_t, void *)",
);
export const sched_getaffinity = bind<(thread: number, bytes: number, mask: Pointer) => number>(
  "int sched_getaffinity(int, size_t, void *)",
);
const fcntlInt = bind<(fd: number, command: number, type: "int", value: number) => number>("int fcntl(int, int, ...)");
const ioctlPointer = bind<(fd: number, request: number, type: "void *", value: Pointer) => number>(
  "int ioctl(int, unsigned long, ...)",
);

export function fcntl(fd: number, command: number, value: number): number {
  return fcntlInt(fd, command, "int", value);
}

export function ioctl(fd: number, request: number, value: Pointer): number {
  return ioctlPointer(fd, request, "void *", value);
}

/** Where the calling thread's errno is, in glibc and musl alike; a look there takes a hundredth of a call's time. */
const errnoLocation = bindIfThere<() => number>("intptr_t __errno_location()");
const errnoWord = errnoLocation === null ? null : new Int32Array(viewOf(errnoLocation(), 4));

/** The calling thread's errno; meaningful only directly after a call that failed. */
export function errno(): number {
  return errnoWord === null ? koffi.errno() : (errnoWord[0] as number);
}

/** Absolute address of a view's first byte; views over shared memory are fine, a bare SharedArrayBuffer is not. */
export function address(view: Uint8Array): number {
  return Number(koffi.address(view));
}

/** A plain ArrayBuffer over `bytes` bytes at an absolute address; it dangles once they are unmapped. */
export function viewOf(at: number, bytes: number): ArrayBuffer {
  return koffi.view(BigInt(at), bytes);
}

/** libuv's readiness of one fd, as koffi offers it: see watch.ts, the only caller, for its traps. */
export interface PollHandle {
  start(interest: object, callback: (status: number, events: { readable: boolean; writable: boolean }) => void): void;
  stop(): void;
  close(): void;
  ref(): void;
  unref(): void;
}

export const poll = koffi.node.poll as unknown as (
  fd: number,
  interest: object,
  callback: (status: number, events: { readable: boolean; writable: boolean; disconnect: boolean }) => void,
) => PollHandle;

/** @returns `result`, or throws the LinuxError of a call that returned a negative one. */
export function check(result: number, syscall: string, target: string | number): number {
  if (result >= 0) return result;
  throw new LinuxError(errno(), syscall, target);
}

/** @returns `result`, or -errno of a call that returned -1. */
export function raw(result: number): number {
  return result < 0 ? -errno() : result;
}
