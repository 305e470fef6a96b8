// Queues that change lcores: the decision, by property and in a simulation of cost for 1 to 4 lcores; then real lcores between
// which a queue goes back and forth under traffic, in order and without a packet lost.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ealInit } from "@emudev/eal";
import { drivers } from "@emudev/soft-ethdev";
import fc from "fast-check";
import { expect, test } from "vitest";
import { balance, HYSTERESIS, MOVES_MAX } from "../src/control/balance.ts";
import { defaultConfig } from "../src/control/config.ts";
import { Pmd } from "../src/pmd.ts";

const sumsOf = (loads: readonly number[], places: readonly number[], lcores: number): number[] => {
  const sums = new Array<number>(lcores).fill(0);
  for (const [i, load] of loads.entries()) sums[places[i]!]! += load;
  return sums;
};

/** Units with a load, on lcores. */
const worlds = fc
  .tuple(
    fc.integer({ min: 1, max: 4 }),
    fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(3)), { maxLength: 32 }),
  )
  .map(([lcores, units]) => ({
    lcores,
    loads: units.map(([load]) => load),
    places: units.map(([, place]) => place % lcores),
  }));

test("a few moves, each unit once, and the fullest lcore never gets fuller", () => {
  fc.assert(
    fc.property(worlds, ({ lcores, loads, places }) => {
      const moves = balance(loads, places, lcores);
      expect(moves.length).toBeLessThanOrEqual(MOVES_MAX);
      expect(new Set(moves.map(({ unit }) => unit)).size).toBe(moves.length);
      const after = [...places];
      for (const { unit, to } of moves) {
        expect(to).not.toBe(after[unit]);
        after[unit] = to;
      }
      expect(Math.max(...sumsOf(loads, after, lcores))).toBeLessThanOrEqual(
        Math.max(...sumsOf(loads, places, lcores)) + 1e-9,
      );
    }),
  );
});

test("it comes to rest, with no lcore further above the least than by one unit or twice the hysteresis", () => {
  fc.assert(
    fc.property(worlds, ({ lcores, loads, places }) => {
      const at = [...places];
      let rounds = 0;
      for (let moves = balance(loads, at, lcores); moves.length > 0; moves = balance(loads, at, lcores)) {
        for (const { unit, to } of moves) at[unit] = to;
        expect(++rounds).toBeLessThan(100);
      }
      const sums = sumsOf(loads, at, lcores);
      const gap = Math.max(...sums) - Math.min(...sums);
      expect(gap).toBeLessThanOrEqual(Math.max(2 * HYSTERESIS, ...loads) + HYSTERESIS + 1e-9);
    }),
  );
});

test("simulated cost of 64 queues on 1 to 4 lcores: what was piled on one is spread, and jitter moves nothing", () => {
  for (let lcores = 1; lcores <= 4; lcores++) {
    let seed = 7;
    const random = (): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed / 2 ** 32;
    };
    const cost = Array.from({ length: 64 }, (_, i) => (i % 8 === 0 ? 0.1 : 0.005));
    const at = new Array<number>(64).fill(0);
    const jitter = (): number[] => cost.map((load) => load * (0.98 + 0.04 * random()));
    let moves = 0;
    for (let round = 0; round < 20; round++)
      for (const { unit, to } of balance(jitter(), at, lcores)) {
        at[unit] = to;
        moves++;
      }
    const sums = sumsOf(cost, at, lcores);
    expect(Math.max(...sums)).toBeLessThanOrEqual(1.08 / lcores + 0.1);
    expect(moves).toBeLessThanOrEqual(16);
    for (let round = 0; round < 50; round++) expect(balance(jitter(), at, lcores)).toEqual([]);
  }
});

const PACKETS = 10_000;

/** A capture of numbered packets. */
function capture(): Buffer {
  const file = Buffer.alloc(24 + PACKETS * (16 + 64));
  file.writeUInt32LE(0xa1b2c3d4, 0);
  file.writeUInt16LE(2, 4);
  file.writeUInt16LE(4, 6);
  file.writeUInt32LE(65_535, 16);
  file.writeUInt32LE(1, 20);
  for (let i = 0; i < PACKETS; i++) {
    const at = 24 + i * 80;
    file.writeUInt32LE(64, at + 8);
    file.writeUInt32LE(64, at + 12);
    file.writeUInt32BE(i, at + 16 + 20);
  }
  return file;
}

test("a queue that goes back and forth between two lcores on one CPU: every packet, in order", async () => {
  const folder = mkdtempSync(join(tmpdir(), "balance-"));
  const [from, to] = [join(folder, "in.pcap"), join(folder, "out.pcap")];
  writeFileSync(from, capture());
  const argv = ["--in-memory", "--lcores", "0@0,1@0,2@0", "-m", "128", "--log-level=error"];
  const vdevs = [`--vdev=net_pcap0,rx_pcap=${from}`, `--vdev=net_pcap1,tx_pcap=${to}`];
  const eal = await ealInit([...argv, ...vdevs], { drivers });
  const pmd = new Pmd(eal, { ...defaultConfig(), nbCores: 2, burst: 1, totalMbufs: 4096 }, () => {});
  await pmd.startPorts();
  const { lcores } = await pmd.forwarding.start();
  expect(lcores.map(({ streams }) => streams.length)).toEqual([1, 1]);
  const stream = () => pmd.forwarding.units().find(([first]) => first!.rxPort === 0)!;
  let moves = 0;
  for (let last = -1; pmd.forwarding.counts(stream()[0]!).tx < PACKETS; moves++) {
    const id = stream()[0]!.lcoreId === 1 ? 2 : 1;
    expect(await pmd.forwarding.move(stream(), id)).toBe(true);
    expect(
      pmd.forwarding.arrangement!.lcores.find((lcore) => lcore.id === id)!.streams.map(({ rxPort }) => rxPort),
    ).toContain(0);
    const { tx } = pmd.forwarding.counts(stream()[0]!);
    if (tx === last) await sleep(1);
    last = tx;
  }
  expect(moves).toBeGreaterThan(2);
  expect(pmd.forwarding.counts(stream()[0]!)).toMatchObject({ rx: PACKETS, tx: PACKETS, dropped: 0 });
  await pmd.end();
  const out = readFileSync(to);
  expect(out.length).toBe(24 + PACKETS * 80);
  for (let i = 0; i < PACKETS; i++) expect(out.readUInt32BE(24 + i * 80 + 16 + 20)).toBe(i);
  rmSync(folder, { recursive: true });
}, 30_000);
