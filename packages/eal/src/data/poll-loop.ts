// The loop of a polling lcore. A busy turn costs a load of the stop word and a quiescent report; the clock is read only while
// idle, unless turns are timed. After 100 us without a packet the lcore naps, never past env.deadlineUs: adaptive, 50 us
// doubling to 0.8 ms, for sources that make no event (mapped doorbells); interrupt, 250 ms at once if an event is sure to end
// it, else as adaptive; busy, never. It naps in epoll, so queues' events and wakeLcore end any nap. A packet or a wake-up
// starts anew. While it naps it is offline to QSBR, so nobody waits.
import { readClock, waitEvents } from "@emudev/linux/data";
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
  LCORE_WAIT_FD,
  LCORE_WAKE,
  NAP_EVENTS,
  NAP_WORD,
  POLL_BUSY,
  POLL_INTERRUPT,
} from "../layout/lcore.ts";
import type { LcoreEnv } from "./env.ts";

const IDLE_US = 100; // empty for so long before the first nap
const NAP_FIRST_US = 50;
const NAP_LAST_US = 800; // with the wake-up and what is cold by then, a packet is served within 1 ms
const NAP_INTERRUPT_US = 250_000; // an event ends it
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
  const clock = new IdleClock(env);
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
      if (counters.attentive) {
        counters.napped();
        if (counters.timed) counters.time(moved);
      }
      if (moved !== 0) {
        idleTurns = 0;
        napUs = NAP_FIRST_US;
        ready = false;
        continue;
      }
      const idleTurn = idleTurns;
      idleTurns = (idleTurns + 1) | 0; // stays whole, however long it counts
      if ((idleTurn & (CLOCK_EVERY - 1)) !== 0 && !ready) continue;
      if (idleTurns === 1) clock.begin();
      if (clock.idleUs() < IDLE_US) continue;
      if (!ready) {
        // One more turn after this load: an event before it is found by polling, one after it makes the wait return at once.
        seen = Atomics.load(i32, wakeWord);
        ready = true;
        continue;
      }
      const mode = u32[modeWord]!;
      const sure = mode === POLL_INTERRUPT && announced();
      const longest = mode === POLL_BUSY ? 0 : sure ? NAP_INTERRUPT_US : napUs;
      const wanted = Math.min(longest, clock.leftUs());
      if (wanted < NAP_LEAST_US) continue;
      if (nap(env, wakeWord, seen, wanted, counters)) {
        napUs = Math.min(napUs * 2, NAP_LAST_US);
        seen = Atomics.load(i32, wakeWord);
      } else {
        napUs = NAP_FIRST_US;
        idleTurns = 0;
        ready = false;
      }
    }
  } finally {
    counters.napped();
    counters.flush();
    qsbr.offline(index);
    qsbr.unregister(index);
  }
}

/** Sleeps; true when the time ran out, false when the lcore was woken: by wakeLcore, or by its queues' events. */
function nap(env: LcoreEnv, word: number, seen: number, us: number, counters: LoopCounters): boolean {
  const { arena, qsbr, index, off } = env;
  const napping = (off + LCORE_NAPPING) >>> 2;
  counters.naps();
  qsbr.offline(index);
  const events = arena.i32[(off + LCORE_WAIT_FD) >>> 2]!;
  let timedOut = false;
  Atomics.store(arena.i32, napping, events === 0 ? NAP_WORD : NAP_EVENTS);
  if (events === 0) timedOut = Atomics.wait(arena.i32, word, seen, us / 1000) === "timed-out";
  else if (Atomics.load(arena.i32, word) === seen) timedOut = waitEvents(events, us) === 0;
  Atomics.store(arena.i32, napping, 0);
  qsbr.online(index);
  if (counters.timed) counters.napped(); // not part of the turn that follows
  return timedOut;
}

const WHOLE_MAX = 2 ** 30;

