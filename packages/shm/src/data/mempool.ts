// A pool of equal objects in the arena, after rte_mempool: per-lcore caches in front of an MP/MC ring. A pktmbuf pool's
// objects are packet buffers (layout/mbuf.ts). Created by the main thread; any thread opens it by its offset. lcore
// arguments are lcore indexes below LCORE_MAX, and no two threads may use the same one at a time.
import { MBUF_HEADROOM, MBUF_SIZE } from "../layout/mbuf.ts";
import {
  LCORE_MAX,
  MEMPOOL_CACHE_BYTES,
  MEMPOOL_CACHE_GET_FAIL,
  MEMPOOL_CACHE_LEN,
  MEMPOOL_CACHE_MAX,
  MEMPOOL_CACHE_SIZE,
  MEMPOOL_CACHES,
  MEMPOOL_DATAROOM,
  MEMPOOL_ELT_SIZE,
  MEMPOOL_OBJS,
  MEMPOOL_OBJS_BYTES,
  MEMPOOL_POPULATED,
  MEMPOOL_RING,
} from "../layout/mempool.ts";
import { RING_F_EXACT_SZ } from "../layout/ring.ts";
import type { Arena, MemzoneArena } from "./arena.ts";
import { checkInteger, ShmError } from "./error.ts";
import { type ShmKernels, shmKernels } from "./kernels.ts";
import { RING_COUNT_MAX, Ring } from "./ring.ts";

const OBJECT_ALIGN = 64;
const HEADER_BYTES = MEMPOOL_CACHES + LCORE_MAX * MEMPOOL_CACHE_BYTES;
const DATA_ROOM_MAX = 65535;
const CACHE_DEFAULT = 256;

export interface MempoolOptions {
  /** Objects. */
  n: number;
  /** Bytes of an object, rounded up to 64. */
  eltSize: number;
  /** Objects a per-lcore cache keeps, 0 to 512; 1.5 times that must not exceed n. */
  cacheSize: number;
  /** Bytes of headroom and data room when the objects are mbufs. */
  dataRoom?: number;
}

export class Mempool {
  readonly off: number;
  readonly #arena: Arena;
  readonly #kernels: ShmKernels;
  #owned: { arena: MemzoneArena; zones: string[]; ring: Ring } | undefined;

  /**
   * Creates a pool: header in memzone "MP_<name>", objects in "MP_<name>_objs", free objects in ring "MP_<name>".
   * @throws ShmError EINVAL (sizes), EEXIST (name), ENOMEM; nothing is left behind
   */
  static create(arena: MemzoneArena, name: string, options: MempoolOptions): Mempool {
    const { n, cacheSize, dataRoom = 0 } = options;
    checkInteger(`mempool ${name}: n`, n, 1, RING_COUNT_MAX - 1);
    checkInteger(`mempool ${name}: eltSize`, options.eltSize, 1, 2 ** 30);
    checkInteger(`mempool ${name}: cacheSize`, cacheSize, 0, Math.min(MEMPOOL_CACHE_MAX, Math.floor(n / 1.5)));
    const eltSize = Math.ceil(options.eltSize / OBJECT_ALIGN) * OBJECT_ALIGN;
    const zones: string[] = [];
    let ring: Ring | undefined;
    try {
      const header = arena.memzoneReserve(`MP_${name}`, HEADER_BYTES, OBJECT_ALIGN);
      zones.push(header.name);
      // Pages of their own: the objects may be shared with another process, page by page.
      const objs = arena.memzoneReserve(`MP_${name}_objs`, n * eltSize, 4096);
      zones.push(objs.name);
      ring = Ring.create(arena, `MP_${name}`, n, RING_F_EXACT_SZ);
      const set = (field: number, value: number) => {
        arena.u32[(header.off + field) >>> 2] = value;
      };
      set(MEMPOOL_POPULATED, n);
      set(MEMPOOL_ELT_SIZE, eltSize);
      set(MEMPOOL_CACHE_SIZE, cacheSize);
      set(MEMPOOL_RING, ring.off);
      set(MEMPOOL_OBJS, objs.off);
      set(MEMPOOL_OBJS_BYTES, objs.bytes);
      set(MEMPOOL_DATAROOM, dataRoom);
      for (let i = 0; i < n; i++) ring.enqueue(objs.off + i * eltSize);
      const pool = new Mempool(arena, header.off);
      pool.#owned = { arena, zones, ring };
      return pool;
    } catch (error) {
      ring?.free();
      for (const zone of zones) arena.memzoneFree(zone);
      throw error;
    }
  }

