// The order in which commands of one client take effect. Commands start in the order of arrival, and one starts when
// its predecessor has finished: the specification's rule. There is one exception, without which both sides could wait
// for each other for ever: while an answer to one of our DMA messages is outstanding, the client may be blocked on a
// command that is still queued here (a vCPU in a register read), so then the next commands start although earlier ones
// are unfinished. What an unfinished command still does then comes after what overtook it started, as with real
// hardware. Commands that change memory, interrupts or the whole device ("control") never overtake one another.

export interface Work {
  control: boolean;
  /** What it costs to hold it in the queue. */
  bytes: number;
  /** Never throws or rejects. */
  run(): void | Promise<void>;
  /** Gives up what it owns: it will not run. */
  drop(): void;
  /** For the log. */
  name: string;
}

export class CommandOrder {
  #queue: Work[] = [];
  #running = new Set<Work>();
  #bytes = 0;
  #starting = false;
  #mayOvertake: () => boolean;
  #idle: (() => void)[] = [];

  constructor(mayOvertake: () => boolean) {
    this.#mayOvertake = mayOvertake;
  }

  /** Commands that have not finished. */
  get size(): number {
    return this.#queue.length + this.#running.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The oldest command that is running. */
  get current(): string | undefined {
    return this.#running.values().next().value?.name;
  }

  push(work: Work): void {
    this.#queue.push(work);
    this.#bytes += work.bytes;
    this.kick();
  }

  /** Starts what may start: to be called whenever mayOvertake has become true. */
  kick(): void {
    if (this.#starting) return;
    this.#starting = true;
    try {
      for (let work = this.#queue[0]; work !== undefined && this.#mayStart(work); work = this.#queue[0]) {
        this.#queue.shift();
        this.#start(work);
      }
    } finally {
      this.#starting = false;
    }
  }

  /** Drops everything that has not started. */
  drop(): void {
    const dropped = this.#queue;
    this.#queue = [];
    for (const work of dropped) {
      this.#bytes -= work.bytes;
      work.drop();
    }
  }

  /** Resolves when nothing is running and nothing waits. */
  idle(): Promise<void> {
    if (this.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #mayStart(work: Work): boolean {
    if (this.#running.size === 0) return true;
    if (!this.#mayOvertake()) return false;
    if (!work.control) return true;
    for (const running of this.#running) if (running.control) return false;
    return true;
  }

  #start(work: Work): void {
    const result = work.run();
    if (result === undefined) {
      this.#finish(work);
      return;
    }
    this.#running.add(work);
    result.then(() => {
      this.#running.delete(work);
      this.#finish(work);
      this.kick();
    });
  }

  #finish(work: Work): void {
    this.#bytes -= work.bytes;
    if (this.size > 0) return;
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }
}
