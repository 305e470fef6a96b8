// `--check`: how much worse than C a ratio may get before the run fails. The bounds are wide, about twice what is usual, so
// that they catch a loop that V8 no longer keeps in registers and not a busy neighbour. Called by main.ts and by the quick
// form in continuous integration.
import type { Result } from "./measure.ts";

/** The first that matches counts; what matches none is not bounded. */
const BOUNDS: readonly [pattern: RegExp, ratio: number][] = [
  [/^ring\/spsc-two-threads$/, Number.POSITIVE_INFINITY], // two threads meet as the scheduler pleases
  [/^ring\//, 6],
  [/^(mempool|pktmbuf)\//, 6],
  [/^scale\/turn-/, 4], // 24 without the schedule
  [/^avfbe\/rxtx-/, 2.2],
  [/^avfbe\//, 2.5],
  [/^transport\/.*-c-/, Number.POSITIVE_INFINITY], // C against C
  [/^transport\/poll-.*-p50$/, 1.1],
  [/^transport\/(read|write)-p50$/, 2],
];

/** What is wrong with a result, or null. */
export function boundViolation({ name, ratio }: Result): string | null {
  const bound = BOUNDS.find(([pattern]) => pattern.test(name))?.[1];
  if (bound === undefined || ratio === null || ratio <= bound) return null;
  return `${name}: ${ratio.toFixed(2)} times the time of C; the bound is ${bound}`;
}
