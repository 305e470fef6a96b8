// How long to wait before the next try to reach a server that is not there: 10 ms doubling to a second, each time somewhere
// between half of that and all of it, so that the clients of one server do not all come back in the same instant. Pure; used
// by reconnect.ts.
export const BACKOFF_FIRST_MS = 10;
export const BACKOFF_MAX_MS = 1000;

/** @param attempt 0 for the first; @param random from 0 up to 1 */
export function backoffMs(attempt: number, random: number): number {
  const full = Math.min(BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 30), BACKOFF_MAX_MS);
  return full / 2 + (random * full) / 2;
}
