// Latencies in buckets of 1/32 of an octave, as HdrHistogram keeps them: 3 % at any scale, in a few kilobytes. Used by
// `vfu bench`.
const PER_OCTAVE = 32;
const OCTAVES = 24; // from 2^-4 us to a second
const LEAST_US = 1 / 16;
const BAR_WIDTH = 40;

export class Histogram {
  readonly #counts = new Uint32Array(PER_OCTAVE * OCTAVES);
  count = 0;
  max = 0;

  add(us: number): void {
    const at = Math.floor(PER_OCTAVE * Math.log2(Math.max(us, LEAST_US) / LEAST_US));
    this.#counts[Math.min(at, this.#counts.length - 1)]!++;
    this.count++;
    this.max = Math.max(this.max, us);
  }

  /** Microseconds that a share of all stayed below. */
  quantile(share: number): number {
    let left = Math.ceil(share * this.count);
    for (const [at, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return Math.min(upper(at), this.max);
    }
    return this.max;
  }

  /** One line for each octave with anything in it. */
  bars(): string[] {
    const octaves = Array.from({ length: OCTAVES }, (_, octave) => {
      const from = octave * PER_OCTAVE;
      return this.#counts.subarray(from, from + PER_OCTAVE).reduce((sum, count) => sum + count, 0);
    });
    const most = Math.max(...octaves, 1);
    return octaves.flatMap((count, octave) => {
      if (count === 0) return [];
      const range = `${us(LEAST_US * 2 ** octave)} - ${us(LEAST_US * 2 ** (octave + 1))}`;
      const bar = "#".repeat(Math.max(1, Math.round((BAR_WIDTH * count) / most)));
      return [`  ${range.padStart(20)} us  ${String(count).padStart(9)}  ${bar}`];
    });
  }
}

const upper = (at: number): number => LEAST_US * 2 ** ((at + 1) / PER_OCTAVE);
const us = (value: number): string => (value < 1 ? value.toFixed(2) : value.toFixed(value < 10 ? 1 : 0));
