// Guest memory that is larger than the arena: files are reached through windows of 2 MiB that are mapped when a queue meets
// memory that has none, and taken away from the device's own oldest when its share of the arena is used up. What the queues'
// rings have posted is asked for before a window goes, so no use bits are kept and the lcores pay nothing; rings are pinned. A
// window overlaps the next by what a ring or a buffer may be long, so that each lies in one. Owned by mem-table.ts; backends
// come through its fetch and pin.
import { LinuxError, PROT } from "@emudev/linux";
import { ARENA_BYTES, type Arena, windowAlignment } from "@emudev/shm";
import { MEM_PROT_WRITE } from "../layout/mem-table.ts";
import { DEMAND_CHUNK_BYTES, DEMAND_FETCH_MAX, DEMAND_OVERLAP_BYTES } from "./limits.ts";
import type { PublishedRegion } from "./mem-publish.ts";
import type { MemRegion } from "./mem-region.ts";

/** Part of a region that is mapped. */
export interface DemandWindow {
  region: MemRegion;
  chunk: number;
  iova: bigint;
  /** Bytes that are reached through it, the overlap included. */
  size: bigint;
  off: number;
  pins: number;
}

/** What happened since the table was made; `mapped` windows are there now. */
export interface DemandCounters {
  mapped: number;
  evicted: number;
  misses: number;
}

/** What the table does for it. */
export interface DemandHost {
  /** Publishes the entries of regions anew; those that are no longer the table's are passed over. */
  publish(regions: ReadonlySet<MemRegion>): void;
  /** Resolves when no lcore uses what was published before. */
  settled(): Promise<void>;
  /** A window is about to go: what its pages' marks say is kept elsewhere. */
  leave(window: DemandWindow): void;
}

const CHUNK = BigInt(DEMAND_CHUNK_BYTES);
const WINDOW_BYTES = DEMAND_CHUNK_BYTES + DEMAND_OVERLAP_BYTES;

/** Devices whose memory is reached so, by arena: they share half of the room for windows. */
const sharersOf = new WeakMap<Arena, Set<DemandWindows>>();

export class DemandWindows {
  readonly counters: DemandCounters = { mapped: 0, evicted: 0, misses: 0 };
  readonly #arena: Arena;
  readonly #host: DemandHost;
  readonly #regions = new Map<MemRegion, Map<number, DemandWindow>>();
  /** The oldest first. */
  #windows: DemandWindow[] = [];
  #last: Promise<unknown> = Promise.resolve();

  constructor(arena: Arena, host: DemandHost) {
    this.#arena = arena;
    this.#host = host;
  }

