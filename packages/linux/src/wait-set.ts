// A set of eventfds that a thread can wait for, by epoll: made and changed by the main thread, waited for by an lcore with nothing
// to do (data/calls.ts, waitEvents). Edge-triggered: each signal ends one wait, in each set that the fd is in, and nobody needs
// to read the eventfd. One that somebody reads meanwhile ends none.
import { ERRNO, LinuxError } from "./errors.ts";
import { check, close, epoll_create1, epoll_ctl, errno } from "./libc.ts";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const EPOLLET = 0x8000_0000;
/** struct epoll_event: events, then 64 bits of ours, of which nothing is made; packed on x86-64 (12 bytes), not elsewhere (16). */
const EVENT = new Uint8Array(new Uint32Array([EPOLLIN + EPOLLET, 0, 0, 0]).buffer);

export class WaitSet {
  readonly fd: number;

  constructor() {
    this.fd = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1", "a wait set");
  }

  /** Its signals end waits from now on, and those that it holds already end one. Take it out before it is closed: another holder of the file would keep it in. */
  add(fd: number): void {
    check(epoll_ctl(this.fd, EPOLL_CTL_ADD, fd, EVENT), "epoll_ctl", fd);
  }

  /** One that is not in it is left alone. */
  remove(fd: number): void {
    if (epoll_ctl(this.fd, EPOLL_CTL_DEL, fd, EVENT) === 0) return;
    const error = errno();
    if (error !== ERRNO.ENOENT && error !== ERRNO.EBADF) throw new LinuxError(error, "epoll_ctl", fd);
  }

  close(): void {
    close(this.fd);
  }
}
