// Trapped doorbells (EMU_DEV_DB_FD): the provider writes the tail into its word, which lcores poll, and signals an eventfd,
// which is watched here, so that a guest's doorbell ends the naps of the polling lcores; those in interrupt mode it wakes by
// itself. Mapped doorbells make no event.
// Called by port.ts after every change of the queues' state; a queue is let go of before the device is answered, since the
// eventfd is the provider's.
import { eventfdRead, type Watcher, watch } from "@emudev/linux";

/** eal's lcores, as far as this needs them. */
export interface WaitingLcores {
  watch(fd: number): void;
  unwatch(fd: number): void;
}

export class DoorbellWatch {
  readonly #watchers = new Map<number, Watcher>();
  readonly #wake: () => void;
  readonly #lcores: WaitingLcores;

  /**
   * @param wake ends the naps of the lcores
   * @param lcores those in interrupt mode are woken by the eventfd itself
   */
  constructor(wake: () => void, lcores: WaitingLcores) {
    this.#wake = wake;
    this.#lcores = lcores;
  }

  /** Watches these eventfds and no others. */
  follow(fds: ReadonlySet<number>): void {
    for (const [fd, watcher] of this.#watchers) {
      if (fds.has(fd)) continue;
      watcher.close();
      this.#lcores.unwatch(fd);
      this.#watchers.delete(fd);
    }
    for (const fd of fds) if (!this.#watchers.has(fd)) this.#watchers.set(fd, this.#watch(fd));
  }

  #watch(fd: number): Watcher {
    const watcher = watch(fd, { readable: true }, ({ error }) => {
      if (error !== 0) {
        this.#lcores.unwatch(fd);
        return watcher.close();
      }
      eventfdRead(fd);
      this.#wake();
    });
    this.#lcores.watch(fd);
    return watcher;
  }
}
