// The order of an lcore's streams: none is ever forgotten, a busy one is polled every turn, and the quiet ones together take a
// bounded share of it.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Schedule } from "../src/fwd/schedule.ts";

/** Streams whose packets the test hands out: `left[i]` waiting at stream i, up to 32 a poll. */
function world(n: number) {
  const left = new Array<number>(n).fill(0);
  const polls = new Array<number>(n).fill(0);
  const steps = left.map((_, i) => () => {
    polls[i]!++;
    const moved = Math.min(32, left[i]!);
    left[i]! -= moved;
    return moved;
  });
  return { left, polls, schedule: new Schedule(steps) };
}

describe("schedule", () => {
  test("a few streams are all polled every turn", () => {
    const { polls, schedule } = world(8);
    for (let i = 0; i < 1000; i++) schedule.turn();
    expect(polls).toEqual(new Array(8).fill(1000));
  });

  test("one busy among 255 quiet ones: polled every turn, and they cost it two looks for 128 packets", () => {
    const { left, polls, schedule } = world(256);
    for (let i = 0; i < 200; i++) schedule.turn();
    polls.fill(0);
    for (let i = 0; i < 10_000; i++) {
      left[7] = 128;
      schedule.turn();
    }
    expect(polls[7]).toBeGreaterThanOrEqual(9990);
    const others = polls.reduce((sum, count) => sum + count, 0) - polls[7]!;
    expect(others).toBeLessThanOrEqual(2 * 10_000 + 1000);
    for (const [i, count] of polls.entries()) if (i !== 7) expect(count, `stream ${i}`).toBeGreaterThan(10);
  });

  test("with nothing to do every turn polls all, so that a nap misses nothing", () => {
    const { polls, schedule } = world(100);
    for (let i = 0; i < 64 + 16; i++) schedule.turn();
    polls.fill(0);
    for (let i = 0; i < 10; i++) schedule.turn();
    expect(polls).toEqual(new Array(100).fill(10));
  });

  test("whatever comes when: every packet is moved, soon, and counted once", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.tuple(fc.nat(39), fc.integer({ min: 1, max: 100 }), fc.nat(150)), { maxLength: 40 }),
        (n, arrivals) => {
          const { left, schedule } = world(n);
          let given = 0;
          let moved = 0;
          for (const [stream, packets, turns] of arrivals) {
            left[stream % n]! += packets;
            given += packets;
            for (let i = 0; i < turns; i++) moved += schedule.turn();
          }
          for (let i = 0; i < 200; i++) moved += schedule.turn();
          expect(moved).toBe(given);
          if (n <= 8) expect(schedule.busy).toBe(n);
        },
      ),
    );
  });
});
