// Measuring by comparison: in each round every variant of the same work is run by tinybench, one after the other and in
// turning order, so that a busy neighbour hits them alike. Figures are medians over the rounds, ratios those of one round.
import { Bench } from "tinybench";

/** One way to do the work. */
export interface Variant {
  name: string;
  /** Does the work once; the only part that is timed. */
  run(): void;
  /** Makes the work possible again, before each run. */
  prepare?(thorough: boolean): void;
  /** Throws when the work was not done, or done wrong; after each run. Thorough = all of it, once a round. */
  check?(thorough: boolean): void;
}

export interface Result {
  name: string;
  value: number;
  unit: string;
  /** Time of ours by time of the fastest baseline; null without baseline. */
  ratio: number | null;
  /** Distance of the quartiles of `value` over the rounds, by its median. */
  spread: number;
  /** Of times: [upper end of the bucket, share of all], buckets of a quarter of a factor of two; empty ones left out. */
  histogram?: readonly (readonly [us: number, share: number])[];
}

export interface Effort {
  rounds: number;
  /** Milliseconds of each variant in each round. */
  roundMs: number;
}

// Short rounds, many of them: what disturbs this machine for longer than a round disturbs all variants of it.
export const QUICK: Effort = { rounds: 15, roundMs: 3 };
export const FULL: Effort = { rounds: 151, roundMs: 6 };

/** Value at a share of a sorted copy, by the nearest rank. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

/** Histogram of microseconds; `counts` says how often each occurred, once if left out. */
export function logHistogram(us: readonly number[], counts?: readonly number[]): [us: number, share: number][] {
  const buckets = new Map<number, number>();
  let total = 0;
  us.forEach((time, i) => {
    const at = Math.ceil(4 * Math.log2(Math.max(time, 0.1)));
    const count = counts?.[i] ?? 1;
    buckets.set(at, (buckets.get(at) ?? 0) + count);
    total += count;
  });
  return [...buckets]
    .sort(([a], [b]) => a - b)
    .map(([at, count]) => [Number((2 ** (at / 4)).toPrecision(4)), count / total]);
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Result of the figures of all rounds. */
export function summarize(name: string, unit: string, values: readonly number[], ratios: readonly number[]): Result {
  const middle = median(values);
  const spread = (quantile(values, 0.75) - quantile(values, 0.25)) / middle;
  return { name, value: middle, unit, ratio: ratios.length > 0 ? median(ratios) : null, spread };
}

/**
 * Measures ours against baselines.
 * @param items what one run moves; the value is nanoseconds per item
 */
export function compare(
  name: string,
  items: { count: number; unit: string },
  ours: Variant,
  baselines: readonly Variant[],
  effort: Effort,
): Result {
  const variants = [ours, ...baselines];
  const times = variants.map((): number[] => []);
  for (let round = -1; round < effort.rounds; round++) {
    for (let turn = 0; turn < variants.length; turn++) {
      const at = (turn + Math.max(round, 0)) % variants.length;
      const ns = (1e6 * runFor(variants[at]!, effort.roundMs)) / items.count;
      // The first round warms up caches and compilers.
      if (round >= 0) times[at]!.push(ns);
    }
  }
  const [own, ...others] = times as [number[], ...number[][]];
  const ratios = others.length > 0 ? own.map((ns, round) => ns / Math.min(...others.map((o) => o[round]!))) : [];
  return summarize(name, `ns/${items.unit}`, own, ratios);
}

/** Median milliseconds of a run. */
function runFor(variant: Variant, ms: number): number {
  const bench = new Bench({ time: ms, iterations: 3, warmup: false, throws: true });
  const { prepare, check } = variant;
  let thorough = true;
  bench.add(variant.name, () => variant.run(), {
    // Stated, or tinybench would find out by a run that was not prepared.
    async: false,
    beforeEach: () => prepare?.call(variant, thorough),
    afterEach() {
      check?.call(variant, thorough);
      thorough = false;
    },
  });
  bench.runSync();
  const { result } = bench.tasks[0]!;
  if (!("latency" in result)) throw new Error(`${variant.name}: no result (${result.state})`);
  return result.latency.p50;
}

/** Throws, naming the bench, unless the work was done. */
export function assertDone(what: string, got: number, expected: number): void {
  if (got !== expected) throw new Error(`${what}: ${got} instead of ${expected}; the figure would mean nothing`);
}
