// The benches as a script uses them: the statistics, and a run of the quick ones from the command line, so that they do not
// rot between releases. No figure is asserted.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { boundViolation } from "../src/bounds.ts";
import { writeCharts } from "../src/charts.ts";
import { compare, logHistogram, median, QUICK, quantile, summarize } from "../src/measure.ts";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const bench = (...args: string[]) => spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });

describe("statistics", () => {
  test("median and quartiles are values that were measured", () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(quantile([4, 1, 3, 2], 0.75)).toBe(4);
    expect(quantile([7], 0.25)).toBe(7);
  });

  test("a result has the median ratio, and null without baselines", () => {
    expect(summarize("x", "ns", [10, 20, 30], [1, 3, 2])).toEqual({
      name: "x",
      value: 20,
      unit: "ns",
      ratio: 2,
      spread: 1,
    });
    expect(summarize("x", "ns", [10], []).ratio).toBeNull();
  });

  test("a histogram has buckets of a quarter of a factor of two, by their upper end, and shares of all", () => {
    expect(logHistogram([1, 1.1, 2, 64])).toEqual([
      [1, 0.25],
      [1.189, 0.25],
      [2, 0.25],
      [64, 0.25],
    ]);
    expect(logHistogram([8, 16], [3, 1])).toEqual([
      [8, 0.75],
      [16, 0.25],
    ]);
  });

  test("every run is prepared and checked, and a failed check stops the bench", () => {
    const calls: string[] = [];
    const variant = (name: string) => ({
      name,
      prepare: () => void calls.push("prepare"),
      run: () => void calls.push("run"),
      check: () => void calls.push("check"),
    });
    const items = { count: 1, unit: "run" };
    compare("x", items, variant("a"), [variant("b")], { ...QUICK, rounds: 1, roundMs: 1 });
    for (let i = 0; i < calls.length; i += 3) expect(calls.slice(i, i + 3)).toEqual(["prepare", "run", "check"]);
    const wrong = {
      name: "wrong",
      run() {},
      check() {
        throw new Error("7 instead of 8");
      },
    };
    expect(() => compare("x", items, wrong, [], QUICK)).toThrow(/7 instead of 8/);
  });
});

describe("bounds", () => {
  test("a ratio far beyond the usual is a violation, anything else is not", () => {
    const result = (name: string, ratio: number | null) => ({ name, value: 1, unit: "", ratio, spread: 0 });
    expect(boundViolation(result("avfbe/rxtx-64", 1.2))).toBeNull();
    expect(boundViolation(result("avfbe/rxtx-64", 3))).toBe(
      "avfbe/rxtx-64: 3.00 times the time of C; the bound is 2.2",
    );
    for (const [name, ratio] of [
      ["ring/spsc-two-threads", 99],
      ["avfbe/rx-64", null],
      ["path/x", 99],
    ] as const)
      expect(boundViolation(result(name, ratio))).toBeNull();
  });
});

describe("charts", () => {
  test("draw each family of figures that is there, and nothing else", () => {
    const folder = mkdtempSync(join(tmpdir(), "charts-"));
    const result = (name: string, value: number, ratio: number | null) => ({ name, value, unit: "", ratio, spread: 0 });
    const figures = [
      result("ring/spsc", 2.4, 1.7),
      result("peers/vfio-user/to-guest-64", 12_345_678, 0.9),
      result("peers/memif-64", 20e6, null),
      result("path/round-trip-9000-4q", 410_474, null),
      result("path/to-guest-64-1q-4k", 24e6, null),
      result("path/guest-tx-64", 17e6, null), // of another kind
      result("latency/vfio-user-64/50%/p99", 7.5, null),
    ];
    const histogram = logHistogram([90, 100, 140, 1000]);
    const idle = { ...result("idle/interrupt/first-packet/p50", 120, null), histogram };
    expect(writeCharts(folder, [...figures, idle])).toEqual([
      "peers.svg",
      "path.svg",
      "latency-64.svg",
      "idle.svg",
      "micro.svg",
    ]);
    const peers = readFileSync(join(folder, "peers.svg"), "utf8");
    expect(peers).toMatch(/^<svg /);
    for (const text of ["vfio-user/to-guest", "memif", "million packets/s"]) expect(peers).toContain(text);
    expect(readFileSync(join(folder, "micro.svg"), "utf8")).toContain("1.7");
    rmSync(folder, { recursive: true });
  });
});

describe("command line", () => {
  test("--json - writes figures that a script can compare, and nothing else, to standard output", () => {
    const { status, stdout, stderr } = bench(
      "--quick",
      "--only",
      "ring/mpmc",
      "--only",
      "avfbe/rxtx-64",
      "--json",
      "-",
    );
    expect({ status, stderr }).toMatchObject({ status: 0, stderr: expect.stringContaining("ring/mpmc") });
    const results = JSON.parse(stdout);
    expect(results.map(({ name }: { name: string }) => name)).toEqual(["ring/mpmc", "avfbe/rxtx-64"]);
    for (const { value, unit, ratio, spread } of results) {
      expect(value).toBeGreaterThan(0);
      expect(unit).toMatch(/^ns\/(object|packet)$/);
      if (!stderr.includes("ratios to C are left out")) expect(ratio).toBeGreaterThan(0);
      expect(spread).toBeGreaterThanOrEqual(0);
    }
  });

  test.each([["--only", "no-such-bench"], ["--colour"]])("wrong options are told in a sentence: %s", (...args) => {
    const { status, stderr } = bench(...args);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^bench: /);
  });
});
