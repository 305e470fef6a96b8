// The arena as the main thread holds it: it makes the shared memory, puts this process's memfd under its first part, and
// manages the two kinds of tenants, memzones there and windows behind. One a process; workers attach to `handle`.
import {
  addressOf,
  addSeals,
  adviseHugePages,
  closeFd,
  fileStat,
  type GuardedRange,
  LinuxError,
  mapAnywhere,
  mapNothing,
  mapShared,
  memfdCreate,
  PROT,
  SEAL,
  type SigbusGuard,
} from "@emudev/linux";
import { ARENA_BYTES, type ArenaHandle, Arena as ArenaViews, type Memzone } from "../data/arena.ts";
import { checkInteger, ShmError } from "../data/error.ts";
import { type Range, RangeAllocator } from "./range-allocator.ts";

const PAGE_BYTES = 4096;
const WASM_PAGE_BYTES = 65536;
const MIB = 2 ** 20;
const OWN_BYTES_DEFAULT = 512 * MIB;
const OWN_BYTES_MAX = 2048 * MIB;
const LINE_BYTES = 64;
const ALIGN_MAX = 2 ** 30;
const HUGE_BYTES = 2 * MIB;

// Collecting a WebAssembly.Memory unmaps what was mapped into it, so none is ever let go.
const kept: WebAssembly.Memory[] = [];

const roundUp = (value: number, align: number) => Math.ceil(value / align) * align;

export class Arena extends ArenaViews {
  /** By name; a memory table makes and frees one at each map, so not a Map: see the note in watch.ts of `linux`. */
  readonly #zones: Record<string, Memzone> = Object.create(null);
  readonly #own: RangeAllocator;
  readonly #windows: RangeAllocator;
  /** Windows whose first asked-for byte is not the window's first, by that byte. */
  readonly #inner = new Map<number, number>();
  #guard: SigbusGuard | null = null;
  /** Guarded windows, by offset. */
  readonly #guarded: Record<number, { range: GuardedRange; lost: boolean }> = Object.create(null);
  /** Bytes at and above were never part of a memzone, so they still read 0. */
  #untouched = PAGE_BYTES;

  /**
   * Makes the process's arena. Memory is committed when it is first written.
   * @param opts.ownBytes size of the part for memzones: whole 64 KiB, at most 2 GiB; default 512 MiB
   * @param opts.hugePages "auto": that part is made of huge pages of the system's default size where enough of them are
   *   free (ownBytes is rounded up to whole ones), else of ordinary pages, or transparent huge ones where the system lets
   *   memfds have them; default "off"
   * @throws ShmError EINVAL; LinuxError when the kernel refuses (memfd, mmap)
   */
  static create(opts: { ownBytes?: number; hugePages?: "auto" | "off" } = {}): Arena {
    const { ownBytes = OWN_BYTES_DEFAULT, hugePages = "off" } = opts;
    checkInteger("arena: ownBytes", ownBytes, WASM_PAGE_BYTES, OWN_BYTES_MAX);
    if (ownBytes % WASM_PAGE_BYTES !== 0)
      throw new ShmError("EINVAL", `arena: ownBytes is ${ownBytes}: it must be a multiple of ${WASM_PAGE_BYTES}`);
    const pages = ARENA_BYTES / WASM_PAGE_BYTES;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    kept.push(memory);
    const base = addressOf(new Uint8Array(memory.buffer, 0, PAGE_BYTES));
    const huge = hugePages === "auto" ? hugeFile(base, ownBytes) : null;
    const { fd, bytes, pageBytes } = huge ?? {
      fd: memfdCreate("emudev-arena", ownBytes, { seals: true }),
      bytes: ownBytes,
      pageBytes: PAGE_BYTES,
    };
    addSeals(fd, SEAL.SHRINK | SEAL.GROW | SEAL.SEAL);
    mapShared(base, bytes, PROT.READ | PROT.WRITE, fd, 0);
    if (huge === null && hugePages === "auto") adviseHugePages(base, bytes);
    // What unmapping a window leaves is then of one kind with its neighbours, and the kernel joins them into one mapping.
    mapNothing(base + bytes, ARENA_BYTES - bytes);
    return new Arena({ memory, base, fd, ownBytes: bytes }, pageBytes);
  }

