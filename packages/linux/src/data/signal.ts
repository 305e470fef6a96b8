// The signal of an eventfd that cannot be made to wait. write(2) waits when the counter is full and O_NONBLOCK is not set,
// and that flag belongs to the open file: whoever holds the other end can clear it and fill the counter at any time, and a
// polling thread that writes would never come back. RWF_NOWAIT is refused for eventfds. But the kernel's own signal of an
// eventfd, at the end of an asynchronous operation (io_submit(2) with IOCB_FLAG_RESFD), never waits and stops at the
// largest value. The operation here is a read of 0 bytes from the eventfd itself, which ends at once, with EINVAL, inside
// the call; what counts is that it ends. Costs about 0.4 us more than the write, which it falls back to where the kernel has
// no such calls (before Linux 5.8, or forbidden by a sandbox). Called by lcores and by the main thread.
import { address, close, errno, eventfdCreate, read, syscall1, syscall2, syscall3, syscall5, write } from "../libc.ts";

const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
const EAGAIN = 11;
// System call numbers differ between the machines; process.arch is there in every thread.
const [IO_SETUP, IO_DESTROY, IO_GETEVENTS, IO_SUBMIT] = process.arch === "x64" ? [206, 207, 208, 209] : [0, 1, 4, 2];
/** Operations that may be under way; each is over when the call returns, and its outcome is fetched when the ring is full. */
const OPERATIONS = 64;
/** The kernel rounds the ring up; what is not fetched at once is fetched the next time. */
const EVENTS = 256;
const EVENT_BYTES = 32;

// struct iocb (linux/aio_abi.h), 64 bytes: opcode at 16 (IOCB_CMD_PREAD is 0), fd at 20, bytes at 32, flags at 56, eventfd at 60.
const IOCB_FD = 20 >>> 2;
const IOCB_FLAGS = 56 >>> 2;
const IOCB_RESFD = 60 >>> 2;
const IOCB_FLAG_RESFD = 1;

const iocb = new Int32Array(16);
const iocbs = new BigUint64Array(1);
const events = new Uint8Array(EVENTS * EVENT_BYTES);
/** struct timespec 0: fetching does not wait. */
const atOnce = new Uint8Array(16);
const one = new Uint8Array(new BigUint64Array([1n]).buffer);
const bytesOf = (view: Int32Array | BigUint64Array): Uint8Array => new Uint8Array(view.buffer as ArrayBuffer);
// What only the module's top level refers to is collected when that has run: functions below use each of these buffers.
const list = address(bytesOf(iocbs));

/** The thread's context for asynchronous operations: undefined before the first signal, 0 = there is none. */
let context: number | undefined;

/** Adds 1 to an eventfd, whoever else holds it. @returns 0 (also for a counter that is full), or -errno */
export function signalEventfd(fd: number): number {
  context ??= makeContext();
  if (context === 0) return write(fd, one, 8) === 8 ? 0 : -errno();
  return submit(context, fd);
}

/**
 * Gives back what the kernel holds for this thread's signals: it belongs to the process and would outlive the thread. To be
 * called by whoever is about to end a thread; a later signal starts anew.
 */
export function endSignals(): void {
  if (context !== undefined && context !== 0) syscall1(IO_DESTROY, context);
  context = undefined;
}

function submit(to: number, fd: number): number {
  iocb[IOCB_FD] = fd;
  iocb[IOCB_RESFD] = fd;
  if (syscall3(IO_SUBMIT, to, 1, list) === 1) return 0;
  let error = errno();
  if (error === EAGAIN) {
    syscall5(IO_GETEVENTS, to, 0, EVENTS, address(events), address(atOnce));
    if (syscall3(IO_SUBMIT, to, 1, list) === 1) return 0;
    error = errno();
  }
  return -error;
}

/** A context that was seen to signal, or 0. */
function makeContext(): number {
  iocb[IOCB_FLAGS] = IOCB_FLAG_RESFD;
  iocbs[0] = BigInt(address(bytesOf(iocb)));
  const id = new BigUint64Array(1);
  if (syscall2(IO_SETUP, OPERATIONS, address(bytesOf(id))) !== 0) return 0;
  const made = Number(id[0]);
  const fd = eventfdCreate(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) {
    syscall1(IO_DESTROY, made);
    return 0; // untried is not good enough
  }
  const counter = new BigUint64Array(1);
  const works = submit(made, fd) === 0 && read(fd, bytesOf(counter), 8) === 8 && counter[0] === 1n;
  close(fd);
  if (!works) syscall1(IO_DESTROY, made);
  return works ? made : 0;
}
