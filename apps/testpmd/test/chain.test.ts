// The proof of reconnection: two drivers that send each other numbered packets, and between them a server process with a device
// and a state file for each, which forwards (mode io). The server is ended in order, or killed at random instants, again and
// again under full traffic. Ended in order, every number arrives once and in order; killed, every number arrives, and no more
// than a burst of each queue and direction twice. `EMUDEV_SEED` chooses the instants, `EMUDEV_CHAIN_ROUNDS` how many there are.
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { getAffinity } from "@emudev/linux";
import fc from "fast-check";
import { afterAll, afterEach, expect, it } from "vitest";
import { MAIN, Program, TWO_LCORES } from "./program.ts";

const END = new URL("./chain-end.mjs", import.meta.url).pathname;
const folder = mkdtempSync("/tmp/emudev-chain-");
const QUEUES = 2;
const BURST = 32;
/** One driver writes tails into mapped pages, the other rings eventfds. */
const DOORBELLS = ["mem", "fd"];
const ROUNDS = Number(process.env.EMUDEV_CHAIN_ROUNDS ?? 3);
const PROMPT = /testpmd> /; // events are printed behind it
const seed = fc.readConfigureGlobal().seed ?? 1;
const cpus = getAffinity();

interface Counters {
  sent: number;
  acked: number;
  next: number;
  doubles: number;
  missing: number;
  reordered: number;
  received: number;
  strange: number;
}
interface Report {
  connection: string;
  up: boolean;
  queues: Counters[];
  events: string[];
}

/** A driver's process. */
class End {
  readonly child: ChildProcess;
  readonly ready: Promise<unknown>;
  readonly #waiting = new Map<number, (answer: unknown) => void>();
  #next = 0;

  constructor(path: string) {
    const lcores = `0@${cpus[0]},1@${cpus.at(-1)}`;
    this.child = fork(END, [`net_iavf0,path=${path}`, `${QUEUES}`, "--lcores", lcores, "--log-level", "error"]);
    this.child.on("message", ({ id, answer }: { id: number; answer: unknown }) => this.#waiting.get(id)?.(answer));
    this.ready = new Promise((resolve) => this.#waiting.set(0, resolve));
  }

  ask<T = Report>(what: "send" | "rest" | "report" | "end"): Promise<T> {
    const id = ++this.#next;
    this.child.send({ id, what });
    return new Promise((resolve) => this.#waiting.set(id, resolve as (answer: unknown) => void));
  }
}

const servers: Program[] = [];
let ends: End[] = [];
afterEach(() => {
  for (const program of servers.splice(0)) program.kill();
  for (const { child } of ends.splice(0)) child.kill("SIGKILL");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function startServer(): Promise<Program> {
  const vdevs = ["a", "b"].flatMap((name, id) => [
    `--vdev=emu_iavf${id},path=${folder}/${name},id=${id},queues=${QUEUES},state=${folder}/${name}.state,doorbell=${DOORBELLS[id]}`,
    `--vdev=net_avfbe${id},id=${id},avf_emu_id=${id},rss=0`,
  ]);
  const app = ["-i", "--forward-mode=io", `--burst=${BURST}`, `--rxq=${QUEUES}`, `--txq=${QUEUES}`];
  const program = new Program(MAIN, ["--in-memory", "-m", "128", ...TWO_LCORES, ...vdevs, "--", ...app]);
  servers.push(program);
  await program.expect(PROMPT);
  return program;
}

const reports = (): Promise<Report[]> => Promise.all(ends.map((end) => end.ask("report")));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what: string, holds: (all: Report[]) => boolean): Promise<Report[]> {
  let last: Report[] = [];
  for (let i = 0; i < 1000; i++) {
    last = await reports();
    if (holds(last)) return last;
    await pause(5);
  }
  throw new Error(`still waiting: ${what}; ${JSON.stringify(last)}`);
}

const connected = (all: Report[]): boolean => all.every(({ connection, up }) => connection === "connected" && up);
const sum = (all: Report[], name: keyof Counters): number =>
  all.flatMap(({ queues }) => queues).reduce((total, queue) => total + queue[name], 0);

/** Forwards once both drivers can take packets; resolves when packets have passed on every queue. */
async function forward(server: Program): Promise<Report[]> {
  const before = await until("both drivers to be connected", connected);
  await server.ask("start", PROMPT);
  const passed = (all: Report[]): boolean =>
    all.every(({ queues }, e) => queues.every(({ next }, q) => next > before[e]!.queues[q]!.next + 500));
  return until("packets on every queue", passed);
}

it("loses no packet by a server that ends in order or is killed, and doubles a burst at most", {
  timeout: 60_000 + 10_000 * ROUNDS,
}, async () => {
  // Mulberry32
  let s = seed;
  const random = (): number => {
    s = (s + 0x6d2b79f5) | 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  let server = await startServer();
  ends = ["a", "b"].map((name) => new End(`${folder}/${name}`));
  await Promise.all(ends.map(({ ready }) => ready));
  for (const end of ends) await end.ask("send");

  let before = await forward(server);
  /** After a round with so many kills. */
  const check = (now: Report[], kills: number): void => {
    for (const [e, { queues, events }] of now.entries()) {
      expect(events).toEqual([]);
      for (const [q, { missing, reordered, strange, doubles }] of queues.entries()) {
        expect({ missing, reordered, strange }).toEqual({ missing: 0, reordered: 0, strange: 0 });
        expect(doubles - before[e]!.queues[q]!.doubles).toBeLessThanOrEqual(kills * BURST);
      }
    }
    before = now;
  };
  const kill = async (within: number): Promise<void> => {
    await pause(random() * within);
    server.child.kill("SIGKILL");
    await server.exit;
    server = await startServer();
  };
  for (let round = 0; round < ROUNDS; round++) {
    const kills = round % 3;
    if (kills > 0) await kill(40);
    if (kills > 1) await kill(60); // while the drivers take their devices up
    if (kills === 0) {
      server.child.kill("SIGTERM");
      expect((await server.exit).signal, server.errors).toBeNull();
      server = await startServer();
    }
    check(await forward(server), kills);
  }
  for (const end of ends) await end.ask("rest");
  const whole = (all: Report[]): boolean =>
    all.every(({ queues }, e) => queues.every(({ next }, q) => next === all[1 - e]!.queues[q]!.sent));
  const last = await until("the last packets", whole);
  check(last, 0);
  for (const end of ends) expect(await end.ask("end")).toEqual({ inUse: 0 });
  server.child.stdin.end("quit\n");
  expect((await server.exit).code, server.errors).toBe(0);
  if (process.env.EMUDEV_CHAIN_ROUNDS !== undefined)
    console.log(`seed ${seed}: ${ROUNDS} rounds, ${sum(last, "received")} packets, ${sum(last, "doubles")} doubled`);
});
