// The commands that one end has sent and the other has not answered: message ids, time-outs, and what to do with a
// reply. Ids belong to the sender, so the server's DMA accesses and the client's commands each have a table of their
// own.

import { errnoName } from "@emudev/linux";
import type { Clock } from "../environment.ts";
import { VfioUserError } from "../errors.ts";
import { commandName, ERRNO, FLAG } from "../wire/constants.ts";
import type { Message } from "./connection.ts";

export interface Expected {
  command: number;
  /** A success reply of that command. The message's fds become the callee's. What it throws rejects the command. */
  accept(reply: Message): void;
  reject(error: Error): void;
}

interface Entry extends Expected {
  deadline: number;
}

const IDS = 1 << 16;
/** Ids of given-up commands that may still be answered; beyond this many the oldest are forgotten. */
const MAX_EXPIRED = 4096;

export class PendingReplies {
  #clock: Clock;
  #entries = new Map<number, Entry>();
  #expired = new Set<number>();
  #lastId = IDS - 1;
  #cancelTimer: (() => void) | null = null;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** A free id for a command that was answered by nobody yet. timeoutMs 0 waits for ever. */
  add(expected: Expected, timeoutMs: number): number {
    if (this.#entries.size + this.#expired.size >= IDS) {
      throw new VfioUserError("VFU_STATE", ERRNO.EBUSY, `${IDS} commands wait for replies: wait for some of them`);
    }
    do this.#lastId = (this.#lastId + 1) % IDS;
    while (this.#entries.has(this.#lastId) || this.#expired.has(this.#lastId));
    const deadline = timeoutMs > 0 ? this.#clock.now() + timeoutMs : Number.POSITIVE_INFINITY;
    this.#entries.set(this.#lastId, { ...expected, deadline });
    if (deadline < this.#timerAt) this.#arm(deadline);
    return this.#lastId;
  }

  /**
   * Settles the command that `reply` answers. False when there is none; then the message's fds are still the caller's.
   * A reply to a command that timed out is swallowed ("late").
   */
  settle(reply: Message): boolean | "late" {
    const { id, command, flags, error } = reply.header;
    if (this.#expired.delete(id)) return "late";
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.command !== command) return false;
    this.#entries.delete(id);
    if (flags & FLAG.ERROR) {
      const errno = error === 0 ? ERRNO.EIO : error;
      entry.reject(
        new VfioUserError("VFU_REFUSED", errno, `${commandName(command)} was answered with ${errnoName(errno)}`),
      );
      return true;
    }
    try {
      entry.accept(reply);
    } catch (thrown) {
      entry.reject(thrown as Error);
    }
    return true;
  }

  rejectAll(error: Error): void {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    this.#expired.clear();
    this.#disarm();
    for (const entry of entries) entry.reject(error);
  }

  #arm(at: number): void {
    this.#disarm();
    this.#timerAt = at;
    this.#cancelTimer = this.#clock.after(Math.max(at - this.#clock.now(), 0), () => this.#expire());
  }

  #disarm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  #expire(): void {
    this.#cancelTimer = null;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [id, entry] of [...this.#entries]) {
      if (entry.deadline > now) {
        next = Math.min(next, entry.deadline);
        continue;
      }
      this.#entries.delete(id);
      this.#remember(id);
      entry.reject(
        new VfioUserError("VFU_TIMEOUT", ERRNO.ETIMEDOUT, `no reply to ${commandName(entry.command)} in time`),
      );
    }
    if (next !== Number.POSITIVE_INFINITY && next < this.#timerAt) this.#arm(next);
  }

  #remember(id: number): void {
    this.#expired.add(id);
    if (this.#expired.size > MAX_EXPIRED) this.#expired.delete(this.#expired.values().next().value as number);
  }
}