  /** Takes a region that has a file and no mapping of its own. */
  add(region: MemRegion): void {
    const sharers = sharersOf.get(this.#arena) ?? new Set();
    sharersOf.set(this.#arena, sharers.add(this));
    this.#regions.set(region, new Map());
    for (const other of sharers) if (other !== this) void other.#serialize(() => other.#shrink());
  }

  /** Lets go of a region that is the table's no longer; no lcore may know its windows. */
  async remove(region: MemRegion): Promise<void> {
    const windows = this.#regions.get(region);
    if (windows === undefined) return;
    this.#regions.delete(region);
    await this.#last; // what is under way finds the region gone
    this.#windows = this.#windows.filter((window) => window.region !== region);
    for (const window of windows.values()) this.#unmap(window);
    if (this.#regions.size === 0) sharersOf.get(this.#arena)?.delete(this);
  }

  has(region: MemRegion): boolean {
    return this.#regions.has(region);
  }

  /** The windows of a region, by address. */
  windowsOf(region: MemRegion): DemandWindow[] {
    return [...(this.#regions.get(region)?.values() ?? [])].sort((a, b) => a.chunk - b.chunk);
  }

  /** What lcores are to see of a region: its windows, and the gaps between them. */
  entriesOf(region: MemRegion): PublishedRegion[] {
    const { prot } = region;
    const end = region.iova + region.size;
    const entries: PublishedRegion[] = [];
    let at = region.iova;
    // A gap overlaps what is behind it too: what begins in it and ends there is to be found missing, not outside.
    const gap = (to: bigint): void => {
      const size = smaller(to + BigInt(DEMAND_OVERLAP_BYTES), end) - at;
      if (at < to) entries.push({ iova: at, size, off: 0, prot, demand: true });
    };
    for (const { iova, size, off } of this.windowsOf(region)) {
      gap(iova);
      entries.push({ iova, size, off, prot, demand: true });
      at = smaller(iova + CHUNK, end);
    }
    gap(end);
    return entries;
  }

  /**
   * Maps what is missing, the first of it first, and as much as is done at a time.
   * @param wanted addresses by region; none of their windows goes meanwhile
   * @param posted further addresses whose windows go last
   * @returns whether nothing is missing or something could be mapped
   */
  fetch(wanted: readonly [MemRegion, bigint][], posted: () => Iterable<[MemRegion, bigint]>): Promise<boolean> {
    return this.#serialize(() => this.#fetch(wanted, posted));
  }

  /** Maps the window of an address and keeps it until unpin. @returns false when that cannot be */
  async pin(region: MemRegion, iova: bigint): Promise<boolean> {
    if (!(await this.fetch([[region, iova]], () => []))) return false;
    const window = this.#windowAt(region, iova);
    if (window === undefined) return false;
    window.pins++;
    return true;
  }

  unpin(region: MemRegion, iova: bigint): void {
    const window = this.#windowAt(region, iova);
    if (window !== undefined && window.pins > 0) window.pins--;
  }

  #windowAt(region: MemRegion, iova: bigint): DemandWindow | undefined {
    return this.#regions.get(region)?.get(chunkOf(region, iova));
  }

  /** Windows that this device may have. */
  get #quota(): number {
    const sharers = sharersOf.get(this.#arena)?.size ?? 1;
    return Math.floor((ARENA_BYTES - this.#arena.ownBytes) / 2 / sharers / WINDOW_BYTES);
  }

  async #fetch(wanted: readonly [MemRegion, bigint][], posted: () => Iterable<[MemRegion, bigint]>): Promise<boolean> {
    const missing: [MemRegion, number][] = [];
    const keep = new Set<DemandWindow>();
    const seen = new Set<string>();
    for (const [region, iova] of wanted) {
      const window = this.#windowAt(region, iova);
      const chunk = chunkOf(region, iova);
      const key = `${region.iova}/${chunk}`;
      if (window !== undefined) keep.add(window);
      else if (this.#regions.has(region) && !seen.has(key)) missing.push([region, chunk]);
      seen.add(key);
    }
    if (missing.length === 0) return true;
    this.counters.misses += missing.length;
    const batch = missing.slice(0, Math.min(DEMAND_FETCH_MAX, this.#quota));
    const short = batch.length - (this.#quota - this.#windows.length);
    if (short > 0) await this.#evict(short, keep, posted);
    let made = this.#make(batch);
    if (made === 0 && this.#windows.length > 0) {
      await this.#evict(batch.length, keep, posted); // others have taken the room
      made = this.#make(batch);
    }
    return made > 0;
  }

  #make(batch: readonly [MemRegion, number][]): number {
    const changed = new Set<MemRegion>();
    let made = 0;
    for (const [region, chunk] of batch) {
      const windows = this.#regions.get(region); // it may be gone by now
      if (windows === undefined || windows.has(chunk)) continue;
      const window = this.#windows.length < this.#quota ? this.#map(region, chunk) : null;
      if (window === null) break;
      windows.set(chunk, window);
      this.#windows.push(window);
      changed.add(region);
      made++;
    }
    if (made > 0) this.#host.publish(changed);
    return made;
  }

  #map(region: MemRegion, chunk: number): DemandWindow | null {
    const start = BigInt(chunk) * CHUNK;
    const size = smaller(BigInt(WINDOW_BYTES), region.size - start);
    const prot = region.prot & MEM_PROT_WRITE ? PROT.READ | PROT.WRITE : PROT.READ;
    try {
      const off = this.#arena.mapWindow(region.fd, Number(region.fileOffset + start), Number(size), prot);
      if (off === null) return null;
      this.counters.mapped++;
      return { region, chunk, iova: region.iova + start, size, off, pins: 0 };
    } catch (error) {
      if (error instanceof LinuxError) return null; // this fd allows no such mapping: the region is read and written
      throw error;
    }
  }

  /** Takes up to `n` windows away, the oldest first, those that are posted last, and none that is kept or pinned. */
  async #evict(n: number, keep: ReadonlySet<DemandWindow>, posted: () => Iterable<[MemRegion, bigint]>): Promise<void> {
    const inUse = new Set<DemandWindow>();
    for (const [region, iova] of posted()) {
      const window = this.#windowAt(region, iova);
      if (window !== undefined) inUse.add(window);
    }
    const free = this.#windows.filter((window) => window.pins === 0 && !keep.has(window));
    const victims = [...free.filter((w) => !inUse.has(w)), ...free.filter((w) => inUse.has(w))].slice(0, n);
    if (victims.length === 0) return;
    const gone = new Set(victims);
    this.#windows = this.#windows.filter((window) => !gone.has(window));
    for (const { region, chunk } of victims) this.#regions.get(region)?.delete(chunk);
    this.#host.publish(new Set(victims.map(({ region }) => region)));
    await this.#host.settled();
    for (const window of victims) {
      this.#host.leave(window);
      this.#unmap(window);
      this.counters.evicted++;
    }
  }

  /** A further device wants its share. */
  async #shrink(): Promise<void> {
    const above = this.#windows.length - this.#quota;
    if (above > 0) await this.#evict(above, new Set(), () => []);
  }

  #unmap(window: DemandWindow): void {
    this.#arena.unmapWindow(window.off);
    this.counters.mapped--;
  }

  #serialize<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#last.then(job);
    this.#last = result.catch(() => {});
    return result;
  }
}

/** Whether windows of the usual size can be made of a file; those of huge pages of 1 GiB cannot. */
export const canDemand = (fd: number): boolean => windowAlignment(fd) <= DEMAND_CHUNK_BYTES;

const chunkOf = (region: MemRegion, iova: bigint): number => Number((iova - region.iova) / CHUNK);
const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);
