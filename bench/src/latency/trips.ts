// Round trips as both probes report them, and what is read off their histogram.
import { logHistogram } from "../measure.ts";
import { BUCKETS_PER_US, type Pace } from "./pacer.ts";

/** Shares of the full load at which round trips are measured. */
export const SHARES = [0.1, 0.5, 0.9];

export interface Trips {
  /** Share of the full load; 1 = full. */
  share: number;
  sent: number;
  received: number;
  /** Packets a second. */
  pps: number;
  /** Microseconds. */
  p50: number;
  p90: number;
  p99: number;
  p999: number;
  /** As Result.histogram. */
  histogram: [us: number, share: number][];
}

export function tripsOf(share: number, { sent, received, pps, histogram }: Pace): Trips {
  const total = histogram.reduce((sum, count) => sum + count, 0);
  const quantile = (part: number): number => {
    let left = part * total;
    const bucket = histogram.findIndex((count) => {
      left -= count;
      return left <= 0 && total > 0;
    });
    return (bucket + 1) / BUCKETS_PER_US;
  };
  return {
    share,
    sent,
    received,
    pps,
    p50: quantile(0.5),
    p90: quantile(0.9),
    p99: quantile(0.99),
    p999: quantile(0.999),
    histogram: logHistogram(
      Array.from(histogram, (_, bucket) => (bucket + 1) / BUCKETS_PER_US),
      Array.from(histogram),
    ).filter(([, part]) => part > 0),
  };
}
