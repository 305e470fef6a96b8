// Which pages of guest memory the device has written to, for a client that migrates it (DMA logging of vfio-user). lcores and
// this thread set bits by page of the arena, in a log that the published memory table names; writes to memory that is not
// mapped are made by this thread alone and kept by guest address. Off, it costs a burst one load of a word it has at hand.
import type { Arena } from "@emudev/shm";
import { DIRTY_LOG_BYTES, DIRTY_PAGE_SHIFT } from "../layout/mem-table.ts";
import { EmuDevError } from "./errors.ts";
import type { PublishedTable } from "./mem-publish.ts";
import { hex, type MemRegion } from "./mem-region.ts";

const PAGE = 1 << DIRTY_PAGE_SHIFT;
const PAGE_SHIFT = BigInt(DIRTY_PAGE_SHIFT);

/** Guest memory that is mapped in one piece. */
interface Mapped {
  readonly iova: bigint;
  readonly size: bigint;
  readonly off: number;
}

export class DirtyLog {
  readonly #arena: Arena;
  readonly #zone: string;
  readonly #table: PublishedTable;
  readonly #regions: readonly MemRegion[];
  readonly #windows: (region: MemRegion) => readonly Mapped[];
  /** Arena offset of the log, 0 = off. */
  #off = 0;
  /** Numbers of pages, by guest address, that are not mapped. */
  readonly #far = new Set<bigint>();

  /**
   * @param regions the table's own list, sorted; it changes
   * @param windows of a region without mapping of its own: what of it is mapped on demand
   */
  constructor(
    arena: Arena,
    zone: string,
    table: PublishedTable,
    regions: readonly MemRegion[],
    windows: (region: MemRegion) => readonly Mapped[] = () => [],
  ) {
    this.#windows = windows;
    this.#arena = arena;
    this.#zone = zone;
    this.#table = table;
    this.#regions = regions;
  }

  /** Bytes of the pages that are told apart. */
  static readonly pageBytes = PAGE;

  get running(): boolean {
    return this.#off !== 0;
  }

  /** Every write from when it resolves is noted. A log that runs already begins anew. @throws ShmError ENOMEM */
  async start(): Promise<void> {
    this.#far.clear();
    if (this.#off !== 0) {
      this.#arena.u8.fill(0, this.#off, this.#off + DIRTY_LOG_BYTES);
      return;
    }
    this.#off = this.#arena.memzoneReserve(this.#zone, DIRTY_LOG_BYTES).off;
    await this.#table.setDirtyLog(this.#off);
  }

  /** Resolves when no lcore knows the log. */
  async stop(): Promise<void> {
    if (this.#off === 0) return;
    this.#off = 0;
    this.#far.clear();
    await this.#table.setDirtyLog(0);
    this.#arena.memzoneFree(this.#zone);
  }

  /** This thread wrote `bytes` at `delta` of a region. */
  note(region: MemRegion, delta: bigint, bytes: number): void {
    if (this.#off === 0 || bytes === 0) return;
    if (region.off !== 0) {
      this.noteAt(region.off + Number(delta), bytes);
      return;
    }
    const first = (region.iova + delta) >> PAGE_SHIFT;
    const last = (region.iova + delta + BigInt(bytes) - 1n) >> PAGE_SHIFT;
    for (let page = first; page <= last; page++) this.#far.add(page);
  }

  /** This thread wrote `bytes` of guest memory at an arena offset, as translated. */
  noteAt(at: number, bytes: number): void {
    if (this.#off === 0) return;
    for (let page = at >>> DIRTY_PAGE_SHIFT; page <= (at + bytes - 1) >>> DIRTY_PAGE_SHIFT; page++)
      Atomics.or(this.#arena.i32, (this.#off >>> 2) + (page >>> 5), 1 << (page & 31));
  }

  /**
   * Sets bit n of `bitmap` for each page n from `iova` that was written to since the last report, and forgets it.
   * @param pageSize a multiple of 4096
   * @throws EmuDevError EINVAL while nothing is logged, or for pages of another size
   */
  report(iova: bigint, size: bigint, pageSize: number, bitmap: Uint8Array): void {
    if (this.#off === 0) throw new EmuDevError("EINVAL", `no writes are logged; the log must be started first`);
    if (pageSize < PAGE || pageSize % PAGE !== 0)
      throw new EmuDevError("EINVAL", `a report at ${hex(iova)} by pages of ${pageSize} bytes; ${PAGE} are logged`);
    const end = iova + size;
    const set = (address: bigint): void => {
      const page = Number((address < iova ? 0n : address - iova) / BigInt(pageSize));
      bitmap[page >>> 3]! |= 1 << (page & 7);
    };
    for (const region of this.#regions)
      for (const part of region.demand ? this.#windows(region) : [region]) {
        const from = part.iova > iova ? part.iova : iova;
        const until = part.iova + part.size < end ? part.iova + part.size : end;
        if (part.off !== 0 && from < until) this.#reportMapped(part, from, until, set);
      }
    for (const page of this.#far) {
      const address = page << PAGE_SHIFT;
      if (address + BigInt(PAGE) <= iova || address >= end) continue;
      set(address);
      this.#far.delete(page);
    }
  }

  /** A window goes: what is noted for its pages is kept by guest address. */
  leave(window: Mapped): void {
    if (this.#off === 0) return;
    const keep = (address: bigint): unknown => this.#far.add(address >> PAGE_SHIFT);
    this.#reportMapped(window, window.iova, window.iova + window.size, keep);
  }

  /** Words without a bit, of 32 pages each, are passed at once. */
  #reportMapped(region: Mapped, from: bigint, until: bigint, set: (address: bigint) => unknown): void {
    const { i32 } = this.#arena;
    const first = region.off + Number(from - region.iova);
    const last = (region.off + Number(until - 1n - region.iova)) >>> DIRTY_PAGE_SHIFT;
    for (let page = first >>> DIRTY_PAGE_SHIFT; page <= last; page = ((page >>> 5) + 1) << 5) {
      const to = Math.min(last, page | 31);
      const mask = (0xffffffff >>> (31 - (to - page))) << (page & 31);
      const word = (this.#off >>> 2) + (page >>> 5);
      if ((i32[word]! & mask) === 0) continue;
      let bits = Atomics.and(i32, word, ~mask) & mask;
      for (; bits !== 0; bits &= bits - 1) {
        const at = (((page & ~31) | (31 - Math.clz32(bits & -bits))) << DIRTY_PAGE_SHIFT) >>> 0;
        set(at <= first ? from : region.iova + BigInt(at - region.off));
      }
    }
  }
}
