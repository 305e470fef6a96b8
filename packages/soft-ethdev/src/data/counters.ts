// The counters of a queue (ethdev's layout/queue-stats.ts) and its other words as the lcore that polls it uses them:
// 64-bit counters are kept as two halves, since adding by BigInt would allocate for every burst.
import type { LcoreEnv } from "@emudev/eal/data";
import { QSTATS_BYTES, QSTATS_ERRORS, QSTATS_MISSED, QSTATS_NOMBUF, QSTATS_PACKETS } from "@emudev/ethdev/data";
import { SQ_STARTED } from "../layout/queue.ts";

export class QueueWords {
  readonly #i32: Int32Array;
  readonly #u32: Uint32Array;
  readonly #off: number;

  constructor({ arena }: LcoreEnv, off: number) {
    this.#i32 = arena.i32;
    this.#u32 = arena.u32;
    this.#off = off;
  }

  get started(): boolean {
    return Atomics.load(this.#i32, (this.#off + SQ_STARTED) >>> 2) === 1;
  }

  get(field: number): number {
    return this.#u32[(this.#off + field) >>> 2]!;
  }

  signed(field: number): number {
    return this.#i32[(this.#off + field) >>> 2]!;
  }

  set(field: number, value: number): void {
    this.#u32[(this.#off + field) >>> 2] = value;
  }

  moved(packets: number, bytes: number): void {
    this.#add(QSTATS_PACKETS, packets);
    this.#add(QSTATS_BYTES, bytes);
  }

  errors(packets: number): void {
    this.#add(QSTATS_ERRORS, packets);
  }

  missed(packets: number): void {
    this.#add(QSTATS_MISSED, packets);
  }

  noMbuf(packets: number): void {
    this.#add(QSTATS_NOMBUF, packets);
  }

  #add(counter: number, n: number): void {
    if (n === 0) return;
    const at = (this.#off + counter) >>> 2;
    const low = this.#u32[at]! + n;
    this.#u32[at] = low >>> 0;
    if (low > 0xffffffff) this.#u32[at + 1]!++;
  }
}
