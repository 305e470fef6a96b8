// One end of a unix stream socket that carries file descriptors: sendmsg(2) and recvmsg(2) with SCM_RIGHTS (unix(7),
// cmsg(3)). A stream keeps no message boundaries, yet the kernel never merges bytes sent with one set of fds with bytes
// sent before or after them into one recvmsg of ours beyond their end, so a caller that reads header and body apart
// sees the fds with the first byte they were sent with. The message header is laid out once a thread, in one buffer that
// all messengers use: a call reads and writes it only until it returns.
import { ERRNO, LinuxError } from "./errors.ts";
import { address, errno, recvmsg, send, sendmsg } from "./libc.ts";

/** The most fds that one message can carry (SCM_MAX_FD of linux/include/net/scm.h). */
export const SCM_MAX_FD = 253;

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

// struct msghdr, 64-bit: name 0, namelen 8, iov 16, iovlen 24, control 32, controllen 40, flags 48; byte offsets.
const MSG_IOV = 16;
const MSG_IOVLEN = 24;
const MSG_CONTROL = 32;
const MSG_CONTROLLEN = 40;
const MSG_FLAGS = 48;
// struct iovec: base, length.
const IOV = 56;
// struct cmsghdr: length 0, level 8, type 12, data 16.
const CONTROL = 72;
const CMSG_HEADER = 16;

const header = new Uint8Array(CONTROL + CMSG_HEADER + 4 * SCM_MAX_FD + 4);
const words = new DataView(header.buffer);
const base = address(header);
const control = base + CONTROL;
setWord(MSG_IOV, base + IOV);
setWord(MSG_IOVLEN, 1);

/** Reads and writes one socket; not shared between threads. Closing the fd is the caller's. */
export class SocketMessenger {
  /** The fds that came with the last `recv`; the caller owns each of them and must close it. The array is reused. */
  readonly fds: number[] = [];
  #truncated = false;
  readonly #fd: number;
  readonly #maxFds: number;
  readonly #into = new Aim("recvmsg");
  readonly #from = new Aim("sendmsg");

  /** @param maxFds the most fds one `recv` takes; the kernel closes any more and `truncated` says so */
  constructor(fd: number, maxFds: number = SCM_MAX_FD) {
    this.#fd = fd;
    this.#maxFds = Math.max(0, Math.min(maxFds, SCM_MAX_FD));
  }

  /** True when the last `recv` lost fds (MSG_CTRUNC): more than fit, or this process has no fd numbers left. */
  get truncated(): boolean {
    return this.#truncated;
  }

  /**
   * Reads up to `length` bytes into `into` at `offset`; fds that came with them are in `fds`.
   * @returns bytes read, 0 when the peer has closed, -1 when nothing is there yet
   * @throws LinuxError, for instance ECONNRESET
   */
  recv(into: Uint8Array, offset: number, length: number): number {
    if (this.fds.length > 0) this.fds.length = 0; // setting it leaves compiled code, so not for nothing
    this.#truncated = false;
    this.#aim(into, offset, length, this.#maxFds);
    const count = this.#recvmsg(MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (count >= 0) this.#takeControl();
    return count;
  }

