// The streams of all forwarding lcores as one of them sees them: it polls those that name it as their owner, and looks for
// changes once a turn, by one word. The main thread gives a stream to nobody first, waits until its old lcore has passed a
// quiescent state, and then names the new one (forwarding.ts, move): so a queue never has two, and its packets keep their
// order. Used by engine.ts where there is more than one lcore.
import type { LcoreEnv } from "@emudev/eal/data";
import { FWD_MOVES, FWD_TIMED, STREAM_OWNER, STREAM_TIMED_NS, STREAM_TIMED_PACKETS } from "../layout/stream.ts";
import { Schedule, type Step } from "./schedule.ts";
import type { Stream } from "./stream.ts";
import type { FwdTask, StreamTask } from "./task.ts";

/** Turns of a stream of which one is timed, a power of two. */
const TIMED_EVERY = 64;

interface Holding {
  task: StreamTask;
  stream: Stream | null;
  step: Step | null;
  held: boolean;
}

export class Holdings {
  readonly #env: LcoreEnv;
  readonly #task: FwdTask;
  readonly #make: (task: StreamTask) => { stream: Stream; step: Step };
  readonly #all: Holding[];
  readonly #schedule = new Schedule([]);
  #moves = -1;

  /** @param make opens a stream, at once, and has it forward */
  constructor(env: LcoreEnv, task: FwdTask, make: (task: StreamTask) => { stream: Stream; step: Step }) {
    this.#env = env;
    this.#task = task;
    this.#make = make;
    this.#all = task.streams.map((stream) => ({ task: stream, stream: null, step: null, held: false }));
  }

  /** One turn; the function to be given to pollLoop. */
  readonly turn = (): number => {
    const moves = Atomics.load(this.#env.arena.i32, (this.#task.block + FWD_MOVES) >>> 2);
    if (moves !== this.#moves) {
      this.#moves = moves;
      this.#follow();
    }
    return this.#schedule.turn();
  };

  announced(): boolean {
    return this.#all.every(({ held, stream }) => !held || stream!.announced());
  }

  #follow(): void {
    for (const holding of this.#all) {
      const owner = Atomics.load(this.#env.arena.i32, (holding.task.off + STREAM_OWNER) >>> 2);
      if ((owner === this.#env.index) === holding.held) continue;
      holding.held = !holding.held;
      if (holding.step === null) {
        const { stream, step } = this.#make(holding.task);
        holding.stream = stream;
        holding.step = this.#timed(holding.task.off, step);
      }
      if (holding.held) this.#schedule.add(holding.step);
      else this.#schedule.remove(holding.step);
    }
  }

  #timed(off: number, step: Step): Step {
    const { arena, nowUs } = this.#env;
    const { u32, f64 } = arena;
    const word = (this.#task.block + FWD_TIMED) >>> 2;
    const ns = (off + STREAM_TIMED_NS) >>> 3;
    const packets = (off + STREAM_TIMED_PACKETS) >>> 3;
    let turns = 0;
    return () => {
      if (u32[word] === 0 || (++turns & (TIMED_EVERY - 1)) !== 0) return step();
      const begun = nowUs();
      const moved = step();
      if (moved !== 0) {
        f64[ns]! += (nowUs() - begun) * 1000;
        f64[packets]! += moved;
      }
      return moved;
    };
  }
}
