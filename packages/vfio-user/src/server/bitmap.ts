// Bitmaps of pages: bit n of byte n/8 is page n. rescale turns what is noted in pages of one size into pages of
// another: a smaller page is dirty when the larger one around it was, a larger one when any inside it was. Used by
// dirty-log.ts.

/**
 * Sets in `into` (bits of `toSize` bytes each, `pages` of them) whatever the set bits of `from` (`fromSize` bytes each,
 * the first at byte `at` of what `into` is about) touch. Sizes are powers of two.
 */
export function rescale(
  from: Uint8Array,
  fromSize: number,
  at: number,
  into: Uint8Array,
  toSize: number,
  pages: number,
): void {
  for (let byte = 0; byte < from.length; byte++) {
    const bits = from[byte] as number;
    for (let bit = 0; bits >>> bit !== 0; bit++) {
      if (((bits >>> bit) & 1) === 0) continue;
      const start = at + (byte * 8 + bit) * fromSize;
      setBits(into, Math.floor(start / toSize), Math.min(Math.ceil((start + fromSize) / toSize), pages));
    }
  }
}

/** Sets bits first..end-1. */
export function setBits(bitmap: Uint8Array, first: number, end: number): void {
  for (let bit = first; bit < end; ) {
    if (bit % 8 === 0 && end - bit >= 8) {
      bitmap[bit >>> 3] = 0xff;
      bit += 8;
    } else {
      (bitmap[bit >>> 3] as number) |= 1 << (bit & 7);
      bit++;
    }
  }
}
