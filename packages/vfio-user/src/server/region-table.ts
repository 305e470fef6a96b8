// The regions of a device as one client sees them: sizes and rights by index, and the mapping that the device has lent
// to this client. Every PCI device has indexes 0 to 8, whether or not it has a region behind each.

import { PCI_REGION, REGION_FLAG } from "../wire/constants.ts";
import type { RegionMmap, RegionSpec } from "./device.ts";

export class RegionTable {
  readonly length: number;
  #specs: RegionSpec[];
  #mmaps = new Map<number, RegionMmap | null>();
  #lends: boolean;

  /** `lends`: the client takes fds. */
  constructor(specs: readonly RegionSpec[], lends: boolean) {
    this.length = Math.max(PCI_REGION.COUNT, ...specs.map((spec) => spec.index + 1));
    this.#specs = Array.from({ length: this.length }, (_, index) => ({ index, size: 0, flags: 0 }));
    for (const spec of specs) this.#specs[spec.index] = spec;
    this.#lends = lends;
  }

  /** Of an index below `length`. */
  get(index: number): RegionSpec {
    return this.#specs[index] as RegionSpec;
  }

  /** Bytes that may be read; 0 for what is not there. */
  readable(index: number): number {
    return this.#sizeIf(index, REGION_FLAG.READ);
  }

  writable(index: number): number {
    return this.#sizeIf(index, REGION_FLAG.WRITE);
  }

  mmap(index: number): RegionMmap | null {
    let mmap = this.#mmaps.get(index);
    if (mmap === undefined) {
      const spec = this.get(index);
      mmap = this.#lends && spec.size > 0 ? (spec.mmap?.() ?? null) : null;
      if (mmap !== null && mmap.areas.length === 0) mmap = null;
      this.#mmaps.set(index, mmap);
    }
    return mmap;
  }

  #sizeIf(index: number, flag: number): number {
    const spec = this.#specs[index];
    return spec !== undefined && spec.flags & flag ? spec.size : 0;
  }
}
