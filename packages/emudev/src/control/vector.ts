// Interrupts from the main thread, and the vector's control: a provider keeps one Vector for each MSI-X vector. The main
// thread raises vector 0 and software interrupts and fires what was pending at a re-arm; queue vectors are raised by
// lcores (data/vector.ts). What ITR holds back is fired here by a timer, unless an lcore was there first.
import { nowUs } from "@emudev/eal/data";
import { closeFd } from "@emudev/linux";
import type { Arena, Qsbr } from "@emudev/shm";
import { tryFire } from "../data/fire.ts";
import {
  VECTOR_ARMED,
  VECTOR_FD,
  VECTOR_FIRED,
  VECTOR_FIRED_MAIN,
  VECTOR_HELD,
  VECTOR_ITR_US,
  VECTOR_ITRN,
  VECTOR_LAST_US,
  VECTOR_PENDING,
} from "../layout/vector.ts";
import { warn } from "./log.ts";

export class Vector {
  /** Arena offset of the vector's words. */
  readonly off: number;
  readonly #arena: Arena;
  readonly #qsbr: Qsbr;
  #timer: NodeJS.Timeout | null = null;
  /** The eventfd of a vector that is held, null = it is not. */
  #heldFd: number | null = null;

  /** The vector at `off` that somebody else made: for a backend whose control side raises it. */
  static attach(arena: Arena, qsbr: Qsbr, off: number): Vector {
    return new Vector(arena, qsbr, off, false);
  }

  /**
   * @param off VECTOR_BYTES of the provider's memory, aligned to 64
   * @param init write its initial state: without eventfd, disarmed
   */
  constructor(arena: Arena, qsbr: Qsbr, off: number, init = true) {
    this.#arena = arena;
    this.#qsbr = qsbr;
    this.off = off;
    if (!init) return;
    this.#put(VECTOR_FD, -1);
    this.setItr(0);
    this.setItrRegister(0);
    this.reset();
  }

  /** eventfd that is signalled, -1 = none. */
  get fd(): number {
    return this.#heldFd ?? this.#get(VECTOR_FD);
  }

  get armed(): boolean {
    return this.#get(VECTOR_ARMED) === 1;
  }

  get pending(): boolean {
    return this.#get(VECTOR_PENDING) === 1;
  }

  /** Interrupts signalled so far, by lcores and by the main thread. */
  get fired(): number {
    return this.#arena.counter(this.off + VECTOR_FIRED) + this.#arena.counter(this.off + VECTOR_FIRED_MAIN);
  }

  /** Raises the vector: signals now, or stays pending until it is armed, has an eventfd and ITR allows. */
  raise(): void {
    this.#put(VECTOR_PENDING, 1);
    this.#fire();
  }

  /** Arms (INTENA set) or disarms; what is pending fires when armed. */
  setArmed(armed: boolean): void {
    this.#put(VECTOR_ARMED, armed ? 1 : 0);
    if (armed) this.#fire();
  }

  /** Forgets a pending interrupt (CLEARPBA). */
  clearPending(): void {
    this.#put(VECTOR_PENDING, 0);
  }

  /** Least gap between interrupts in microseconds, 0 = none; unless a mapped register is set. */
  setItr(us: number): void {
    this.#arena.u32[(this.off + VECTOR_ITR_US) >>> 2] = us;
  }

  /** Takes the gap from a mapped ITR register (units of 2 us) at an arena offset; 0 = from setItr. */
  setItrRegister(registerOff: number): void {
    this.#arena.u32[(this.off + VECTOR_ITRN) >>> 2] = registerOff;
  }

  /**
   * Connects another eventfd, which the vector owns from now on; -1 = none. A pending interrupt of an armed vector fires.
   * @returns resolves when the old one is closed, after every lcore that could be writing it
   */
  async setFd(fd: number): Promise<void> {
    if (this.#heldFd !== null) {
      if (this.#heldFd >= 0) closeFd(this.#heldFd); // hold() has waited for lcores
      this.#heldFd = fd;
      return;
    }
    const old = Atomics.exchange(this.#arena.i32, (this.off + VECTOR_FD) >>> 2, fd);
    if (fd >= 0) this.#fire();
    if (old < 0) return;
    await this.#qsbr.synchronize((threads) => {
      warn(`lcore index ${threads.join(", ")} has kept eventfd ${old} of an interrupt open for 1 s; still waiting`);
    });
    closeFd(old);
  }

  /** From when it resolves nothing is signalled; what is raised stays pending. For a device that is to stand still. */
  async hold(): Promise<void> {
    if (this.#heldFd !== null) return;
    this.#heldFd = Atomics.exchange(this.#arena.i32, (this.off + VECTOR_FD) >>> 2, -1);
    await this.#qsbr.synchronize();
  }

  /** Ends a hold: what is pending and armed fires. */
  release(): void {
    if (this.#heldFd === null) return;
    this.#put(VECTOR_FD, this.#heldFd);
    this.#heldFd = null;
    this.#fire();
  }

  /** Disarmed, nothing pending, no gap; the eventfd stays. What a device reset does. */
  reset(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const word of [VECTOR_ARMED, VECTOR_PENDING, VECTOR_HELD]) this.#put(word, 0);
    this.setItr(0);
    this.#arena.f64[(this.off + VECTOR_LAST_US) >>> 3] = 0;
  }

  #fire(): void {
    const due = tryFire(this.#arena, this.off, nowUs, VECTOR_FIRED_MAIN);
    if (due === 0 || this.#timer !== null) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#fire();
      },
      Math.ceil((due - nowUs()) / 1000),
    );
    this.#timer.unref();
  }

  #get(word: number): number {
    return Atomics.load(this.#arena.i32, (this.off + word) >>> 2);
  }

  #put(word: number, value: number): void {
    Atomics.store(this.#arena.i32, (this.off + word) >>> 2, value);
  }
}
