// What a napping lcore waits for: eventfds of its queues' doorbells, and one of its own, by which wakeLcore reaches it. So a
// doorbell wakes the lcore itself, and the main thread, whose turn of the event loop would cost more than the wake-up, sleeps
// on. Made for each worker by lcores.ts; data/poll-loop.ts waits.
import { closeFd, eventfd, WaitSet } from "@emudev/linux";
import type { Arena } from "@emudev/shm";
import { LCORE_WAIT_FD, LCORE_WAKE_FD } from "../layout/lcore.ts";

export class LcoreEvents {
  readonly #set = new WaitSet();
  readonly #own = eventfd();
  readonly #arena: Arena;
  readonly #off: number;

  /** @param off arena offset of the lcore's words */
  constructor(arena: Arena, off: number) {
    this.#arena = arena;
    this.#off = off;
    this.#set.add(this.#own);
    arena.i32[(off + LCORE_WAKE_FD) >>> 2] = this.#own;
    arena.i32[(off + LCORE_WAIT_FD) >>> 2] = this.#set.fd;
  }

  add(fd: number): void {
    this.#set.add(fd);
  }

  remove(fd: number): void {
    this.#set.remove(fd);
  }

  /** The lcore has ended. */
  close(): void {
    this.#arena.i32[(this.#off + LCORE_WAIT_FD) >>> 2] = 0;
    this.#arena.i32[(this.#off + LCORE_WAKE_FD) >>> 2] = 0;
    this.#set.close();
    closeFd(this.#own);
  }
}
