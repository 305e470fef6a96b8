// The loop of a polling lcore. A busy turn costs a load of the stop word and a quiescent report; the clock is read only while
// idle, unless turns are timed. After 100 us without a packet the lcore naps on its wake word, never past env.deadlineUs:
// adaptive, 50 us doubling to 1 ms, for sources that make no event (mapped doorbells); interrupt, 100 ms at once if an event
// is sure to end it, else as adaptive; busy, never. A packet or a wake-up starts anew. While it naps it is offline to QSBR, so nobody waits.
import {
  LCORE_BUSY_LOOPS,
  LCORE_BUSY_NS,
  LCORE_LOOPS,
  LCORE_NAP_US,
  LCORE_NAPPING,
  LCORE_NAPS,
  LCORE_POLL_MODE,
  LCORE_RECORD,
  LCORE_STOP,
  LCORE_TIMED_NS,
  LCORE_WAKE,
  POLL_BUSY,
  POLL_INTERRUPT,
} from "../layout/lcore.ts";
import type { LcoreEnv } from "./env.ts";

const IDLE_US = 100; // empty for so long before the first nap
const NAP_FIRST_US = 50;
const NAP_LAST_US = 1000;
const NAP_INTERRUPT_US = 100_000; // an event ends it
const NAP_LEAST_US = 5; // a deadline nearer than this is polled for
const CLOCK_EVERY = 16; // empty turns between two looks at the clock, a power of two
const FLUSH_EVERY = 1024; // turns between two updates of the counters, a power of two

/**
 * Calls `turn` until the lcore is told to stop. Registers with QSBR for that time and reports a quiescent state after every
 * turn: what `turn` read from shared tables must not be used in the next one.
 * @param turn polls everything once and returns the number of packets it moved
 * @param announced whether whatever comes next wakes this lcore, asked before a nap in interrupt mode
 */
export function pollLoop(env: LcoreEnv, turn: () => number, announced: () => boolean = () => false): void {
  const { arena, qsbr, index, off } = env;
  const { i32, u32 } = arena;
  const modeWord = (off + LCORE_POLL_MODE) >>> 2;
  const stopWord = (off + LCORE_STOP) >>> 2;
  const wakeWord = (off + LCORE_WAKE) >>> 2;
  const counters = new LoopCounters(env);
  let idleTurns = 0; // empty turns since the last packet or wake-up
  let idleSince = 0;
  let napUs = NAP_FIRST_US;
  let seen = 0; // the wake word as it was before the turn that may be the last before a nap
  let ready = false; // `seen` was loaded before that turn
  qsbr.register(index);
  qsbr.online(index);
  try {
    while (Atomics.load(i32, stopWord) === 0) {
      env.deadlineUs = Number.POSITIVE_INFINITY;
      const moved = turn();
      qsbr.quiescent(index);
      counters.count(moved);
      if (counters.timed) counters.time(moved, env.nowUs());
      if (moved !== 0) {
        idleTurns = 0;
        napUs = NAP_FIRST_US;
        ready = false;
        continue;
      }
      if ((idleTurns++ & (CLOCK_EVERY - 1)) !== 0 && !ready) continue;
      const now = env.nowUs();
      if (idleTurns === 1) idleSince = now;
      if (now - idleSince < IDLE_US) continue;
      if (!ready) {
        // One more turn after this load: an event before it is found by polling, one after it makes the wait return at once.
        seen = Atomics.load(i32, wakeWord);
        ready = true;
        continue;
      }
      const mode = u32[modeWord]!;
      const longest = mode === POLL_BUSY ? 0 : mode === POLL_INTERRUPT && announced() ? NAP_INTERRUPT_US : napUs;
      const wanted = Math.min(longest, env.deadlineUs - now);
      if (wanted < NAP_LEAST_US) continue;
      if (nap(env, wakeWord, seen, wanted, now, counters)) {
        napUs = Math.min(napUs * 2, NAP_LAST_US);
        seen = Atomics.load(i32, wakeWord);
      } else {
        napUs = NAP_FIRST_US;
        idleTurns = 0;
        ready = false;
      }
    }
  } finally {
    counters.flush();
    qsbr.offline(index);
    qsbr.unregister(index);
  }
}

/** Sleeps; true when the time ran out, false when the lcore was woken. */
function nap(env: LcoreEnv, word: number, seen: number, us: number, now: number, counters: LoopCounters): boolean {
  const { arena, qsbr, index, off } = env;
  const napping = (off + LCORE_NAPPING) >>> 2;
  qsbr.offline(index);
  Atomics.store(arena.i32, napping, 1);
  const outcome = Atomics.wait(arena.i32, word, seen, us / 1000);
  Atomics.store(arena.i32, napping, 0);
  qsbr.online(index);
  const awake = env.nowUs();
  counters.napped(awake - now, awake);
  return outcome === "timed-out";
}

/** The loop's counters, kept in fields and written to the arena now and then. */
class LoopCounters {
  readonly #u32: Uint32Array;
  readonly #base: number;
  #loops: number;
  #busy: number;
  #naps: number;
  #napUs: number;
  #timedNs: number;
  #busyNs: number;
  #last = 0; // end of the last timed turn or nap
  #pending = 0;
  /** Whether turns are timed at the moment. */
  timed = false;

  constructor({ arena, off }: LcoreEnv) {
    this.#u32 = arena.u32;
    this.#base = off >>> 2;
    this.#timedNs = arena.counter(off + LCORE_TIMED_NS);
    this.#busyNs = arena.counter(off + LCORE_BUSY_NS);
    this.#loops = arena.counter(off + LCORE_LOOPS);
    this.#busy = arena.counter(off + LCORE_BUSY_LOOPS);
    this.#naps = arena.counter(off + LCORE_NAPS);
    this.#napUs = arena.counter(off + LCORE_NAP_US);
    this.flush();
  }

  count(moved: number): void {
    this.#loops++;
    if (moved !== 0) this.#busy++;
    if ((++this.#pending & (FLUSH_EVERY - 1)) === 0) this.flush();
  }

  /** A turn has ended. */
  time(moved: number, nowUs: number): void {
    const ns = this.#last === 0 ? 0 : (nowUs - this.#last) * 1000;
    this.#last = nowUs;
    this.#timedNs += ns;
    if (moved !== 0) this.#busyNs += ns;
  }

  napped(us: number, nowUs: number): void {
    this.#naps++;
    this.#napUs += us;
    if (this.timed) this.time(0, nowUs);
    this.flush();
  }

  flush(): void {
    const timed = this.#u32[this.#base + (LCORE_RECORD >>> 2)] !== 0;
    if (!timed) this.#last = 0;
    this.timed = timed;
    this.#store(LCORE_TIMED_NS, Math.floor(this.#timedNs));
    this.#store(LCORE_BUSY_NS, Math.floor(this.#busyNs));
    this.#store(LCORE_LOOPS, this.#loops);
    this.#store(LCORE_BUSY_LOOPS, this.#busy);
    this.#store(LCORE_NAPS, this.#naps);
    this.#store(LCORE_NAP_US, Math.floor(this.#napUs));
  }

  #store(at: number, value: number): void {
    const index = this.#base + (at >>> 2);
    this.#u32[index] = value >>> 0;
    this.#u32[index + 1] = Math.floor(value / 0x100000000);
  }
}