  /** Bytes of a page of the own part. */
  readonly pageBytes: number;

  private constructor(handle: ArenaHandle, pageBytes: number) {
    super(handle);
    this.pageBytes = pageBytes;
    this.#own = new RangeAllocator(PAGE_BYTES, handle.ownBytes);
    this.#windows = new RangeAllocator(handle.ownBytes, ARENA_BYTES);
  }

  /**
   * Reserves zeroed memory in the own part.
   * @param align power of two; from 4096 on the zone shares its pages with no other zone
   * @throws ShmError EINVAL, EEXIST (name), ENOMEM
   */
  memzoneReserve(name: string, bytes: number, align = LINE_BYTES): Memzone {
    checkInteger(`memzone ${name}: bytes`, bytes, 1, ARENA_BYTES);
    checkInteger(`memzone ${name}: align`, align, 1, ALIGN_MAX);
    if ((align & (align - 1)) !== 0)
      throw new ShmError("EINVAL", `memzone ${name}: align is ${align}: it must be a power of two`);
    if (name in this.#zones) throw new ShmError("EEXIST", `memzone ${name} exists already`);
    const granule = align >= PAGE_BYTES ? PAGE_BYTES : LINE_BYTES;
    const size = roundUp(bytes, granule);
    const off = this.#own.reserve(size, Math.max(align, LINE_BYTES), this.base);
    if (off === null) throw this.#outOfMemory(name, bytes);
    this.u8.fill(0, off, Math.max(off, Math.min(off + size, this.#untouched)));
    this.#untouched = Math.max(this.#untouched, off + size);
    const zone = { name, off, bytes };
    this.#zones[name] = zone;
    return zone;
  }

  memzoneLookup(name: string): Memzone | undefined {
    return this.#zones[name];
  }

  /** @throws ShmError ENOENT */
  memzoneFree(name: string): void {
    const zone = this.#zones[name];
    if (zone === undefined) throw new ShmError("ENOENT", `memzone ${name} does not exist`);
    delete this.#zones[name];
    this.#own.release(zone.off);
  }

  /** All memzones by offset. */
  memzones(): Memzone[] {
    return Object.values(this.#zones).sort((a, b) => a.off - b.off);
  }

  /**
   * Maps part of a file behind the own part. The window is aligned, by absolute address, to the file's block size (that is
   * the page size of hugetlb files), and begins before `fileOffset` where that is not. A long one is aligned to 2 MiB, if there
   * is room, so that transparent huge pages of the file can be used.
   * @param fd stays the caller's, who may close it afterwards
   * @param prot PROT of linux; a store to a read-only window is SIGSEGV
   * @returns offset of the byte at `fileOffset`, or null when no hole is large enough
   * @throws LinuxError when mmap refuses
   */
  mapWindow(fd: number, fileOffset: number, bytes: number, prot: number): number | null {
    checkInteger("window: fileOffset", fileOffset, 0, Number.MAX_SAFE_INTEGER);
    checkInteger("window: bytes", bytes, 1, Number.MAX_SAFE_INTEGER);
    const align = windowAlignment(fd);
    const before = fileOffset % align;
    const size = roundUp(before + bytes, align);
    const wide = size >= HUGE_BYTES && (fileOffset - before) % HUGE_BYTES === 0 ? Math.max(align, HUGE_BYTES) : align;
    const start = this.reserveWindow(size, wide) ?? (wide > align ? this.reserveWindow(size, align) : null);
    if (start === null) return null;
    try {
      mapShared(this.base + start, roundUp(before + bytes, PAGE_BYTES), prot, fd, fileOffset - before);
    } catch (error) {
      // A hugetlb file that finds too few free pages is refused when what was there is gone already.
      mapNothing(this.base + start, size);
      this.#release(start);
      throw error;
    }
    if (before > 0) this.#inner.set(start + before, start);
    return start + before;
  }

  /**
   * Reserves room for a window with nothing mapped: it reads 0. For callers that map several parts of a file side by side.
   * @param align power of two from 4096 on, by absolute address
   */
  reserveWindow(bytes: number, align = PAGE_BYTES): number | null {
    const size = roundUp(bytes, PAGE_BYTES);
    const off = this.#windows.reserve(size, Math.max(align, PAGE_BYTES), this.base);
    const range = off === null ? null : (this.#guard?.add(this.base + off, size) ?? null);
    if (off !== null && range !== null) this.#guarded[off] = { range, lost: false };
    return off;
  }

  /** Maps part of a file over part of a reserved window; all in whole pages of the file. */
  mapInto(off: number, fd: number, fileOffset: number, bytes: number, prot: number): void {
    mapShared(this.base + off, bytes, prot, fd, fileOffset);
  }

  /** Takes a mapping out of part of a reserved window, which reads 0 again. */
  unmapFrom(off: number, bytes: number): void {
    mapNothing(this.base + off, bytes);
  }

  /** Unmaps and frees what mapWindow() or reserveWindow() returned. No thread may use it any more. */
  unmapWindow(off: number): void {
    const start = this.#inner.get(off) ?? off;
    const window = this.#windows.bytesOf(start);
    if (window === undefined) throw new ShmError("ENOENT", `no window begins at arena offset ${off}`);
    mapNothing(this.base + start, window);
    this.#release(start);
    this.#inner.delete(off);
  }

  /** From now on a window whose file is truncated turns to zero memory where it would end the process (linux/guard.ts). */
  guardWindows(guard: SigbusGuard): void {
    this.#guard = guard;
  }

  /** The windows that have turned to zero memory since the last call. */
  lostWindows(): Range[] {
    const lost: Range[] = [];
    for (const [off, window] of Object.entries(this.#guarded)) {
      if (window.lost || window.range.hits() === 0) continue;
      window.lost = true;
      lost.push({ off: Number(off), bytes: this.#windows.bytesOf(Number(off)) ?? 0 });
    }
    return lost;
  }

  /** The windows in use, each as a whole. */
  windows(): Range[] {
    return this.#windows.used();
  }

  #release(start: number): void {
    this.#guarded[start]?.range.remove();
    delete this.#guarded[start];
    this.#windows.release(start);
  }

  #outOfMemory(name: string, bytes: number): ShmError {
    const free = this.#own.free().reduce((sum, range) => sum + range.bytes, 0);
    const mib = (value: number) => (value / MIB).toFixed(1);
    return new ShmError(
      "ENOMEM",
      `no room for memzone ${name} of ${mib(bytes)} MiB: ${mib(free)} of ${mib(this.ownBytes)} MiB are free; ` +
        "start with more memory (-m) or ask for smaller pools",
    );
  }
}

/** The file's block size where it is a power of two and at least a page, else a page. */
export function windowAlignment(fd: number): number {
  const { blockSize } = fileStat(fd);
  const usable = blockSize >= PAGE_BYTES && blockSize <= ALIGN_MAX && (blockSize & (blockSize - 1)) === 0;
  return usable ? blockSize : PAGE_BYTES;
}

/**
 * A file of huge pages for the own part, all of them reserved; null where there are none, too few, or the arena's address is not
 * a multiple of their size.
 */
function hugeFile(base: number, ownBytes: number): { fd: number; bytes: number; pageBytes: number } | null {
  let fd = -1;
  try {
    fd = memfdCreate("emudev-arena", 0, { hugetlb: true });
    const pageBytes = fileStat(fd).blockSize;
    closeFd(fd);
    fd = -1;
    const bytes = roundUp(ownBytes, pageBytes);
    if (base % pageBytes !== 0 || bytes > OWN_BYTES_MAX) return null;
    fd = memfdCreate("emudev-arena", bytes, { seals: true, hugetlb: true });
    // Elsewhere first: where pages are too few, mapping fails, and over the arena that would leave a hole. They stay reserved.
    mapAnywhere(bytes, PROT.READ | PROT.WRITE, fd, 0).unmap();
    return { fd, bytes, pageBytes };
  } catch (error) {
    if (fd >= 0) closeFd(fd);
    if (error instanceof LinuxError) return null;
    throw error;
  }
}
