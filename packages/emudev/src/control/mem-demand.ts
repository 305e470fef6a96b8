// Guest memory that is larger than the arena: files are reached through windows of 2 MiB that are mapped ahead for what rings
// have posted, or when a queue meets memory that has none, and taken away from the device's own oldest when its share of the
// arena is used up. The rings are asked before a window goes, so no use bits are kept and the lcores pay nothing; rings are
// pinned. A window overlaps the next by what a ring or a buffer may be long, so that each lies in one. Owned by mem-table.ts;
// backends come through its fetch, prefetch and pin.
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
  /** Mapped before a queue met them. */
  prefetched: number;
  /** Evicted though a ring had posted buffers there: there is too little room for what the guest uses at a time. */
  thrashed: number;
}

type Posted = () => Iterable<[MemRegion, bigint]>;

/** What the table does for it. */
export interface DemandHost {
  /** Publishes the entries of regions anew; those that are no longer the table's are passed over. */
  publish(regions: ReadonlySet<MemRegion>): void;
  /** Resolves when no lcore uses what was published before. */
  settled(): Promise<void>;
  /** A window is about to go: what its pages' marks say is kept elsewhere. */
  leave(window: DemandWindow): void;
  /** Told once: `quota` windows are too few. */
  thrashes(quota: number): void;
}

const CHUNK = BigInt(DEMAND_CHUNK_BYTES);
const REST_MAX_MS = 20;
const WINDOW_BYTES = DEMAND_CHUNK_BYTES + DEMAND_OVERLAP_BYTES;

/** Devices whose memory is reached so, by arena: they share half of the room for windows. */
const sharersOf = new WeakMap<Arena, Set<DemandWindows>>();

export class DemandWindows {
  readonly counters: DemandCounters = { mapped: 0, evicted: 0, misses: 0, prefetched: 0, thrashed: 0 };
  readonly #arena: Arena;
  readonly #host: DemandHost;
  readonly #regions = new Map<MemRegion, Map<number, DemandWindow>>();
  /** The oldest first. */
  #windows: DemandWindow[] = [];
  #last: Promise<unknown> = Promise.resolve();
  /** When windows may be taken away again. */
  #restUntil = 0;
  #warned = false;
  readonly #most: number;

  /** @param most windows that the device may have, whatever room there is */
  constructor(arena: Arena, host: DemandHost, most: number) {
    this.#arena = arena;
    this.#host = host;
    this.#most = most;
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
    if (!this.#regions.delete(region)) return;
    await this.#last; // what is under way finds the region gone, and unmaps what of it it evicts itself
    const left = this.#windows.filter((window) => window.region === region);
    this.#windows = this.#windows.filter((window) => window.region !== region);
    for (const window of left) this.#unmap(window);
    if (this.#regions.size === 0) sharersOf.get(this.#arena)?.delete(this);
  }

  /** There are regions that it reaches. */
  get active(): boolean {
    return this.#regions.size > 0;
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
  fetch(wanted: readonly [MemRegion, bigint][], posted: Posted): Promise<boolean> {
    return this.#serialize(() => this.#fetch(wanted, posted));
  }

  /** fetch for what will be needed, all of it, as far as no window has to go that is posted. */
  async prefetch(wanted: readonly [MemRegion, bigint][], posted: Posted): Promise<void> {
    while (await this.#serialize(() => this.#prefetch(wanted, posted)));
  }

  /** Maps the window of an address and keeps it until the returned function is called; null when that cannot be. */
  pin(region: MemRegion, iova: bigint): Promise<(() => void) | null> {
    return this.#serialize(async () => {
      await this.#fetch([[region, iova]], () => []);
      const window = this.#windowAt(region, iova);
      if (window === undefined) return null;
      window.pins++;
      return () => {
        window.pins--;
      };
    });
  }

  #windowAt(region: MemRegion, iova: bigint): DemandWindow | undefined {
    return this.#regions.get(region)?.get(chunkOf(region, iova));
  }

  /** Windows that this device may have: the most it was given, or its share. */
  get #quota(): number {
    const sharers = sharersOf.get(this.#arena)?.size ?? 1;
    return Math.min(this.#most, Math.floor((ARENA_BYTES - this.#arena.ownBytes) / 2 / sharers / WINDOW_BYTES));
  }

  async #fetch(wanted: readonly [MemRegion, bigint][], posted: Posted): Promise<boolean> {
    const { keep, missing } = this.#look(wanted);
    if (missing.length === 0) return true;
    this.counters.misses += missing.length;
    const batch = missing.slice(0, DEMAND_FETCH_MAX);
    const short = this.#windows.length + batch.length - this.#quota;
    if (short > 0) await this.#evict(short, keep, posted);
    let made = this.#make(batch);
    if (made === 0 && this.#windows.length > 0) {
      await this.#evict(batch.length, keep, posted); // others have taken the room
      made = this.#make(batch);
    }
    return made > 0;
  }

  /** Maps a part of what will be needed; true when there is more. */
  async #prefetch(wanted: readonly [MemRegion, bigint][], posted: Posted): Promise<boolean> {
    const { keep, missing } = this.#look(wanted);
    const batch = missing.slice(0, DEMAND_FETCH_MAX);
    const short = this.#windows.length + batch.length - this.#quota;
    if (short > 0) await this.#evict(short, keep, posted, true);
    const made = this.#make(batch);
    this.counters.prefetched += made;
    return made === DEMAND_FETCH_MAX;
  }

