// First-fit allocation of address ranges with coalescing on free. It keeps only numbers, so it serves both the memzones
// (within the arena's own part) and the windows (behind it), where alignment counts by absolute address.

/** A range of bytes that is handed out or free. */
export interface Range {
  readonly off: number;
  readonly bytes: number;
}

export class RangeAllocator {
  /** Sorted, never adjacent to one another. */
  readonly #free: { off: number; bytes: number }[];
  /** Sorted. Not a Map: see the note in watch.ts of `linux`. */
  readonly #used: Range[] = [];

  /** Hands out parts of [start, end). */
  constructor(start: number, end: number) {
    this.#free = start < end ? [{ off: start, bytes: end - start }] : [];
  }

  /**
   * @param align `off + bias` will be a multiple of it
   * @returns the first place of `bytes` bytes, or null when no hole is large enough
   */
  reserve(bytes: number, align = 1, bias = 0): number | null {
    for (let i = 0; i < this.#free.length; i++) {
      const hole = this.#free[i]!;
      const before = (align - ((hole.off + bias) % align)) % align;
      const after = hole.bytes - before - bytes;
      if (after < 0) continue;
      const off = hole.off + before;
      const rest = [];
      if (before > 0) rest.push({ off: hole.off, bytes: before });
      if (after > 0) rest.push({ off: off + bytes, bytes: after });
      this.#free.splice(i, 1, ...rest);
      this.#used.splice(lowerBound(this.#used, off), 0, { off, bytes });
      return off;
    }
    return null;
  }

  /** Takes back what reserve() returned; its size, or undefined when `off` is not in use. */
  release(off: number): number | undefined {
    const at = lowerBound(this.#used, off);
    const range = this.#used[at];
    if (range === undefined || range.off !== off) return undefined;
    const { bytes } = range;
    this.#used.splice(at, 1);
    const low = lowerBound(this.#free, off);
    this.#free.splice(low, 0, { off, bytes });
    this.#joinWithNext(low);
    if (low > 0) this.#joinWithNext(low - 1);
    return bytes;
  }

  /** Size of the range in use at `off`. */
  bytesOf(off: number): number | undefined {
    const range = this.#used[lowerBound(this.#used, off)];
    return range?.off === off ? range.bytes : undefined;
  }

  /** Ranges in use by offset. */
  used(): Range[] {
    return this.#used.map((range) => ({ ...range }));
  }

  /** Free ranges by offset. */
  free(): Range[] {
    return this.#free.map((range) => ({ ...range }));
  }

  #joinWithNext(i: number): void {
    const range = this.#free[i]!;
    const next = this.#free[i + 1];
    if (next === undefined || range.off + range.bytes !== next.off) return;
    range.bytes += next.bytes;
    this.#free.splice(i + 1, 1);
  }
}

/** Index of the first range at or above an offset. */
function lowerBound(sorted: readonly Range[], off: number): number {
  let low = 0;
  for (let high = sorted.length; low < high; ) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]!.off < off) low = middle + 1;
    else high = middle;
  }
  return low;
}
