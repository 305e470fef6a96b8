// The memory table of one emulated device (rte_emu_get_mem_table): "memory table content and operations". Its provider
// maps and unmaps what the client announces, everybody reads. lcores translate through the published table by kernel
// (assembly/mem-table.ts); control code by translate, read and write below, which reach regions without mapping too.
import { LinuxError, pread, pwrite } from "@emudev/linux";
import type { Arena, Qsbr } from "@emudev/shm";
import { MEM_PROT_READ, MEM_PROT_WRITE } from "../layout/mem-table.ts";
import { DirtyLog } from "./dirty-log.ts";
import { EmuDevError } from "./errors.ts";
import { MEM_ACCESS_MAX, MEM_MAPS_MAX, MEM_MAPS_PROCESS_MAX } from "./limits.ts";
import { warn } from "./log.ts";
import { type DemandCounters, type DemandWindow, DemandWindows } from "./mem-demand.ts";
import { mergeRegions, PublishedTable } from "./mem-publish.ts";
import {
  type DmaTransport,
  hex,
  type MemMapRequest,
  type MemRegion,
  makeRegion,
  releaseRegion,
  sameRegion,
} from "./mem-region.ts";

let processMaps = 0;

/** A part of an access that lies in one region. */
interface Piece {
  region: MemRegion;
  /** Bytes from the region's start. */
  delta: bigint;
  /** Where in the caller's data. */
  at: number;
  bytes: number;
}

export class EmuDevMemTable {
  readonly #arena: Arena;
  readonly #name: string;
  readonly #table: PublishedTable;
  readonly #regions: MemRegion[] = [];
  readonly #demand: DemandWindows;
  readonly #onDemand: boolean;
  /** Pages that the device has written to; off until it is started. */
  readonly dirty: DirtyLog;