  /**
   * Writes `length` bytes of `from` at `offset`, with copies of `fds` attached to the first of them. After a short
   * write the fds are gone with what was taken: send the rest without them. The caller's fds stay open.
   * @returns bytes taken, or -1 when there is no room yet
   * @throws LinuxError EPIPE when the peer has closed; no SIGPIPE is raised
   */
  send(from: Uint8Array, offset: number, length: number, fds?: readonly number[]): number {
    const count = fds === undefined ? 0 : fds.length;
    if (count > SCM_MAX_FD) {
      const hint = `${count} fds in one message, at most ${SCM_MAX_FD}`;
      throw new LinuxError(ERRNO.EINVAL, "sendmsg", this.#fd, hint);
    }
    if (length === 0) return 0;
    const at = this.#from.at(this.#fd, from, offset, length);
    if (fds !== undefined && count > 0) putMessage(at, length, fds);
    for (;;) {
      const flags = MSG_NOSIGNAL | MSG_DONTWAIT;
      const sent = count > 0 ? sendmsg(this.#fd, base, flags) : send(this.#fd, at, length, flags);
      if (sent >= 0) return sent;
      const error = errno();
      if (error === ERRNO.EAGAIN) return -1;
      if (error !== ERRNO.EINTR) throw new LinuxError(error, "sendmsg", this.#fd);
    }
  }

  #aim(into: Uint8Array, offset: number, length: number, maxFds: number): void {
    if (length === 0) {
      throw new LinuxError(ERRNO.EINVAL, "recvmsg", this.#fd, "asked for 0 bytes, which reads as an end");
    }
    setWord(IOV, this.#into.at(this.#fd, into, offset, length));
    setWord(IOV + 8, length);
    setWord(MSG_CONTROL, maxFds === 0 ? 0 : control);
    setWord(MSG_CONTROLLEN, maxFds === 0 ? 0 : CMSG_HEADER + 4 * maxFds);
    words.setInt32(MSG_FLAGS, 0, true);
  }

  #recvmsg(flags: number): number {
    for (;;) {
      const count = recvmsg(this.#fd, base, flags);
      if (count >= 0) return count;
      const error = errno();
      if (error === ERRNO.EAGAIN) return -1;
      if (error !== ERRNO.EINTR) throw new LinuxError(error, "recvmsg", this.#fd);
    }
  }

  #takeControl(): void {
    this.#truncated = (words.getInt32(MSG_FLAGS, true) & MSG_CTRUNC) !== 0;
    const bytes = words.getUint32(MSG_CONTROLLEN, true);
    if (bytes > 0) this.#takeFds(CONTROL + bytes);
  }

  #takeFds(end: number): void {
    let at = CONTROL;
    while (at + CMSG_HEADER <= end) {
      const bytes = words.getUint32(at, true);
      if (bytes < CMSG_HEADER || at + bytes > end) return;
      if (words.getInt32(at + 8, true) === SOL_SOCKET && words.getInt32(at + 12, true) === SCM_RIGHTS) {
        for (let fd = at + CMSG_HEADER; fd + 4 <= at + bytes; fd += 4) this.fds.push(words.getInt32(fd, true));
      }
      at += (bytes + 7) & ~7;
    }
  }
}

/** The address of the bytes to move. That of a view is asked for once: reading and writing each have their own buffer. */
class Aim {
  readonly #syscall: string;
  #view: Uint8Array | null = null;
  #address = 0;

  constructor(syscall: string) {
    this.#syscall = syscall;
  }

  at(fd: number, view: Uint8Array, offset: number, length: number): number {
    if (!(offset >= 0 && length >= 0 && offset + length <= view.length)) {
      const hint = `bytes ${offset}..${offset + length} of a buffer of ${view.length}`;
      throw new LinuxError(ERRNO.EFAULT, this.#syscall, fd, hint);
    }
    if (this.#view !== view) {
      this.#view = view;
      this.#address = address(view);
    }
    return this.#address + offset;
  }
}

function putMessage(at: number, length: number, fds: readonly number[]): void {
  setWord(IOV, at);
  setWord(IOV + 8, length);
  setWord(MSG_CONTROL, control);
  setWord(MSG_CONTROLLEN, CMSG_HEADER + 4 * fds.length);
  setWord(CONTROL, CMSG_HEADER + 4 * fds.length);
  words.setInt32(CONTROL + 8, SOL_SOCKET, true);
  words.setInt32(CONTROL + 12, SCM_RIGHTS, true);
  fds.forEach((fd, i) => {
    words.setInt32(CONTROL + CMSG_HEADER + 4 * i, fd, true);
  });
}

/** Stores a number below 2^53 as a 64-bit word, without a BigInt. */
function setWord(offset: number, value: number): void {
  words.setUint32(offset, value >>> 0, true);
  words.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}
