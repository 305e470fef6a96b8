// The fds that come in with a message, on their way from the reads that brought them to the message's handler: not more
// than the owner takes, and no sockets where those are not wanted. What came with the last read is kept apart until it is
// known whether it is the current message's or the next one's (connection.ts has the rule, and is the only user).

import { closeFd, fileStat, type SocketMessenger } from "@emudev/linux";

/** Why the fds of a message are not what they should be; "fds": there were too many. */
export type FdFault = "fds" | "socket" | null;

export class FdIntake {
  #fds: number[] = [];
  #fault: FdFault = null;
  /** What came with the last read alone. */
  #lastFds: number[] = [];
  #lastFault: FdFault = null;

  /** Nothing has come with any read since the last message, and nothing was lost. */
  get empty(): boolean {
    return this.#fds.length + this.#lastFds.length === 0 && this.#fault === null && this.#lastFault === null;
  }

  /** Takes over what the messenger's last read has brought; what is surplus or unwanted is closed at once. */
  collect(messenger: SocketMessenger, maxFds: number, takesSockets: boolean): void {
    this.takeLast();
    this.#lastFault = messenger.truncated ? "fds" : null;
    for (const fd of messenger.fds) {
      if (!takesSockets && mayBeSocket(fd)) {
        closeFd(fd);
        this.#lastFault ??= "socket";
      } else if (this.#fds.length + this.#lastFds.length < maxFds) {
        this.#lastFds.push(fd);
      } else {
        closeFd(fd);
        this.#lastFault = "fds";
      }
    }
  }

  /** What came with the last read is the current message's. */
  takeLast(): void {
    if (this.#lastFault !== null && this.#fault !== "fds") this.#fault = this.#lastFault;
    this.#lastFault = null;
    if (this.#lastFds.length === 0) return;
    this.#fds.push(...this.#lastFds);
    this.#lastFds = [];
  }

  /** The current message's, now the caller's; the next message begins. */
  take(): { fds: number[]; fault: FdFault } {
    const taken = { fds: this.#fds, fault: this.#fault };
    this.#fds = [];
    this.#fault = null;
    return taken;
  }

  closeAll(): void {
    for (const fd of [...this.#fds, ...this.#lastFds]) closeFd(fd);
    this.#fds = [];
    this.#lastFds = [];
  }
}

/** What cannot be asked, on a file system that its server has left for instance, is of no use to us either. */
function mayBeSocket(fd: number): boolean {
  try {
    return fileStat(fd).type === "socket";
  } catch {
    return true;
  }
}
