// Trapped doorbells (EMU_DEV_DB_FD): the provider, or the client itself by an ioeventfd, writes the tail into its word, which
// lcores poll, and signals an eventfd. Napping lcores wait for that themselves; this thread is not woken. Mapped doorbells make
// no event. Called by port.ts after every change of the queues' state; a queue is let go of before the device is answered,
// since the eventfd is the provider's.

/** eal's lcores, as far as this needs them. */
export interface WaitingLcores {
  watch(fd: number): void;
  unwatch(fd: number): void;
}

export class DoorbellWatch {
  readonly #watched = new Set<number>();
  readonly #lcores: WaitingLcores;

  /** @param lcores whose naps a doorbell ends */
  constructor(lcores: WaitingLcores) {
    this.#lcores = lcores;
  }

  /** Watches these eventfds and no others. */
  follow(fds: ReadonlySet<number>): void {
    for (const fd of this.#watched) {
      if (fds.has(fd)) continue;
      this.#lcores.unwatch(fd);
      this.#watched.delete(fd);
    }
    for (const fd of fds) {
      if (this.#watched.has(fd)) continue;
      this.#lcores.watch(fd);
      this.#watched.add(fd);
    }
  }
}
