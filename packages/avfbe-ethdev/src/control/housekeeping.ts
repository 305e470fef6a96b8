// When the main thread looks after a port's queues: every 10 ms while something moves, less and less often when nothing does, to 4
// times a second. Looking costs more than it seems: it wakes a sleeping CPU. Used by port.ts.

const BUSY_MS = 10;
const IDLE_MS = 250;

export class Housekeeping {
  readonly #look: (idle: boolean) => boolean;
  #timer: NodeJS.Timeout | null = null;
  #pauseMs = BUSY_MS;

  /** @param look is told whether this is one of the rarer looks, and returns whether anything has moved since the last */
  constructor(look: (idle: boolean) => boolean) {
    this.#look = look;
  }

  get running(): boolean {
    return this.#timer !== null;
  }

  /** Begins, at the pace of something that moves; one that runs goes on. */
  start(): void {
    if (this.#timer !== null) return;
    this.#pauseMs = BUSY_MS;
    this.#next();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #next(): void {
    this.#timer = setTimeout(() => {
      const moved = this.#look(this.#pauseMs !== BUSY_MS);
      this.#pauseMs = moved ? BUSY_MS : Math.min(2 * this.#pauseMs, IDLE_MS);
      if (this.#timer !== null) this.#next();
    }, this.#pauseMs);
  }
}
