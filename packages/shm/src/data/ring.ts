// A ring of u32 objects in the arena, after rte_ring: lock-free, FIFO, single or many producers and consumers, burst (as
// many as go) or bulk (all or none). Created by the main thread; any thread opens it by its offset.
import {
  RING_CAPACITY,
  RING_F_EXACT_SZ,
  RING_F_SC_DEQ,
  RING_F_SP_ENQ,
  RING_FLAGS,
  RING_MASK,
  RING_OBJS,
  RING_SIZE,
} from "../layout/ring.ts";
import type { Arena, MemzoneArena } from "./arena.ts";
import { checkInteger, ShmError } from "./error.ts";
import { type ShmKernels, shmKernels } from "./kernels.ts";

export const RING_COUNT_MAX = 2 ** 26;

export class Ring {
  readonly off: number;
  readonly #arena: Arena;
  readonly #kernels: ShmKernels;
  #freeSpace = 0;
  #available = 0;
  #zone: { arena: MemzoneArena; name: string } | undefined;

  /**
   * Creates a ring in a memzone "RG_<name>".
   * @param count slots, a power of two, of which count - 1 are usable; with RING_F_EXACT_SZ any number, all usable
   * @param flags RING_F_SP_ENQ, RING_F_SC_DEQ, RING_F_EXACT_SZ; without, many producers and many consumers
   * @throws ShmError EINVAL (count, flags), EEXIST (name), ENOMEM
   */
  static create(arena: MemzoneArena, name: string, count: number, flags = 0): Ring {
    checkInteger(`ring ${name}: count`, count, 1, RING_COUNT_MAX);
    checkInteger(`ring ${name}: flags`, flags, 0, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
    const exact = (flags & RING_F_EXACT_SZ) !== 0;
    const size = exact ? 2 ** Math.ceil(Math.log2(count + 1)) : count;
    if (size < 2 || (size & (size - 1)) !== 0)
      throw new ShmError("EINVAL", `ring ${name}: count ${count} is no power of two above 1; use RING_F_EXACT_SZ`);
    const zone = arena.memzoneReserve(`RG_${name}`, RING_OBJS + 4 * size, 128);
    const words = arena.u32;
    words[(zone.off + RING_SIZE) >>> 2] = size;
    words[(zone.off + RING_MASK) >>> 2] = size - 1;
    words[(zone.off + RING_CAPACITY) >>> 2] = exact ? count : size - 1;
    words[(zone.off + RING_FLAGS) >>> 2] = flags;
    const ring = new Ring(arena, zone.off);
    ring.#zone = { arena, name: zone.name };
    return ring;
  }

  /** Opens the ring at `off`, in any thread. */
  constructor(arena: Arena, off: number) {
    this.off = off;
    this.#arena = arena;
    this.#kernels = shmKernels(arena);
  }

  /** Entries the ring can hold. */
  get capacity(): number {
    return this.#arena.u32[(this.off + RING_CAPACITY) >>> 2]!;
  }

  /** Free entries, at least, after the last enqueueBurst or enqueueBulk through this object; what it refused was not free. */
  get freeSpace(): number {
    return this.#freeSpace;
  }

  /** Entries in use, at least, after the last dequeueBurst or dequeueBulk through this object. */
  get available(): number {
    return this.#available;
  }

  /** Enqueues up to n objects from the u32 array at arena offset `objsOff`; returns how many. */
  enqueueBurst(objsOff: number, n: number): number {
    const done = this.#kernels.ring_enqueue_burst(this.off, objsOff, n);
    this.#freeSpace = this.#kernels.ring_left.value >>> 0;
    return done;
  }

  /** Enqueues n objects or none. */
  enqueueBulk(objsOff: number, n: number): number {
    const done = this.#kernels.ring_enqueue_bulk(this.off, objsOff, n);
    this.#freeSpace = this.#kernels.ring_left.value >>> 0;
    return done;
  }

  /** Dequeues up to n objects into the u32 array at arena offset `objsOff`; returns how many. */
  dequeueBurst(objsOff: number, n: number): number {
    const done = this.#kernels.ring_dequeue_burst(this.off, objsOff, n);
    this.#available = this.#kernels.ring_left.value >>> 0;
    return done;
  }

  /** Dequeues n objects or none. */
  dequeueBulk(objsOff: number, n: number): number {
    const done = this.#kernels.ring_dequeue_bulk(this.off, objsOff, n);
    this.#available = this.#kernels.ring_left.value >>> 0;
    return done;
  }

  /** Enqueues one object by value; false = full. */
  enqueue(obj: number): boolean {
    return this.#kernels.ring_enqueue_one(this.off, obj) !== 0;
  }

  /** Dequeues one object by value; 0 = empty, so a ring read this way holds no zeros. */
  dequeue(): number {
    return this.#kernels.ring_dequeue_one(this.off) >>> 0;
  }

  /** Entries in use now. */
  count(): number {
    return this.#kernels.ring_count(this.off) >>> 0;
  }

  /** Free entries now. */
  freeCount(): number {
    return this.capacity - this.count();
  }

  full(): boolean {
    return this.freeCount() === 0;
  }

  empty(): boolean {
    return this.count() === 0;
  }

  /** Frees the memzone; only on the object that create() returned. No thread may use the ring any more. */
  free(): void {
    if (this.#zone === undefined)
      throw new ShmError("EINVAL", "a ring is freed through the object that created it, once");
    this.#zone.arena.memzoneFree(this.#zone.name);
    this.#zone = undefined;
  }
}
