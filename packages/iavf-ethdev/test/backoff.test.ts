// The pauses between two tries: their first, their doubling, their limit, their jitter.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BACKOFF_FIRST_MS, BACKOFF_MAX_MS, backoffMs } from "../src/control/backoff.ts";

describe("the pause before a try", () => {
  it("doubles from 10 ms to a second", () => {
    const most = Array.from({ length: 10 }, (_, attempt) => backoffMs(attempt, 1));
    expect(most).toEqual([10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000]);
  });

  it("lies between half of that and all of it, whatever is drawn, however many tries there were", () => {
    const random = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.nat(1_000_000), random, (attempt, drawn) => {
        const ms = backoffMs(attempt, drawn);
        expect(ms).toBeGreaterThanOrEqual(backoffMs(attempt, 1) / 2);
        expect(ms).toBeLessThanOrEqual(Math.min(BACKOFF_FIRST_MS * 2 ** attempt, BACKOFF_MAX_MS));
      }),
    );
  });
});
