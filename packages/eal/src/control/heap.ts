// The size of the main thread's heap over the life of a process. A device server makes some garbage with every client and
// keeps none of it, yet V8 doubles its young generation, up to 3 x 16 MiB, with the sum of what happened to be alive at its
// collections: a process that has served ten thousand clients is 40 MiB larger than one that has served a thousand. The
// control side needs no more than what the start has brought it to, so growth ends there. Called by init.ts.
import { setFlagsFromString } from "node:v8";

/** Each worker's heap, when it is made, sets the factor back to at least 2; by then the lcores' threads are up. */
const AFTER_MS = 500;

/** Ends the growth of the young generation once the process has started. @returns what takes it back */
export function boundYoungGeneration(): () => void {
  const timer = setTimeout(() => setFlagsFromString("--semi-space-growth-factor=1"), AFTER_MS);
  timer.unref();
  return () => clearTimeout(timer);
}
