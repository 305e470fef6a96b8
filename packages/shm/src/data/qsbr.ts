// Quiescent state based reclamation after rte_rcu_qsbr. A writer unpublishes a structure, takes a token by start() and may
// free it once check(token) holds: every reader that was online has since said quiescent(), that is, holds no reference.
// Readers are lcores by index. A reader loads what writers publish by an atomic load, after online(), or else a weakly
// ordered CPU may serve it the old value.
import { LCORE_MAX } from "../layout/mempool.ts";
import {
  QSBR_THREAD_BYTES,
  QSBR_THREAD_CNT,
  QSBR_THREAD_REGISTERED,
  QSBR_THREADS,
  QSBR_TOKEN,
} from "../layout/qsbr.ts";
import type { Arena, MemzoneArena } from "./arena.ts";
import { checkLcore } from "./mempool.ts";

const OFFLINE = 0;
/** Turns of the event loop before the wait goes over to timers, and when a late reader is reported. */
const IMMEDIATE_TURNS = 100;
const TIMER_MS = 1;
const LATE_MS = 1000;

export class Qsbr {
  readonly off: number;
  readonly #words: Int32Array;
  readonly #token: number;

  /** Creates a variable with no readers, in memzone "QS_<name>". */
  static create(arena: MemzoneArena, name: string): Qsbr {
    const zone = arena.memzoneReserve(`QS_${name}`, QSBR_THREADS + LCORE_MAX * QSBR_THREAD_BYTES, 64);
    arena.u32[(zone.off + QSBR_TOKEN) >>> 2] = 1;
    return new Qsbr(arena, zone.off);
  }

  /** Opens the variable at `off`, in any thread. */
  constructor(arena: Arena, off: number) {
    this.off = off;
    this.#words = arena.i32;
    this.#token = (off + QSBR_TOKEN) >>> 2;
  }

  /** Makes `thread` a reader, still offline. Idempotent. */
  register(thread: number): void {
    Atomics.store(this.#words, this.#word(checkLcore(thread), QSBR_THREAD_REGISTERED), 1);
  }

  /** `thread` is a reader no more; it must hold no reference. */
  unregister(thread: number): void {
    this.offline(checkLcore(thread));
    Atomics.store(this.#words, this.#word(thread, QSBR_THREAD_REGISTERED), 0);
  }

  /** From here on `thread` may take references. Writers wait for it. */
  online(thread: number): void {
    Atomics.store(this.#words, this.#word(thread, QSBR_THREAD_CNT), Atomics.load(this.#words, this.#token));
  }

  /** `thread` holds no reference and takes none until online(). */
  offline(thread: number): void {
    Atomics.store(this.#words, this.#word(thread, QSBR_THREAD_CNT), OFFLINE);
  }

  /** `thread`, online, holds no reference at this moment. Two loads while no writer waits. */
  quiescent(thread: number): void {
    const at = this.#word(thread, QSBR_THREAD_CNT);
    const token = Atomics.load(this.#words, this.#token);
    if (this.#words[at] !== token) Atomics.store(this.#words, at, token);
  }

  /** Takes a token, after a structure was unpublished. */
  start(): number {
    for (;;) {
      const token = (Atomics.add(this.#words, this.#token, 1) + 1) | 0;
      if (token !== OFFLINE) return token >>> 0;
    }
  }

  /**
   * Whether every reader has passed a quiescent state, or was offline, since start() gave `token`.
   * @param readers bit i = thread i may hold a reference, for structures that not all of them know; default: all may
   */
  check(token: number, readers = -1): boolean {
    for (let thread = 0; thread < LCORE_MAX; thread++)
      if (readers & (1 << thread) && this.#isLate(thread, token)) return false;
    return true;
  }

  /** The registered readers and the newest token each has passed; 0 = offline. */
  readers(): { thread: number; token: number }[] {
    const readers: { thread: number; token: number }[] = [];
    for (let thread = 0; thread < LCORE_MAX; thread++) {
      if (Atomics.load(this.#words, this.#word(thread, QSBR_THREAD_REGISTERED)) === 0) continue;
      readers.push({ thread, token: Atomics.load(this.#words, this.#word(thread, QSBR_THREAD_CNT)) >>> 0 });
    }
    return readers;
  }

  /**
   * Resolves when every reader that may hold a reference now has let go of it. The event loop stays free meanwhile.
   * @param onLate called once with the readers that have kept it waiting for a second; the wait goes on
   * @param readers as for check()
   */
  async synchronize(onLate?: (threads: number[]) => void, readers = -1): Promise<void> {
    const token = this.start();
    const late = performance.now() + LATE_MS;
    let reported = false;
    for (let turn = 0; !this.check(token, readers); turn++) {
      if (!reported && performance.now() >= late) {
        reported = true;
        onLate?.(this.#lateThreads(token, readers));
      }
      await (turn < IMMEDIATE_TURNS ? new Promise(setImmediate) : new Promise((done) => setTimeout(done, TIMER_MS)));
    }
  }

  #lateThreads(token: number, readers: number): number[] {
    const threads = Array.from({ length: LCORE_MAX }, (_, thread) => thread);
    return threads.filter((thread) => readers & (1 << thread) && this.#isLate(thread, token));
  }

  #isLate(thread: number, token: number): boolean {
    const seen = Atomics.load(this.#words, this.#word(thread, QSBR_THREAD_CNT));
    // Tokens wrap at 2^32: older means a negative 32-bit difference.
    return seen !== OFFLINE && ((seen - token) | 0) < 0;
  }

  #word(thread: number, field: number): number {
    return (this.off + QSBR_THREADS + thread * QSBR_THREAD_BYTES + field) >>> 2;
  }
}