  /**
   * @param name of the memzones, unique in the process: the device's
   * @param opts.onDemand memory that finds no room in the arena gets windows as they are needed; default false
   * @param opts.windows of these there are so many at most; default: the device's share of the room
   */
  constructor(arena: Arena, qsbr: Qsbr, name: string, opts: { onDemand?: boolean; windows?: number } = {}) {
    this.#onDemand = opts.onDemand === true;
    this.#arena = arena;
    this.#name = name;
    this.#table = new PublishedTable(arena, qsbr, `${name}.mem`);
    const host = {
      publish: (regions: ReadonlySet<MemRegion>) => this.#publishDemand(regions),
      settled: () => this.#table.settled(),
      leave: (window: DemandWindow) => this.dirty.leave(window),
      thrashes: (quota: number) =>
        warn(`${name}: rings of the guest use more memory at a time than its ${quota} windows reach; that is slow`),
    };
    this.#demand = new DemandWindows(arena, host, opts.windows ?? Number.POSITIVE_INFINITY);
    const windows = (region: MemRegion) => this.#demand.windowsOf(region);
    this.dirty = new DirtyLog(arena, `${name}.dirty`, this.#table, this.#regions, windows);
  }

  /** Arena word with the offset of the current table (layout/mem-table.ts); never 0. */
  get wordOff(): number {
    return this.#table.wordOff;
  }

  /** Sorted by guest address. */
  regions(): readonly MemRegion[] {
    return this.#regions;
  }

  /**
   * Adds a region; visible to lcores when it resolves. A repeated map of the same memory is accepted and does nothing.
   * @param request its fd belongs to the table, also on failure
   * @param remote how to reach a region without fd; without one, reading it is EFAULT
   * @throws EmuDevError EEXIST (overlap), ENOSPC (limits), EINVAL, EACCES (see makeRegion). Never for want of arena room.
   */
  async map(request: MemMapRequest, remote: DmaTransport | null = null): Promise<void> {
    const region = makeRegion(this.#arena, request, remote, this.#onDemand);
    const refusal = this.#refusal(region);
    if (refusal !== null) {
      releaseRegion(region); // never published
      if (refusal === "same") return;
      throw refusal;
    }
    this.#regions.splice(this.#lowerBound(region.iova), 0, region);
    if (region.demand) this.#demand.add(region);
    processMaps++;
    this.#publish(region.iova, region.iova + region.size);
    if (this.#table.crowded) await this.#table.settled();
  }

  /**
   * Removes every region inside the range; resolves when no lcore can touch them and their mappings are gone.
   * @throws EmuDevError ENOENT when there is none, EINVAL when the range would cut a region
   */
  async unmap(iova: bigint, size: bigint): Promise<void> {
    const end = iova + size;
    const touched = this.#regions.filter((region) => region.iova < end && iova < region.iova + region.size);
    if (touched.some((region) => region.iova < iova || region.iova + region.size > end))
      throw new EmuDevError("EINVAL", `${this.#name}: unmap of ${hex(iova)}+${hex(size)} would cut a mapped region`);
    if (touched.length === 0)
      throw new EmuDevError("ENOENT", `${this.#name}: unmap of ${hex(iova)}+${hex(size)}: nothing is mapped there`);
    await this.#remove(touched);
  }

  /** Removes all regions, as unmap. */
  async unmapAll(): Promise<void> {
    if (this.#regions.length > 0) await this.#remove([...this.#regions]);
  }

  /** Removes all regions and frees the table; nobody may use it or its word any longer. */
  async close(): Promise<void> {
    await this.unmapAll();
    await this.dirty.stop();
    await this.#table.free();
  }

  /**
   * Translates a guest range, for the current turn of the event loop.
   * @param prot MEM_PROT_* that every byte must allow
   * @returns arena offset, or 0: outside, protected, not mapped, or not in one piece
   */
  translate(iova: bigint, bytes: number, prot: number): number {
    const region = this.#table.entries[this.#entryAt(iova + 1n) - 1];
    if (region === undefined || region.off === 0 || (region.prot & prot) !== prot) return 0;
    const delta = iova - region.iova;
    return delta + BigInt(bytes) <= region.size ? region.off + Number(delta) : 0;
  }

  /** Windows on demand: those that are mapped, and those that were missed and evicted since the start. */
  get demand(): Readonly<DemandCounters> {
    return this.#demand.counters;
  }

  /** True for memory that fetch can map, now or later. */
  isOnDemand(iova: bigint): boolean {
    return this.#regionAt(iova)?.demand === true;
  }

  /** True for memory that is there and is never mapped: it is read and written by the control side alone. */
  isBeyond(iova: bigint): boolean {
    const region = this.#regionAt(iova);
    return region !== undefined && region.off === 0 && !region.demand;
  }

  /**
   * Maps windows for addresses of memory on demand, as many as is done at a time; others are passed over.
   * @param wanted what is to be there at once, the most urgent first
   * @param posted addresses that will be needed later: their windows are the last to go
   * @returns false when something is missing and nothing could be mapped
   */
  fetch(wanted: readonly bigint[], posted: () => Iterable<bigint> = () => []): Promise<boolean> {
    return this.#demand.fetch(this.#onDemandAt(wanted), () => this.#onDemandAt(posted()));
  }

  /** Maps windows for addresses that will be needed, all of them, as far as there is room that no `posted` one needs. */
  prefetch(wanted: readonly bigint[], posted: () => Iterable<bigint> = () => []): Promise<void> {
    return this.#demand.prefetch(this.#onDemandAt(wanted), () => this.#onDemandAt(posted()));
  }

  /**
   * Keeps a range of up to DEMAND_OVERLAP_BYTES mapped.
   * @returns what ends that, or null: the memory is not on demand, or there is no room
   */
  async pin(iova: bigint): Promise<(() => void) | null> {
    const region = this.#regionAt(iova);
    return region?.demand ? this.#demand.pin(region, iova) : null;
  }

  /** Some of the memory is reached by windows on demand. */
  get hasDemand(): boolean {
    return this.#demand.active;
  }

  /**
   * Says whether the lcores that read the table announce themselves (announceReader of `data`), so that nobody waits for
   * others. For the backend, which opens the queues; before the first one is.
   */
  set readersAnnounced(announced: boolean) {
    this.#table.readersAnnounced = announced;
  }

  /** True when the range can be translated, whatever its protection. */
  isMapped(iova: bigint, bytes: number): boolean {
    return this.translate(iova, bytes, 0) !== 0;
  }

  /**
   * Copies guest memory, through any kind of region and across neighbours.
   * @throws EmuDevError EFAULT outside, write-only or gone; EINVAL above MEM_ACCESS_MAX bytes; what the transport throws
   */
  async read(iova: bigint, bytes: number): Promise<Uint8Array> {
    const data = new Uint8Array(this.#checkBytes(bytes));
    for (const { region, delta, at, bytes: n } of this.#pieces(iova, bytes, MEM_PROT_READ)) {
      this.#stillMapped(region);
      const part = data.subarray(at, at + n);
      if (region.off !== 0) part.set(this.#view(region, delta, n));
      else if (region.fd >= 0) this.#whole(() => pread(region.fd, part, region.fileOffset + delta), n, iova);
      else part.set(await this.#remote(region).read(region.iova + delta, n));
    }
    return data;
  }

  /** Copies into guest memory; errors as read, EFAULT for read-only. Nothing is written unless all of it is accessible. */
  async write(iova: bigint, data: Uint8Array): Promise<void> {
    for (const { region, delta, at, bytes } of this.#pieces(iova, this.#checkBytes(data.length), MEM_PROT_WRITE)) {
      this.#stillMapped(region);
      const part = data.subarray(at, at + bytes);
      if (region.off !== 0) this.#view(region, delta, bytes).set(part);
      else if (region.fd >= 0) this.#whole(() => pwrite(region.fd, part, region.fileOffset + delta), bytes, iova);
      else await this.#remote(region).write(region.iova + delta, part);
      this.dirty.note(region, delta, bytes);
    }
  }

  async #remove(gone: readonly MemRegion[]): Promise<void> {
    for (const region of gone) this.#regions.splice(this.#regions.indexOf(region), 1);
    processMaps -= gone.length;
    const last = gone.at(-1)!;
    this.#publish(gone[0]!.iova, last.iova + last.size);
    await this.#table.settled();
    for (const region of gone) {
      if (region.demand) await this.#demand.remove(region);
      releaseRegion(region);
    }
  }

  /** Publishes what became of the range [iova, end): the entries that it touches, neighbours included, are merged anew. */
  #publish(iova: bigint, end: bigint): void {
    const { entries } = this.#table;
    let first = this.#entryAt(iova);
    const before = entries[first - 1];
    if (before !== undefined && !before.demand && before.iova + before.size >= iova) first--;
    let after = this.#entryAt(end + 1n);
    if (after > first && entries[after - 1]!.iova === end && entries[after - 1]!.demand) after--;
    const from = first < after && entries[first]!.iova < iova ? entries[first]!.iova : iova;
    const last = entries[after - 1];
    const to = first < after && last!.iova + last!.size > end ? last!.iova + last!.size : end;
    const touched = this.#regions.slice(this.#lowerBound(from), this.#lowerBound(to));
    const seen = touched.flatMap((region) => (region.demand ? this.#demand.entriesOf(region) : [region]));
    this.#table.splice(first, after - first, mergeRegions(seen));
  }

  /** Publishes regions whose windows have changed. */
  #publishDemand(regions: ReadonlySet<MemRegion>): void {
    for (const region of regions) {
      if (!this.#regions.includes(region)) continue;
      const first = this.#entryAt(region.iova);
      const after = this.#entryAt(region.iova + region.size);
      this.#table.splice(first, after - first, this.#demand.entriesOf(region));
    }
  }

  #onDemandAt(addresses: Iterable<bigint>): [MemRegion, bigint][] {
    const found: [MemRegion, bigint][] = [];
    for (const iova of addresses) {
      const region = this.#regionAt(iova);
      if (region?.demand) found.push([region, iova]);
    }
    return found;
  }

  #regionAt(iova: bigint): MemRegion | undefined {
    const region = this.#regions[this.#lowerBound(iova + 1n) - 1];
    return region !== undefined && iova < region.iova + region.size ? region : undefined;
  }

  /** Index of the first published entry that starts at or above an address. */
  #entryAt(iova: bigint): number {
    return lowerBound(this.#table.entries, iova);
  }

  #refusal(region: MemRegion): EmuDevError | "same" | null {
    const where = `${this.#name}: map of ${hex(region.iova)}+${hex(region.size)}`;
    const at = this.#lowerBound(region.iova);
    const after = this.#regions[at];
    const before = this.#regions[at - 1];
    if (after !== undefined && sameRegion(after, region)) return "same";
    const overlaps =
      (after !== undefined && after.iova < region.iova + region.size) ||
      (before !== undefined && region.iova < before.iova + before.size);
    if (overlaps) return new EmuDevError("EEXIST", `${where} overlaps a mapped region; it must be unmapped first`);
    if (this.#regions.length >= MEM_MAPS_MAX)
      return new EmuDevError("ENOSPC", `${where}: ${MEM_MAPS_MAX} maps are the limit of a device`);
    if (processMaps >= MEM_MAPS_PROCESS_MAX)
      return new EmuDevError("ENOSPC", `${where}: ${MEM_MAPS_PROCESS_MAX} maps are the limit of the process`);
    return null;
  }

  #lowerBound(iova: bigint): number {
    return lowerBound(this.#regions, iova);
  }

  #pieces(iova: bigint, bytes: number, prot: number): Piece[] {
    const pieces: Piece[] = [];
    let index = this.#lowerBound(iova + 1n) - 1;
    for (let at = 0; at < bytes; ) {
      const address = iova + BigInt(at);
      const region = this.#regions[index++];
      const delta = region === undefined ? -1n : address - region.iova;
      if (region === undefined || delta < 0n || delta >= region.size || (region.prot & prot) !== prot)
        throw new EmuDevError(
          "EFAULT",
          `${this.#name}: guest address ${hex(address)} is outside what the device may access`,
        );
      const left = region.size - delta;
      const n = left < BigInt(bytes - at) ? Number(left) : bytes - at;
      pieces.push({ region, delta, at, bytes: n });
      at += n;
    }
    return pieces;
  }

  /** A piece behind one that took a message: its region may be gone by now, and its window or fd be somebody else's. */
  #stillMapped(region: MemRegion): void {
    if (this.#regions[this.#lowerBound(region.iova)] === region) return;
    throw new EmuDevError("EFAULT", `${this.#name}: guest address ${hex(region.iova)} was unmapped during the access`);
  }

  #view(region: MemRegion, delta: bigint, bytes: number): Uint8Array {
    const off = region.off + Number(delta);
    return this.#arena.u8.subarray(off, off + bytes);
  }

  #remote(region: MemRegion): DmaTransport {
    if (region.remote !== null) return region.remote;
    throw new EmuDevError("EFAULT", `${this.#name}: region ${hex(region.iova)} has neither file nor transport`);
  }

  #checkBytes(bytes: number): number {
    if (Number.isInteger(bytes) && bytes >= 0 && bytes <= MEM_ACCESS_MAX) return bytes;
    throw new EmuDevError("EINVAL", `${this.#name}: an access of ${bytes} bytes; the limit is ${MEM_ACCESS_MAX}`);
  }

  /** An access to a file that must be whole; a hugetlb file for which too few pages are free cannot be written to at all. */
  #whole(access: () => number, bytes: number, iova: bigint): void {
    let done: number;
    try {
      done = access();
    } catch (cause) {
      if (!(cause instanceof LinuxError)) throw cause;
      const text = `${this.#name}: the file behind ${hex(iova)} is not mapped, and refuses the access (${cause.code})`;
      throw new EmuDevError("EFAULT", text, { cause });
    }
    if (done !== bytes) throw new EmuDevError("EFAULT", `${this.#name}: the file behind ${hex(iova)} has shrunk`);
  }
}

/** Index of the first region that starts at or above an address. */
function lowerBound(sorted: readonly { iova: bigint }[], iova: bigint): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]!.iova < iova) low = middle + 1;
    else high = middle;
  }
  return low;
}
