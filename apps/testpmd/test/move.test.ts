// Queues of real devices that change lcores under traffic: two drivers in processes of their own send each other numbered packets
// (chain-end.mjs) through two devices of this process, which forwards between them on two lcores. Whatever moves when, every
// number arrives once and in order; a driver that dies, forwarding that stops and ports that go in the middle of a move harm
// nobody. Then the timer and its commands, on ports that always have packets.
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Eal, ealInit } from "@emudev/eal";
import { getAffinity, setAffinity } from "@emudev/linux";
import { afterEach, expect, test } from "vitest";
import { PARSER } from "../src/commands/index.ts";
import { defaultConfig } from "../src/control/config.ts";
import { DRIVERS } from "../src/drivers.ts";
import { Pmd } from "../src/pmd.ts";

const END = new URL("./chain-end.mjs", import.meta.url).pathname;
const QUEUES = 2;
const MOVES = 150;
const cpus = getAffinity();
const LCORES = ["--lcores", `0@${cpus[0]},1@${cpus[0]},2@${cpus.at(-1)}`];

interface Report {
  up: boolean;
  queues: { sent: number; next: number; doubles: number; missing: number; reordered: number; strange: number }[];
}

/** A driver's process. */
class End {
  readonly child: ChildProcess;
  readonly ready: Promise<unknown>;
  readonly #waiting = new Map<number, (answer: unknown) => void>();
  #next = 0;

