// `scale/process/...`: what 64 devices of 4 queues each cost in one process (start, memory, fds), and what 63 of them do to the
// traffic of one while a single lcore polls all 256 queues: idle, one of them hostile (garbage in rings and tails), one
// resetting itself in a loop. The measure is the same device in a process of its own, in the same round, in turning order;
// the ratio is time by time (1.10 = a packet takes 10 % longer among neighbours). Devices poll on one CPU, all else is on
// another, also the guest that sends. Therefore, while the device by itself is measured, a guest that does the same at the same
// pace has a device of a third process (the control): the sender loses as much of its CPU, the measured lcore nothing.
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { getAffinity } from "@emudev/linux";
import { type Result, summarize } from "../measure.ts";
import { DeviceProcess, type Rate } from "./device.ts";
import type { Request } from "./guests.ts";

const DEVICES = 64;
/** Devices of the control's process: one to be hostile to, one to reset. */
const CONTROLS = 2;
const GUESTS = fileURLToPath(new URL("./guests.js", import.meta.url));
const ROUNDS = 9;
const SETTLE_MS = 200;
const MEASURE_MS = 1000;

/** Neighbours, and the size of packets that they are measured with. */
const CASES: readonly { name: string; does: Request; bytes: number }[] = [
  { name: "idle-64", does: "idle", bytes: 60 },
  { name: "idle-1518", does: "idle", bytes: 1514 },
  { name: "hostile-1518", does: "hostile", bytes: 1514 },
  { name: "resetting-1518", does: "resetting", bytes: 1514 },
];

/** The figures, or why there are none. */
export async function scaleBench(name: string, quick: boolean): Promise<Result[] | string> {
  const [first, second] = getAffinity();
  if (first === undefined || second === undefined) return "two CPUs are needed";
  const cpus = [first, second] as const;
  const folder = mkdtempSync(join(tmpdir(), "scale-"));
  const alone = mkdtempSync(join(tmpdir(), "scale-"));
  const aside = mkdtempSync(join(tmpdir(), "scale-"));
  const undo: (() => Promise<void>)[] = [];
  try {
    const one = await DeviceProcess.start(1, alone, cpus);
    undo.push(() => one.quit());
    const many = await DeviceProcess.start(DEVICES, folder, cpus);
    undo.push(() => many.quit());
    const guests = await Guests.start(cpus[1], folder, 1, DEVICES - 1);
    undo.push(() => guests.quit());
    const results = await costs(name, one, many);
    if (quick) return results;
    const other = await DeviceProcess.start(CONTROLS, aside, cpus);
    undo.push(() => other.quit());
    const control = await Guests.start(cpus[1], aside, 0, CONTROLS);
    undo.push(() => control.quit());
    for (const bytes of [60, 1514]) {
      for (const process of [one, many]) await process.connect(cpus[1], bytes);
      for (const { name: neighbours, does } of CASES.filter((entry) => entry.bytes === bytes))
        results.push(...(await compare(`${name}/${neighbours}`, { one, many, guests, control }, does)));
      for (const process of [one, many]) await process.disconnect();
    }
    return results;
  } finally {
    for (const step of undo.reverse()) await step();
    for (const path of [folder, alone, aside]) rmSync(path, { recursive: true, force: true });
  }
}

/** Of the process with all devices; a device's share is what the others, whose guests are connected, add to the first. */
async function costs(name: string, one: DeviceProcess, many: DeviceProcess): Promise<Result[]> {
  const [few, all] = [await one.cost(), await many.cost()];
  const each = (what: "rss" | "arena" | "fds" | "startMs"): number => (all[what] - few[what]) / (DEVICES - 1);
  const figure = (what: string, unit: string, value: number): Result => ({
    ...{ name: `${name}/${what}`, value, unit, ratio: null, spread: 0 },
  });
  return [
    figure("start", "ms", all.startMs),
    figure("start-device", "ms/device", each("startMs")),
    figure("rss", "MiB", all.rss),
    figure("rss-device", "MiB/device", each("rss")),
    figure("arena-device", "MiB/device", each("arena")),
    figure("fds-device", "fds/device", each("fds")),
  ];
}

/** Who takes part: the device alone with the control's guests, the same device among many with theirs. */
interface Sides {
  one: DeviceProcess;
  control: Guests;
  many: DeviceProcess;
  guests: Guests;
}

/** Its rate, the lcore's time for a packet, and how often a second the neighbours did what they do: alone by among, or inverse. */
async function compare(name: string, { one, control, many, guests }: Sides, does: Request): Promise<Result[]> {
  const measured = async (device: DeviceProcess, neighbours: Guests): Promise<Rate & { pace: number }> => {
    const begun = performance.now();
    const before = await neighbours.ask(does);
    const rate = await device.rate(SETTLE_MS, MEASURE_MS);
    const turns = (await neighbours.ask("idle")) - before;
    if (does !== "idle" && turns === 0) throw new Error(`${name}: the neighbour did nothing`);
    return { ...rate, pace: (1000 * turns) / (performance.now() - begun) };
  };
  const rounds: { alone: Rate & { pace: number }; among: Rate & { pace: number } }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    if (round % 2 === 0) {
      const alone = await measured(one, control);
      rounds.push({ alone, among: await measured(many, guests) });
    } else {
      const among = await measured(many, guests);
      rounds.push({ alone: await measured(one, control), among });
    }
  }
  const figure = (what: string, unit: string, of: keyof Rate | "pace", inverse: boolean): Result => {
    const ratios = rounds.map(({ alone, among }) => (inverse ? among[of] / alone[of] : alone[of] / among[of]));
    const values = rounds.map(({ among }) => among[of]);
    return summarize(`${name}${what}`, unit, values, ratios);
  };
  const results = [figure("", "packets/s", "perSecond", false), figure("/lcore", "ns/packet", "nsPerPacket", true)];
  return does === "idle" ? results : [...results, figure("/pace", "turns/s", "pace", false)];
}

/** A process of neighbours. */
class Guests {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Of `count` devices from number `first` on. */
  static async start(cpu: number, folder: string, first: number, count: number): Promise<Guests> {
    const child = fork(GUESTS, [`${cpu}`, `${first}`, `${count}`, folder], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const guests = new Guests(child);
    await guests.#answer();
    return guests;
  }

  /** What they do from now on; answers with the turns that the active one has made so far. */
  async ask(request: Request): Promise<number> {
    const answer = this.#answer();
    this.#child.send(request, () => {}); // a process that has ended is told by its answer
    return Number(await answer);
  }

  async quit(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.send("quit");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    await gone;
    clearTimeout(timer);
  }

  #answer(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const over = (): void => reject(new Error("the neighbours' process has ended"));
      this.#child.once("exit", over);
      this.#child.once("message", (answer) => {
        this.#child.off("exit", over);
        resolve(answer);
      });
    });
  }
}