/**
 * How long the loop has been idle. Times lie in an array, and results are whole: a function that takes or returns a fraction
 * makes a fresh object of it wherever it is not inlined, which is V8's choice and another one in every run.
 */
class IdleClock {
  readonly #env: LcoreEnv;
  readonly #times = new Float64Array(2); // begun, last looked at

  constructor(env: LcoreEnv) {
    this.#env = env;
  }

  begin(): void {
    readClock(this.#times, 0);
  }

  /** Microseconds since begin(). */
  idleUs(): number {
    readClock(this.#times, 1);
    return Math.min(this.#times[1]! - this.#times[0]!, WHOLE_MAX) | 0;
  }

  /** Microseconds from the last look to the lcore's deadline. */
  leftUs(): number {
    return Math.min(this.#env.deadlineUs - this.#times[1]!, WHOLE_MAX) | 0;
  }
}

// Where the loop's counters are in their array. A field that holds a fraction would be a fresh object after each turn.
const LOOPS = 0;
const BUSY = 1;
const NAPS = 2;
const NAP_US = 3;
const TIMED_NS = 4;
const BUSY_NS = 5;
const LAST_US = 6; // end of the last timed turn or nap; 0 = none
const NAP_FROM_US = 7; // begin of the nap that is not counted yet; 0 = none
const NAP_TO_US = 8;
const WORDS = [LCORE_LOOPS, LCORE_BUSY_LOOPS, LCORE_NAPS, LCORE_NAP_US, LCORE_TIMED_NS, LCORE_BUSY_NS] as const;

/** The loop's counters, kept in an array and written to the arena now and then. */
class LoopCounters {
  readonly #u32: Uint32Array;
  readonly #base: number;
  readonly #values = new Float64Array(NAP_TO_US + 1);
  #pending = 0;
  /** Whether turns are timed at the moment. */
  timed = false;
  /** Whether there is more to do behind a turn than count(). */
  attentive = false;

  constructor(env: LcoreEnv) {
    const { arena, off } = env;
    this.#u32 = arena.u32;
    this.#base = off >>> 2;
    for (let i = 0; i < WORDS.length; i++) this.#values[i] = arena.counter(off + WORDS[i]!);
    this.flush();
  }

  count(moved: number): void {
    this.#values[LOOPS]!++;
    if (moved !== 0) this.#values[BUSY]!++;
    this.#pending = (this.#pending + 1) & (FLUSH_EVERY - 1);
    if (this.#pending === 0) this.flush();
  }

  /** A nap begins. */
  naps(): void {
    readClock(this.#values, NAP_FROM_US);
    this.attentive = true;
  }

  /** The nap that began last, if any, has ended; so late that the packet that ended it is served first. */
  napped(): void {
    const values = this.#values;
    if (values[NAP_FROM_US] === 0) return;
    readClock(values, NAP_TO_US);
    values[NAPS]!++;
    values[NAP_US]! += values[NAP_TO_US]! - values[NAP_FROM_US]!;
    values[NAP_FROM_US] = 0;
    if (this.timed) this.time(0);
    this.flush();
  }

  /** A turn has ended, or a nap. */
  time(moved: number): void {
    const values = this.#values;
    const last = values[LAST_US]!;
    readClock(values, LAST_US);
    const ns = last === 0 ? 0 : (values[LAST_US]! - last) * 1000;
    values[TIMED_NS]! += ns;
    if (moved !== 0) values[BUSY_NS]! += ns;
  }

  flush(): void {
    const timed = this.#u32[this.#base + (LCORE_RECORD >>> 2)] !== 0;
    if (!timed) this.#values[LAST_US] = 0;
    this.timed = timed;
    this.attentive = timed || this.#values[NAP_FROM_US] !== 0;
    for (let i = 0; i < WORDS.length; i++) {
      const value = Math.floor(this.#values[i]!);
      const at = this.#base + (WORDS[i]! >>> 2);
      this.#u32[at] = value >>> 0;
      this.#u32[at + 1] = Math.floor(value / 0x100000000);
    }
  }
}
