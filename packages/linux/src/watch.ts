// Readiness of any fd on Node's event loop, by koffi's binding of uv_poll. Five traps of that binding end here: a poll
// handle that is garbage collected stops silently, so every open watcher is kept in a set; its methods crash on a
// closed handle, so ours check; its callback runs outside Node's callback scope, where promises would not continue and
// a thrown error would surface seconds later somewhere else, so what it reports is dispatched by setImmediate, in the
// same turn of the loop; one loop can watch an fd only once; and an fd that libuv refuses aborts the process, so ours
// asks the kernel first. Readiness is level-triggered: what is not consumed is reported again.
import { ERRNO, LinuxError } from "./errors.ts";
import { check, close, epoll_create1, epoll_ctl, errno, fcntl, type PollHandle, poll } from "./libc.ts";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const F_GETFD = 1;
/** struct epoll_event, packed on x86-64 (12 bytes), not elsewhere (16). */
const EPOLL_EVENT_BYTES = 16;

/** What to report. */
export interface Interest {
  readable?: boolean;
  writable?: boolean;
}

/**
 * What is ready. The end of a stream is readable. `error` is 0, or EBADF for an fd in an error state (a reset socket, a
 * pipe without readers): what was asked for is then reported as ready, so that the read or write tells the true errno,
 * and nothing more is reported until `update`.
 */
export interface Readiness {
  readable: boolean;
  writable: boolean;
  error: number;
}

/**
 * By fd. Not a Map or Set, here and in other tables that outlive connections: when V8 rehashes one, the old table points
 * to the new, so once a dead table is in the old generation everything that ever passed through stays until a full
 * collection, and a server's heap grows with each connection.
 */
const open: (Watcher | undefined)[] = [];
let count = 0;

/**
 * Calls `callback` whenever the fd is ready, until the watcher is closed. Close the watcher before the fd.
 * @throws LinuxError EPERM for files that are always ready (regular files, memfds), EEXIST when the fd is watched
 */
export function watch(fd: number, interest: Interest, callback: (ready: Readiness) => void): Watcher {
  return new Watcher(fd, interest, callback);
}

/** Watchers that are open in this thread, to show that none leak. */
export function watcherCount(): number {
  return count;
}

export class Watcher {
  readonly fd: number;
  #callback: (ready: Readiness) => void;
  #handle: PollHandle | null;
  #interest: Interest;
  #referenced = true;
  #readable = false;
  #writable = false;
  #error = 0;
  #failed = false;
  #dispatching = false;

  constructor(fd: number, interest: Interest, callback: (ready: Readiness) => void) {
    this.fd = fd;
    this.#callback = callback;
    this.#interest = { ...interest };
    if (open[fd] !== undefined) throw new LinuxError(ERRNO.EEXIST, "poll", fd, "the fd is watched already");
    checkPollable(fd);
    this.#handle = poll(fd, wanted(interest), this.#onPoll);
    if (!isWanted(interest)) this.#handle.stop();
    open[fd] = this;
    count++;
  }

  /** Changes what is reported; members that are left out stay as they are. Nothing wanted is allowed: the fd rests. */
  update(interest: Interest): void {
    if (this.#handle === null) return;
    const next = { ...this.#interest, ...interest };
    const same = next.readable === this.#interest.readable && next.writable === this.#interest.writable;
    if (same && !this.#failed) return;
    this.#interest = next;
    this.#failed = false;
    if (isWanted(next)) this.#handle.start(wanted(next), this.#onPoll);
    else this.#handle.stop();
  }

  /** Ends it: the callback is not called again, not even for what was ready already. May be called twice. */
  close(): void {
    if (this.#handle === null) return;
    this.#handle.close();
    this.#handle = null;
    // koffi keeps hold of #onPoll, and so of us, until the handle is collected; what the callback knows must not wait.
    this.#callback = ignore;
    open[this.fd] = undefined;
    count--;
  }

  /** Lets the watcher keep the process alive, which it does from the start. */
  ref(): void {
    this.#referenced = true;
    this.#handle?.ref();
  }

  /** Lets the process end while the watcher is open. */
  unref(): void {
    this.#referenced = false;
    this.#handle?.unref();
  }

  readonly #onPoll = (status: number, events: { readable: boolean; writable: boolean }): void => {
    if (status < 0) {
      this.#error = -status;
      this.#failed = true; // libuv has stopped the handle
    }
    this.#readable ||= events.readable;
    this.#writable ||= events.writable;
    if (this.#dispatching) return;
    this.#dispatching = true;
    const immediate = setImmediate(this.#dispatch);
    if (!this.#referenced) immediate.unref();
  };

  readonly #dispatch = (): void => {
    this.#dispatching = false;
    const error = this.#error;
    const readable = this.#interest.readable === true && (this.#readable || error !== 0);
    const writable = this.#interest.writable === true && (this.#writable || error !== 0);
    this.#readable = false;
    this.#writable = false;
    this.#error = 0;
    if (this.#handle === null || !(readable || writable || error !== 0)) return;
    this.#callback({ readable, writable, error });
  };
}

const ignore = (): void => {};

function isWanted(interest: Interest): boolean {
  return interest.readable === true || interest.writable === true;
}

function wanted(interest: Interest): object {
  return { readable: interest.readable === true, writable: interest.writable === true };
}

/**
 * Throws what epoll_ctl(2) has to say against an fd. libuv asks the same when the handle is made, but koffi 3.3.4
 * answers its refusal with an abort of the process.
 */
function checkPollable(fd: number): void {
  check(fcntl(fd, F_GETFD, 0), "epoll_ctl", fd); // else the new epoll fd could get this very number
  const epoll = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1", fd);
  const result = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, new Uint8Array(EPOLL_EVENT_BYTES));
  const failure = result < 0 ? errno() : 0;
  close(epoll);
  if (failure !== 0) throw new LinuxError(failure, "epoll_ctl", fd, HINTS[failure] ?? "");
}

const HINTS: Record<number, string | undefined> = {
  [ERRNO.EPERM]: "this kind of file is always ready and cannot be watched",
};