  /** What of the wanted is there, which becomes the youngest, and what is missing, as far as there is room for all of it. */
  #look(wanted: readonly [MemRegion, bigint][]): { keep: Set<DemandWindow>; missing: [MemRegion, number][] } {
    const missing: [MemRegion, number][] = [];
    const keep = new Set<DemandWindow>();
    const chunks = new Map<MemRegion, Set<number>>();
    const pinned = this.#windows.reduce((sum, { pins }) => sum + (pins > 0 ? 1 : 0), 0);
    let room = Math.max(1, this.#quota - pinned);
    for (const [region, iova] of wanted) {
      const windows = this.#regions.get(region);
      const chunk = chunkOf(region, iova);
      const seen = chunks.get(region) ?? new Set();
      if (windows === undefined || seen.has(chunk)) continue;
      chunks.set(region, seen.add(chunk));
      const window = windows.get(chunk);
      if (window?.pins) continue;
      if (window !== undefined) keep.add(window);
      else missing.push([region, chunk]);
      if (--room === 0) break;
    }
    this.#windows = [...this.#windows.filter((window) => !keep.has(window)), ...keep];
    return { keep, missing };
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

  /**
   * Takes up to `n` windows away, the oldest first, those that are posted last, and none that is kept or pinned. A device that
   * has this done all the time gets half of the main thread's time for it.
   * @param spare none that is posted
   */
  async #evict(n: number, keep: ReadonlySet<DemandWindow>, posted: Posted, spare = false): Promise<void> {
    const begun = performance.now();
    if (begun < this.#restUntil) await new Promise((resolve) => setTimeout(resolve, this.#restUntil - begun));
    const from = performance.now();
    const inUse = new Set<DemandWindow>();
    for (const [region, iova] of posted()) {
      const window = this.#windowAt(region, iova);
      if (window !== undefined) inUse.add(window);
    }
    const free = this.#windows.filter((window) => window.pins === 0 && !keep.has(window));
    const needed = spare ? [] : free.filter((window) => inUse.has(window));
    const victims = [...free.filter((window) => !inUse.has(window)), ...needed].slice(0, n);
    if (victims.length > 0) await this.#takeAway(victims, needed);
    const now = performance.now();
    this.#restUntil = now + Math.min(now - from, REST_MAX_MS);
  }

  /** @param needed those of them, and others, that rings have posted */
  async #takeAway(victims: readonly DemandWindow[], needed: readonly DemandWindow[]): Promise<void> {
    const gone = new Set(victims);
    this.counters.thrashed += needed.reduce((sum, window) => sum + (gone.has(window) ? 1 : 0), 0);
    if (this.counters.thrashed > 0 && !this.#warned) {
      this.#warned = true;
      this.#host.thrashes(this.#quota);
    }
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
