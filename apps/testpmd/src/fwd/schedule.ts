// Which of an lcore's streams one turn polls. Streams that move packets are polled every turn; one that has been empty for
// long is quiet, and quiet ones are looked at in turn, one for every 64 packets' worth of other work. So a queue that costs
// 70 ns to be found empty takes its share of some 5 % of what its busy neighbours do, however many there are, and its next
// packet waits for the time of 64 packets a quiet queue: half a millisecond with 250 of them. Used by engine.ts.

/** Polls a stream once; returns the packets that it moved. */
export type Step = () => number;

interface Entry {
  readonly step: Step;
  /** Turns without a packet, in a row. */
  empty: number;
}

/** Up to so many streams, all are polled every turn. */
const FEW = 8;
/** Empty turns after which a stream is quiet. What it had to finish for its last packets is done by then. */
const QUIET_TURNS = 64;
/** Work for which one quiet stream is looked at: 1 << 6, a packet being 1 and a poll 4, by the time that they take. */
const LOOK_SHIFT = 6;
const POLL_SHIFT = 2;
/** Quiet streams looked at in a turn that moved nothing. */
const LOOKS_IDLE = 16;
/** Empty turns in a row after which every turn polls all: before pollLoop lets the lcore nap, which it does after 16. */
const FULL_AFTER = 8;

export class Schedule {
  readonly #busy: Entry[] = [];
  readonly #quiet: Entry[] = [];
  #next = 0;
  #emptyTurns = 0;
  /** Work since a quiet stream was looked at. */
  #credit = 0;

  constructor(steps: readonly Step[]) {
    for (const step of steps) this.#busy.push({ step, empty: 0 });
  }

  /** Another stream, which is polled every turn at first. Between two turns only. */
  add(step: Step): void {
    this.#busy.push({ step, empty: 0 });
  }

  /** A stream is polled no more. */
  remove(step: Step): void {
    for (const list of [this.#busy, this.#quiet]) {
      const at = list.findIndex((entry) => entry.step === step);
      if (at >= 0) list.splice(at, 1);
    }
  }

  /** Streams that are polled every turn. */
  get busy(): number {
    return this.#busy.length;
  }

  /** One turn; the function to be given to pollLoop. */
  readonly turn = (): number => {
    const busy = this.#busy;
    const quiet = this.#quiet;
    let moved = 0;
    for (let i = 0; i < busy.length; i++) {
      const entry = busy[i]!;
      const n = entry.step();
      moved += n;
      if (n !== 0) {
        entry.empty = 0;
        continue;
      }
      if (entry.empty < QUIET_TURNS) entry.empty++;
      if (entry.empty === QUIET_TURNS && busy.length + quiet.length > FEW) {
        quiet.push(entry);
        const last = busy.pop()!;
        if (last !== entry) busy[i--] = last;
      }
    }
    if (moved !== 0) this.#emptyTurns = 0;
    else if (this.#emptyTurns <= FULL_AFTER) this.#emptyTurns++;
    if (quiet.length === 0) return moved;
    this.#credit += moved + (busy.length << POLL_SHIFT);
    let looks = this.#credit >>> LOOK_SHIFT;
    this.#credit -= looks << LOOK_SHIFT;
    if (moved === 0) looks = this.#emptyTurns <= FULL_AFTER && busy.length !== 0 ? LOOKS_IDLE : quiet.length;
    for (looks = Math.min(looks, quiet.length); looks > 0; looks--) moved += this.#look();
    return moved;
  };

  /** Polls the quiet stream whose turn it is. */
  #look(): number {
    const quiet = this.#quiet;
    if (this.#next >= quiet.length) this.#next = 0;
    const entry = quiet[this.#next]!;
    const n = entry.step();
    if (n === 0) {
      this.#next++;
      return 0;
    }
    entry.empty = 0;
    const last = quiet.pop()!;
    if (last !== entry) quiet[this.#next] = last;
    this.#busy.push(entry);
    this.#emptyTurns = 0;
    return n;
  }
}