  /**
   * Creates a pool of packet buffers.
   * @param options.cacheSize as in create(); by default 256, or as much as n allows
   * @param options.dataRoomSize bytes of headroom (MBUF_HEADROOM) and data, up to 65,535
   */
  static createPktmbuf(
    arena: MemzoneArena,
    name: string,
    options: { n: number; cacheSize?: number; dataRoomSize?: number },
  ): Mempool {
    const { n, dataRoomSize = 2176 } = options;
    const { cacheSize = Math.min(CACHE_DEFAULT, Math.floor(n / 1.5)) } = options;
    checkInteger(`mempool ${name}: dataRoomSize`, dataRoomSize, MBUF_HEADROOM, DATA_ROOM_MAX);
    return Mempool.create(arena, name, { n, eltSize: MBUF_SIZE + dataRoomSize, cacheSize, dataRoom: dataRoomSize });
  }

  /** Opens the pool at `off`, in any thread. */
  constructor(arena: Arena, off: number) {
    this.off = off;
    this.#arena = arena;
    this.#kernels = shmKernels(arena);
  }

  get arena(): Arena {
    return this.#arena;
  }

  /** Objects in all. */
  get size(): number {
    return this.#word(MEMPOOL_POPULATED);
  }

  /** Bytes from one object to the next. */
  get eltSize(): number {
    return this.#word(MEMPOOL_ELT_SIZE);
  }

  get cacheSize(): number {
    return this.#word(MEMPOOL_CACHE_SIZE);
  }

  /** Bytes of headroom and data room, 0 unless a pktmbuf pool. */
  get dataRoom(): number {
    return this.#word(MEMPOOL_DATAROOM);
  }

  /** Where the objects lie: page-aligned, whole pages. */
  get objs(): { off: number; bytes: number } {
    return { off: this.#word(MEMPOOL_OBJS), bytes: this.#word(MEMPOOL_OBJS_BYTES) };
  }

  /** Takes n objects into the u32 array at `objsOff`: n, or 0 when they are not to be had. */
  getBulk(lcore: number, objsOff: number, n: number): number {
    return this.#kernels.mempool_get_bulk(this.off, checkLcore(lcore), objsOff, n);
  }

  /** Gives back n objects of this pool. */
  putBulk(lcore: number, objsOff: number, n: number): void {
    this.#kernels.mempool_put_bulk(this.off, checkLcore(lcore), objsOff, n);
  }

  /** Objects not in use: in the ring or in a cache. Exact only while no lcore uses the pool. */
  availCount(): number {
    let count = this.#kernels.ring_count(this.#word(MEMPOOL_RING));
    for (let lcore = 0; lcore < LCORE_MAX; lcore++) count += this.#word(this.#cache(lcore) + MEMPOOL_CACHE_LEN);
    return Math.min(count, this.size);
  }

  inUseCount(): number {
    return this.size - this.availCount();
  }

  /** Objects asked for and not had, of all lcores, since creation. */
  exhausted(): number {
    let count = 0;
    for (let lcore = 0; lcore < LCORE_MAX; lcore++)
      count += this.#arena.counter(this.off + this.#cache(lcore) + MEMPOOL_CACHE_GET_FAIL);
    return count;
  }

  /** Frees the memzones; only on the object that create() returned. No thread may use the pool any more. */
  free(): void {
    if (this.#owned === undefined)
      throw new ShmError("EINVAL", "a mempool is freed through the object that created it, once");
    const { arena, zones, ring } = this.#owned;
    this.#owned = undefined;
    ring.free();
    for (const zone of zones) arena.memzoneFree(zone);
  }

  #cache(lcore: number): number {
    return MEMPOOL_CACHES + lcore * MEMPOOL_CACHE_BYTES;
  }

  #word(field: number): number {
    return this.#arena.u32[(this.off + field) >>> 2]!;
  }
}

/** Returns the lcore index; RangeError when it names no cache (the kernels would use the wrong one). */
export function checkLcore(lcore: number): number {
  if (Number.isInteger(lcore) && lcore >= 0 && lcore < LCORE_MAX) return lcore;
  throw new RangeError(`lcore index ${lcore} is not in 0..${LCORE_MAX - 1}`);
}
