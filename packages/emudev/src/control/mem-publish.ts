// The table of guest memory as lcores read it (layout/mem-table.ts): sorted, adjacent regions merged, replaced whole. Each
// change writes a new memzone and swaps one word; an old table is freed when every running lcore has passed a quiescent
// state since. Nobody waits for that on a map, so that a batch of maps costs no wait each.
import type { Arena, Qsbr } from "@emudev/shm";
import {
  MEM_REGION_BYTES,
  MEM_REGION_IOVA,
  MEM_REGION_OFF,
  MEM_REGION_PROT,
  MEM_REGION_SIZE,
  MEM_TABLE_COUNT,
  MEM_TABLE_DIRTY,
  MEM_TABLE_GENERATION,
  MEM_TABLE_REGIONS,
  MEM_WORD_READERS,
} from "../layout/mem-table.ts";
import { MEM_TABLES_RETIRED_MAX } from "./limits.ts";
import { warn } from "./log.ts";

/** One entry of the table; `off` 0 = not mapped. */
export interface PublishedRegion {
  iova: bigint;
  size: bigint;
  off: number;
  prot: number;
  /** Of a region that is reached through windows on demand: neighbours may overlap it, and are not merged with it. */
  demand?: boolean;
}

/** Sorted regions with neighbours of contiguous addresses, contiguous mappings and equal protection made one. */
export function mergeRegions(sorted: readonly PublishedRegion[]): PublishedRegion[] {
  const merged: PublishedRegion[] = [];
  for (const entry of sorted) {
    const { iova, size, off, prot } = entry;
    const last = merged.at(-1);
    if (entry.demand || last?.demand) {
      merged.push(entry);
      continue;
    }
    const follows = last !== undefined && last.iova + last.size === iova && last.prot === prot;
    if (follows && (off === 0 ? last.off === 0 : last.off !== 0 && BigInt(last.off) + last.size === BigInt(off)))
      last.size += size;
    else merged.push({ iova, size, off, prot });
  }
  return merged;
}

export class PublishedTable {
  /** Arena word with the offset of the current table; never 0. */
  readonly wordOff: number;
  readonly #arena: Arena;
  readonly #qsbr: Qsbr;
  readonly #name: string;
  readonly #retired: { zone: string; token: number }[] = [];
  readonly #entries: PublishedRegion[] = [];
  #zone = "";
  #off = 0;
  #generation = 0;
  #sweep: Promise<void> | null = null;
  #dirtyOff = 0;
  /** The lcores that read the table announce themselves: the others need not be waited for. */
  readersAnnounced = false;

  constructor(arena: Arena, qsbr: Qsbr, name: string) {
    this.#arena = arena;
    this.#qsbr = qsbr;
    this.#name = name;
    this.wordOff = arena.memzoneReserve(`${name}.word`, 64).off;
    this.splice(0, 0, []);
  }

  /** True when so many old tables wait for lcores that the next map should wait too. */
  get crowded(): boolean {
    return this.#retired.length >= MEM_TABLES_RETIRED_MAX;
  }

  /** What lcores see. */
  get entries(): readonly PublishedRegion[] {
    return this.#entries;
  }

  /**
   * Replaces `count` entries from `first` on by others, which keep the table sorted and merged; lcores see it from their next
   * burst on. The rest is copied from the old table as it is, so that thousands of maps in a row stay cheap.
   */
  splice(first: number, count: number, entries: readonly PublishedRegion[]): void {
    const total = this.#entries.length - count + entries.length;
    const { off, name } = this.#arena.memzoneReserve(
      `${this.#name}.${++this.#generation}`,
      MEM_TABLE_REGIONS + Math.max(total, 1) * MEM_REGION_BYTES,
    );
    const { u8, u32, u64 } = this.#arena;
    u32[(off + MEM_TABLE_COUNT) >>> 2] = total;
    u32[(off + MEM_TABLE_GENERATION) >>> 2] = this.#generation;
    u32[(off + MEM_TABLE_DIRTY) >>> 2] = this.#dirtyOff;
    const old = this.#off + MEM_TABLE_REGIONS;
    let at = off + MEM_TABLE_REGIONS;
    u8.copyWithin(at, old, old + first * MEM_REGION_BYTES);
    at += first * MEM_REGION_BYTES;
    for (const entry of entries) {
      u64[(at + MEM_REGION_IOVA) >>> 3] = entry.iova;
      u64[(at + MEM_REGION_SIZE) >>> 3] = entry.size;
      u32[(at + MEM_REGION_OFF) >>> 2] = entry.off;
      u32[(at + MEM_REGION_PROT) >>> 2] = entry.prot;
      at += MEM_REGION_BYTES;
    }
    u8.copyWithin(at, old + (first + count) * MEM_REGION_BYTES, old + this.#entries.length * MEM_REGION_BYTES);
    this.#entries.splice(first, count, ...entries);
    Atomics.store(u32, this.wordOff >>> 2, off); // after the writes above for every lcore that loads it
    if (this.#zone !== "") this.#retired.push({ zone: this.#zone, token: this.#qsbr.start() });
    this.#zone = name;
    this.#off = off;
    this.#freeRetired();
    if (this.#retired.length > 0) this.#sweep ??= this.settled().finally(() => this.#swept());
  }

  /** Has lcores log their writes at an arena offset from now on, 0 = nowhere; resolves when all of them do. */
  setDirtyLog(off: number): Promise<void> {
    this.#dirtyOff = off;
    this.splice(0, 0, []);
    return this.settled();
  }

  /** Resolves when no lcore can use a table, or a mapping of a table, from before this call. */
  async settled(): Promise<void> {
    const late = (threads: number[]): void => {
      const who = `lcore index ${threads.join(", ")}`;
      warn(`${this.#name}: ${who} has not passed a quiescent state for 1 s; memory stays mapped until it does`);
    };
    // After what goes was unpublished: who announces itself later finds it gone.
    await this.#qsbr.synchronize(late, this.#readers());
    this.#freeRetired();
  }

  /** Frees everything; no lcore may know the word any longer. */
  async free(): Promise<void> {
    await this.settled();
    await this.#sweep;
    this.#arena.memzoneFree(this.#zone);
    this.#arena.memzoneFree(`${this.#name}.word`);
  }

  /** The lcores that can know a table, by bit. */
  #readers(): number {
    return this.readersAnnounced ? Atomics.load(this.#arena.i32, (this.wordOff + MEM_WORD_READERS) >>> 2) : -1;
  }

  #swept(): void {
    this.#sweep = null;
  }

  #freeRetired(): void {
    while (this.#retired.length > 0 && this.#qsbr.check(this.#retired[0]!.token, this.#readers()))
      this.#arena.memzoneFree(this.#retired.shift()!.zone);
  }
}
