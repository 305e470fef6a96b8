// The DMA regions of one client: which are mapped, whether a new one may be, and whether an unmap names one. Regions
// never overlap, so they stand sorted by address. The device has the memory itself; this is the protocol's
// bookkeeping.

import { type FileStat, fileStat } from "@emudev/linux";
import { refusal } from "../errors.ts";
import { ERRNO, MAX_DMA_REGION_SIZE } from "../wire/constants.ts";
import type { DmaMode, DmaRegion } from "./device.ts";

interface Entry {
  iova: bigint;
  size: bigint;
  prot: number;
  mode: DmaMode;
  fileOffset: bigint;
  /** Device and inode of the file; "" without one. */
  file: string;
}

export class DmaTable {
  #entries: Entry[] = [];
  #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Every region, in ascending order of address. */
  regions(): readonly { iova: bigint; size: bigint }[] {
    return this.#entries;
  }

  /**
   * Judges a new region. "same": it is mapped already, exactly so. Otherwise the region is entered, and must be
   * removed again when the device refuses it. Throws a refusal: EEXIST for any overlap, ENOSPC for one that is too
   * large, EINVAL for one too many and for an fd that cannot be mapped.
   */
  enter(region: DmaRegion): "same" | "new" {
    if (region.size > MAX_DMA_REGION_SIZE) throw refusal(ERRNO.ENOSPC, `a region of ${region.size} bytes is too large`);
    const entry: Entry = {
      iova: region.iova,
      size: region.size,
      prot: region.prot,
      mode: region.mode,
      fileOffset: region.fileOffset,
      file: region.fd < 0 ? "" : fileOf(region),
    };
    const at = this.#lowerBound(region.iova);
    const next = this.#entries[at];
    if (next !== undefined && isSame(next, entry)) return "same";
    const previous = this.#entries[at - 1];
    if (
      (next !== undefined && next.iova < region.iova + region.size) ||
      (previous !== undefined && previous.iova + previous.size > region.iova)
    ) {
      throw refusal(ERRNO.EEXIST, `0x${region.iova.toString(16)} and ${region.size} bytes overlap a mapped region`);
    }
    if (this.#entries.length >= this.#max) throw refusal(ERRNO.EINVAL, `${this.#max} regions are mapped already`);
    this.#entries.splice(at, 0, entry);
    return "new";
  }

  has(iova: bigint, size: bigint): boolean {
    const entry = this.#entries[this.#lowerBound(iova)];
    return entry !== undefined && entry.iova === iova && entry.size === size;
  }

  /** The region that an address is in. */
  around(iova: bigint): Readonly<Entry> | undefined {
    const entry = this.#entries[this.#lowerBound(iova + 1n) - 1];
    return entry !== undefined && iova < entry.iova + entry.size ? entry : undefined;
  }

  remove(iova: bigint, size: bigint): void {
    if (this.has(iova, size)) this.#entries.splice(this.#lowerBound(iova), 1);
  }

  clear(): void {
    this.#entries = [];
  }

  /** Index of the first entry at or above iova. */
  #lowerBound(iova: bigint): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle] as Entry).iova < iova) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function isSame(a: Entry, b: Entry): boolean {
  return (
    a.iova === b.iova &&
    a.size === b.size &&
    a.prot === b.prot &&
    a.mode === b.mode &&
    a.fileOffset === b.fileOffset &&
    a.file === b.file
  );
}

/**
 * A file that can be mapped and is long enough; anything else that a peer sends would fail later, or kill by SIGBUS.
 */
function fileOf(region: DmaRegion): string {
  const stat: FileStat = fileStat(region.fd);
  if (stat.type !== "file" && stat.type !== "char") throw refusal(ERRNO.EINVAL, `a ${stat.type} cannot be mapped`);
  if (stat.type === "file" && region.fileOffset + region.size > stat.size) {
    throw refusal(
      ERRNO.EINVAL,
      `the file has ${stat.size} bytes, the region ends at ${region.fileOffset + region.size}`,
    );
  }
  return `${stat.dev}:${stat.ino}`;
}