  constructor(path: string) {
    const lcores = `0@${cpus[0]},1@${cpus.at(-1)}`;
    const own = getAffinity();
    setAffinity(cpus); // of this thread, which is a main lcore by now; the child inherits it
    this.child = fork(END, [`net_iavf0,path=${path}`, `${QUEUES}`, "--lcores", lcores, "--log-level", "error"]);
    setAffinity(own);
    this.child.on("message", ({ id, answer }: { id: number; answer: unknown }) => this.#waiting.get(id)?.(answer));
    this.ready = new Promise((resolve) => this.#waiting.set(0, resolve));
  }

  ask<T = Report>(what: "send" | "rest" | "report" | "end"): Promise<T> {
    const id = ++this.#next;
    this.child.send({ id, what });
    return new Promise((resolve) => this.#waiting.set(id, resolve as (answer: unknown) => void));
  }
}

let folder: string | undefined;
let ends: End[] = [];
let app: { eal: Eal; pmd: Pmd; text: () => string } | undefined;
afterEach(async () => {
  for (const { child } of ends) child.kill("SIGKILL");
  ends = [];
  await app?.pmd.end();
  app = undefined;
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  folder = undefined;
});

async function start(vdevs: readonly string[], more: Partial<ReturnType<typeof defaultConfig>>) {
  const argv = ["--in-memory", ...LCORES, "-m", "128", "--log-level=critical", ...vdevs.map((v) => `--vdev=${v}`)];
  const eal = await ealInit(argv, { drivers: DRIVERS });
  let text = "";
  const pmd = new Pmd(eal, { ...defaultConfig(), nbCores: 2, totalMbufs: 8192, ...more }, (part) => {
    text += part;
  });
  app = { eal, pmd, text: () => text };
  await pmd.startPorts();
  return app;
}

async function until<T>(what: string, get: () => Promise<T> | T, holds: (value: T) => boolean): Promise<T> {
  for (let i = 0; i < 2000; i++) {
    const value = await get();
    if (holds(value)) return value;
    await sleep(5);
  }
  throw new Error(`still waiting: ${what}`);
}

test("every packet once and in order while queues of two devices go from lcore to lcore, and when one's driver dies", async () => {
  const run = mkdtempSync(join(tmpdir(), "move-"));
  folder = run;
  const paths = ["a", "b"].map((name) => join(run, name));
  const vdevs = paths.flatMap((path, id) => [
    `emu_iavf${id},path=${path},id=${id},queues=${QUEUES}`,
    `net_avfbe${id},id=${id},avf_emu_id=${id},rss=0`,
  ]);
  const { pmd } = await start(vdevs, { rxq: QUEUES, txq: QUEUES });
  ends = paths.map((path) => new End(path));
  await Promise.all(ends.map(({ ready }) => ready));
  const reports = () => Promise.all(ends.map((end) => end.ask("report")));
  await until("both links", reports, (all) => all.every(({ up }) => up));
  await pmd.forwarding.start();
  for (const end of ends) await end.ask("send");

  // All in turn, now and then two at once: the timer never does that, but it must not matter.
  const units = () => pmd.forwarding.units();
  let moves = 0;
  const moveSome = async (): Promise<void> => {
    const all = units();
    const unit = all[moves % all.length]!;
    const other = all[(moves + 1) % all.length]!;
    const away = ([stream]: typeof unit): number => (stream!.lcoreId === 1 ? 2 : 1);
    const both = [pmd.forwarding.move(unit, away(unit))];
    if (moves % 5 === 0) both.push(pmd.forwarding.move(other, away(other)));
    expect(await Promise.all(both)).not.toContain(false);
    moves += both.length;
  };
  const first = await reports();
  let last = first;
  const passed = (): boolean =>
    last.every(({ queues }, e) => queues.every(({ next }, q) => next > first[e]!.queues[q]!.next + 5000));
  while (moves < MOVES || !passed()) {
    await moveSome();
    if (moves % 10 === 0) last = await reports();
  }
  for (const { queues } of await reports())
    for (const { missing, reordered, strange, doubles } of queues)
      expect({ missing, reordered, strange, doubles }).toEqual({ missing: 0, reordered: 0, strange: 0, doubles: 0 });
  for (const end of ends) await end.ask("rest");
  await until("the last packets", reports, (all) =>
    all.every(({ queues }, e) => queues.every(({ next }, q) => next === all[1 - e]!.queues[q]!.sent)),
  );
  const owned = pmd.forwarding.arrangement!.lcores.flatMap(({ streams }) => streams);
  expect(owned.map(({ rxPort, rxQueue }) => `${rxPort}/${rxQueue}`).sort()).toEqual(["0/0", "0/1", "1/0", "1/1"]);

  // One driver dies while its queues move; what is left of the other's is moved on.
  await ends[0]!.ask("send");
  await ends[1]!.ask("send");
  ends[0]!.child.kill("SIGKILL");
  for (const stop = moves + 30; moves < stop; ) await moveSome();
  await until(
    "the link of the one that died",
    () => pmd.ports.get(0).linkGet().up,
    (up) => !up,
  );
  for (const stop = moves + 10; moves < stop; ) await moveSome();
  expect(pmd.ports.get(1).linkGet().up).toBe(true);
}, 40_000);

test("forwarding that stops, and ports that are removed, in the middle of a move", async () => {
  const { pmd, eal } = await start(["net_null0", "net_null1"], {});
  for (let round = 0; round < 5; round++) {
    await pmd.forwarding.start();
    const [unit] = pmd.forwarding.units();
    const move = pmd.forwarding.move(unit!, unit![0]!.lcoreId === 1 ? 2 : 1);
    const stopped = pmd.forwarding.stop();
    expect(await move).toBe(false);
    await stopped;
    expect(await pmd.forwarding.move(unit!, 1)).toBe(false);
  }
  await pmd.forwarding.start();
  const [unit] = pmd.forwarding.units();
  const move = pmd.forwarding.move(unit!, unit![0]!.lcoreId === 1 ? 2 : 1);
  await pmd.forwarding.stop();
  for (const dev of pmd.ports.all()) {
    await pmd.ports.stop(dev);
    await pmd.ports.close(dev);
  }
  expect(await move).toBe(false);
  // New ports, the same lcores.
  for (const name of ["net_null2", "net_null3"]) await eal.vdev.attach(name);
  await pmd.startPorts();
  await pmd.forwarding.start();
  await until(
    "packets of both new ports",
    () => pmd.forwarding.units().flat(),
    (streams) => streams.length === 2 && streams.every((stream) => pmd.forwarding.counts(stream).tx > 0),
  );
});

test("the timer takes from a full lcore what an idle one can have, and the commands show and end it", async () => {
  const names = Array.from({ length: 4 }, (_, i) => `net_null${i}`);
  const { pmd, text } = await start(names, { mode: "rxonly" });
  const command = async (line: string): Promise<string> => {
    const from = text().length;
    const { command: found, args } = PARSER.parse(line)!;
    await found.run(pmd, args);
    return text().slice(from);
  };
  await expect(command("show rxq-assignment")).rejects.toThrow("never started");
  await expect(command("set lcore-rebalance 9")).rejects.toThrow("milliseconds from 10");
  await pmd.startForwarding();
  const places = (shown: string): string[] => [...shown.matchAll(/RX P=(\d)\/Q=0/g)].map(([, port]) => port!).sort();
  const before = await command("show rxq-assignment");
  expect(before).toContain("Rebalancing: off, 0 streams moved so far");
  expect(places(before)).toEqual(["0", "1", "2", "3"]);
  for (const unit of pmd.forwarding.units()) await pmd.forwarding.move(unit, 1);
  expect(await command("show rxq-assignment")).toMatch(/Logical Core 1: 4 streams[\s\S]*Logical Core 2: 0 streams/);

  await command("set lcore-rebalance 20");
  await until(
    "a move",
    () => pmd.rebalancer.moves,
    (moves) => moves > 0,
  );
  const after = await command("show rxq-assignment");
  expect(after).toMatch(/Rebalancing: every 20 ms, [1-9]\d* streams moved so far/);
  expect(after).not.toContain("Logical Core 2: 0 streams");
  expect(places(after)).toEqual(["0", "1", "2", "3"]);

  await command("set lcore-rebalance off");
  const { moves } = pmd.rebalancer;
  for (const unit of pmd.forwarding.units()) await pmd.forwarding.move(unit, 1);
  await sleep(100);
  expect(pmd.rebalancer.moves).toBe(moves);
  expect(await command("show rxq-assignment")).toMatch(/Rebalancing: off[\s\S]*Logical Core 2: 0 streams/);
  // The timer outlives forwarding that stops and starts again, and then has nothing of the old streams.
  await command("set lcore-rebalance 10");
  for (let round = 0; round < 3; round++) {
    await pmd.stopForwarding();
    await sleep(30);
    await pmd.startForwarding();
    for (const unit of pmd.forwarding.units()) await pmd.forwarding.move(unit, 2);
    const from = pmd.rebalancer.moves;
    await until(
      "another move",
      () => pmd.rebalancer.moves,
      (count) => count > from,
    );
  }
}, 30_000);
