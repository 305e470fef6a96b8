// Short requests on a unix stream socket, answered before they are taken out of it. The kernel wakes up a peer that
// sleeps in a read when a message of its own is taken, for nothing, to tell it that there is room to write
// (unix_write_space); so the answer goes first. And what is asked hundreds of thousands of times a second has to be lean:
// nothing is laid out anew for a call, and one call looks many times. SocketMessenger does all else on the same socket.
import { ERRNO, LinuxError } from "./errors.ts";
import { address, errno, recv, recvmsg, send } from "./libc.ts";

const MSG_PEEK = 0x2;
const MSG_CTRUNC = 0x8;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const LOOK = MSG_PEEK | MSG_DONTWAIT;
const ANSWER = MSG_NOSIGNAL | MSG_DONTWAIT;

// One buffer: struct msghdr (64-bit; iov 16, iovlen 24, flags 48; no name, no control), struct iovec, request, reply.
const FLAGS = 48;
const IOV = 56;
const REQUEST = 72;

/** Answers the requests of one socket; not shared between threads. Closing the fd is the caller's. */
export class Peeker {
  /** What `look` has found. */
  readonly request: DataView;
  /** What `answer` sends. */
  readonly reply: DataView;
  readonly #fd: number;
  readonly #memory: DataView;
  readonly #at: number;
  readonly #replyAt: number;

  /** @param requestBytes what a look shows at most, `replyBytes` the longest reply; multiples of 4 */
  constructor(fd: number, requestBytes: number, replyBytes: number) {
    const { buffer } = new Uint8Array(REQUEST + requestBytes + replyBytes);
    const reply = REQUEST + requestBytes;
    this.#fd = fd;
    this.#memory = new DataView(buffer);
    this.#at = address(new Uint8Array(buffer));
    this.#replyAt = this.#at + reply;
    this.request = new DataView(buffer, REQUEST, requestBytes);
    this.reply = new DataView(buffer, reply, replyBytes);
    this.#memory.setBigUint64(16, BigInt(this.#at + IOV), true);
    this.#memory.setBigUint64(24, 1n, true);
    this.#memory.setBigUint64(IOV, BigInt(this.#at + REQUEST), true);
    this.#memory.setBigUint64(IOV + 8, BigInt(requestBytes), true);
  }

  /**
   * Looks up to `times` times for bytes that have arrived, and leaves them where they are.
   * @returns how many `request` shows; 0 when there are none; -1 when SocketMessenger has to see what is there: fds come
   * with the bytes (or right behind them: the kernel looks one segment too far), the stream's end, or an error
   */
  look(times: number): number {
    for (let i = 0; i < times; i++) {
      const count = recvmsg(this.#fd, this.#at, LOOK);
      if (count > 0) return this.#memory.getInt32(FLAGS, true) & MSG_CTRUNC ? -1 : count;
      if (count === 0 || errno() !== ERRNO.EAGAIN) return -1;
    }
    return 0;
  }

  /** Sends the first `bytes` of `reply`. @returns how many have gone; what has not is for SocketMessenger to send, or to fail */
  answer(bytes: number): number {
    return Math.max(0, send(this.#fd, this.#replyAt, bytes, ANSWER));
  }

  /** Takes out what `look` has shown, all of it. @throws LinuxError */
  take(bytes: number): void {
    const count = recv(this.#fd, this.#at + REQUEST, bytes, MSG_DONTWAIT);
    if (count === bytes) return;
    const hint = "what was there is gone: somebody else reads this socket";
    throw new LinuxError(count < 0 ? errno() : ERRNO.EIO, "recv", this.#fd, hint);
  }
}
