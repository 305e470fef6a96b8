// The interrupt registers over emudev's vectors. Vector 0 carries what is no queue's: ICR01 collects its causes, is cleared by
// being read and fires through ICR0_ENA1. Vectors 1.. belong to queues and are raised by lcores. INTENA of a DYN_CTL
// register is the vector's `armed` word: cleared when the interrupt fires, set again by the driver; what came meanwhile
// fires then, also when the same write sets CLEARPBA, since losing it would cost the driver its wake-up.
import {
  AVF_VECTORS_MAX,
  DYN_CTL_CLEARPBA,
  DYN_CTL_INTENA,
  DYN_CTL_INTENA_MSK,
  DYN_CTL_INTERVAL_MASK,
  DYN_CTL_INTERVAL_SHIFT,
  DYN_CTL_ITR_INDX_MASK,
  DYN_CTL_ITR_INDX_SHIFT,
  DYN_CTL_SWINT_TRIG,
  DYN_CTL_WB_ON_ITR,
  ICR0_ADMINQ,
  ITR_INDEX_NONE,
  ITR_UNIT_US,
} from "@emudev/avf";
import { VECTOR_BYTES, Vector } from "@emudev/emudev";
import { signalEventfd } from "@emudev/linux";
import type { Arena, Qsbr } from "@emudev/shm";

/** Bits of a DYN_CTL register that read back as written. */
const KEPT = DYN_CTL_WB_ON_ITR | (DYN_CTL_ITR_INDX_MASK << DYN_CTL_ITR_INDX_SHIFT);

export class Interrupts {
  readonly vectors: readonly Vector[];
  readonly #kept = new Uint32Array(AVF_VECTORS_MAX);
  readonly #setItr: (vector: number, index: number, interval: number) => void;
  /** VFINT_ITR01: intervals of vector 0, in 2 us. The first is the gap that is kept. */
  readonly itr0 = new Uint32Array(3);
  /** VFINT_ICR0_ENA1. */
  icr0Ena = 0;
  #icr0 = 0;

  /**
   * @param off VECTOR_BYTES for each of `count` vectors in the arena
   * @param setItr stores an interval (units of 2 us) into the ITR register `index` of a queue vector (1..)
   */
  constructor(
    arena: Arena,
    qsbr: Qsbr,
    off: number,
    count: number,
    setItr: (vector: number, index: number, interval: number) => void,
  ) {
    this.vectors = Array.from({ length: count }, (_, i) => new Vector(arena, qsbr, off + i * VECTOR_BYTES));
    this.#setItr = setItr;
  }

  /** A cause of vector 0 has come up. */
  cause(bit: number): void {
    this.#icr0 |= bit;
    if ((this.icr0Ena & bit) !== 0) this.vectors[0]!.raise();
  }

  /** Reads ICR01, which clears it. */
  readIcr0(): number {
    const causes = this.#icr0;
    this.#icr0 = 0;
    return causes >>> 0;
  }

  writeIcr0Ena(value: number): void {
    this.icr0Ena = value;
    if ((value & this.#icr0 & ICR0_ADMINQ) !== 0) this.vectors[0]!.raise();
  }

  readDynCtl(vector: number): number {
    const armed = this.vectors[vector]?.armed ? DYN_CTL_INTENA : 0;
    return (this.#kept[vector]! | armed) >>> 0;
  }

  writeDynCtl(number: number, value: number): void {
    const vector = this.vectors[number];
    if (vector === undefined) return;
    this.#kept[number] = value & KEPT;
    const index = (value >>> DYN_CTL_ITR_INDX_SHIFT) & DYN_CTL_ITR_INDX_MASK;
    if (index !== ITR_INDEX_NONE) {
      const interval = (value >>> DYN_CTL_INTERVAL_SHIFT) & DYN_CTL_INTERVAL_MASK;
      if (number === 0) this.setItr0(index, interval);
      else this.#setItr(number, index, interval);
    }
    const enable = (value & DYN_CTL_INTENA) !== 0;
    if ((value & DYN_CTL_CLEARPBA) !== 0 && !enable) vector.clearPending();
    if ((value & DYN_CTL_INTENA_MSK) === 0) vector.setArmed(enable);
    if ((value & DYN_CTL_SWINT_TRIG) !== 0) vector.raise();
  }

  setItr0(index: number, interval: number): void {
    this.itr0[index] = interval;
    this.vectors[0]!.setItr(this.itr0[0]! * ITR_UNIT_US);
  }

  /** Causes that ICR01 would show. */
  get causes(): number {
    return this.#icr0 >>> 0;
  }

  /** Bits of a vector's DYN_CTL that read back. */
  keptOf(vector: number): number {
    return this.#kept[vector]!;
  }

  /** A driver that comes back may have missed an interrupt of this vector: it gets one, whether or not it has it armed. */
  nudge(number: number): void {
    const vector = this.vectors[number];
    if (vector === undefined) return;
    const { armed, fd } = vector;
    vector.raise();
    if (!armed && fd >= 0) signalEventfd(fd);
  }

  /** Takes another device's registers; what is pending and armed fires, unless the vectors are held. */
  restore(
    causes: number,
    enabled: number,
    itr0: readonly number[],
    vectors: readonly { kept: number; armed: boolean; pending: boolean }[],
  ): void {
    this.#icr0 = causes;
    this.icr0Ena = enabled;
    itr0.forEach((interval, i) => {
      this.setItr0(i, interval);
    });
    vectors.forEach(({ kept, armed, pending }, i) => {
      this.#kept[i] = kept & KEPT;
      this.vectors[i]!.setArmed(armed);
      if (pending) this.vectors[i]!.raise();
    });
  }

  /** No vector signals any more when it resolves; what is raised stays pending until `release`. */
  async hold(): Promise<void> {
    await Promise.all(this.vectors.map((vector) => vector.hold()));
  }

  release(): void {
    for (const vector of this.vectors) vector.release();
  }

  /** Disarmed, nothing pending; the eventfds stay the client's. */
  reset(): void {
    for (const vector of this.vectors) vector.reset();
    this.#kept.fill(0);
    this.itr0.fill(0);
    this.#icr0 = 0;
    this.icr0Ena = 0;
  }

  /** Gives vectors eventfds (-1 = none) and owns them; resolves when the old ones are closed. */
  async setFds(start: number, fds: readonly number[]): Promise<void> {
    await Promise.all(fds.map((fd, i) => this.vectors[start + i]!.setFd(fd)));
  }
}
