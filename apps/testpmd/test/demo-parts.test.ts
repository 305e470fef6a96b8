// The demo's parts that need no process: its command line, its bookkeeping, its text and its choice of CPUs.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { flow, isQuiet } from "../src/demo/account.ts";
import { lcores, place } from "../src/demo/cpus.ts";
import type { Counts } from "../src/demo/messages.ts";
import { parseOptions } from "../src/demo/options.ts";
import { line, table, totals } from "../src/demo/table.ts";

const counts = (some: Partial<Counts>): Counts => ({
  at: 0,
  linkMbps: 10000,
  handed: 0,
  received: 0,
  receivedBytes: 0,
  waiting: 0,
  outDrops: {},
  inDrops: {},
  held: {},
  ...some,
});
const names = { from: "guest", to: "device" };

describe("the demo's account", () => {
  it("adds up: sent = received + drops by name + unaccounted", () => {
    const drop = fc.dictionary(fc.constantFrom("oerrors", "imissed", "ierrors"), fc.nat(1000));
    fc.assert(
      fc.property(fc.nat(1e9), fc.nat(1e9), drop, drop, (handed, received, outDrops, inDrops) => {
        const result = flow(counts({ handed, outDrops }), counts({ received, inDrops }), names);
        const dropped = Object.values(result.drops).reduce((sum, count) => sum + count, 0);
        expect(result.received + dropped + result.unaccounted).toBe(result.sent);
        expect(Object.values(result.drops)).not.toContain(0);
      }),
    );
  });

  it("names the place of a drop and the side that counted it", () => {
    const result = flow(counts({ handed: 10 }), counts({ received: 7, inDrops: { imissed: 3, ierrors: 0 } }), names);
    expect(result.drops).toEqual({ "device: imissed": 3 });
    expect(result.unaccounted).toBe(0);
    expect(totals("guest to device", result, 1).at(-1)).toContain("accounted for");
  });

  it("does not let a loss pass that nobody counted", () => {
    const result = flow(counts({ handed: 10 }), counts({ received: 9 }), names);
    expect(totals("guest to device", result, 1).at(-1)).toContain("UNACCOUNTED FOR: 1");
  });

  it("calls it quiet when nothing waits and nothing has moved", () => {
    const rest = [counts({ received: 5 })];
    expect(isQuiet(rest, [counts({ received: 5 })])).toBe(true);
    expect(isQuiet(rest, [counts({ received: 6 })])).toBe(false);
    expect(isQuiet(rest, [counts({ received: 5, waiting: 1 })])).toBe(false);
  });
});

describe("the demo's command line", () => {
  it("has defaults", () => {
    expect(parseOptions([])).toEqual({ seconds: undefined, size: 64, mode: "both", burst: 32, json: false });
  });

  it.each([
    [["--size", "63"], /--size 63.*64 to 1518/],
    [["--size", "1519"], /--size 1519/],
    [["--burst", "0"], /--burst 0/],
    [["--seconds", "0"], /--seconds 0/],
    [["--seconds", "x"], /--seconds NaN/],
  ])("refuses %s with a sentence", (argv, message) => {
    expect(() => parseOptions(argv)).toThrow(message);
  });
});

describe("the demo's threads", () => {
  it("poll on different CPUs where there are two", () => {
    for (const cpus of [
      [0, 1],
      [4, 7, 9],
      [0, 1, 2, 3],
    ]) {
      const { device, guest } = place(cpus);
      expect(device.worker).not.toBe(guest.worker);
      for (const cpu of [device.main, device.worker, guest.main, guest.worker]) expect(cpus).toContain(cpu);
    }
    expect(place([3]).device).toEqual({ main: 3, worker: 3 });
    expect(lcores({ main: 1, worker: 0 })).toBe("0@1,1@0");
  });
});

describe("the demo's text", () => {
  it("shows rates and drops in a table and in a line", () => {
    const moved = flow(counts({ handed: 5_000_100 }), counts({ received: 5e6, inDrops: { imissed: 100 } }), names);
    const row = { name: "guest to device", sentRate: 5_000_100, receivedRate: 5e6, mbps: 2400, flow: moved };
    expect(table([row], 1)[1]).toMatch(/guest to device +5,000,100 +5,000,000 +2400 +5,000,000 +100/);
    expect(line([row], 1)).toContain("5.000 M/s received, 100 dropped");
  });
});
