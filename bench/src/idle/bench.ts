// `idle/...`: what idling costs and what it saves. A device that sends packets back, in each poll mode: the round trip of the
// first packet after a second without one, from a guest that polls, and the share of a core that the device's process (lcore
// and main thread) takes with a guest that sends nothing. The modes take turns.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { getAffinity } from "@emudev/linux";
import { logHistogram, quantile, type Result, summarize } from "../measure.ts";
import { TESTPMD } from "../peers/pairs.ts";
import { Testpmd } from "../peers/testpmd.ts";

/** Interrupt mode needs doorbells that make events: trapped ones. */
const MODES = [
  { name: "busy", doorbell: "mem" },
  { name: "adaptive", doorbell: "mem" },
  { name: "interrupt", doorbell: "fd" },
] as const;
const QUANTILES = { p50: 0.5, p90: 0.9, p99: 0.99, max: 1 } as const;
const TICKS_PER_SECOND = 100; // USER_HZ, the same on every Linux

/** The figures, or why there are none. */
export async function idleBench(name: string, quick: boolean): Promise<Result[] | string> {
  const cpus = getAffinity();
  if (cpus.length < 2) return "two CPUs are needed";
  const folder = mkdtempSync(join(tmpdir(), "idle-"));
  const rounds = quick ? 1 : 5;
  const samples = new Map(MODES.map((mode) => [mode.name, { trips: [] as number[], shares: [] as number[] }]));
  try {
    for (let round = 0; round < rounds; round++)
      for (let turn = 0; turn < MODES.length; turn++) {
        const mode = MODES[(turn + round) % MODES.length]!;
        const path = `${folder}/${mode.name}-${round}`;
        const { trips, share } = await oneRun(mode, path, cpus, quick ? 3 : 20, quick ? 1000 : 5000);
        samples.get(mode.name)!.trips.push(...trips);
        samples.get(mode.name)!.shares.push(share);
      }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return [...samples].flatMap(([mode, { trips, shares }]) => [
    ...Object.entries(QUANTILES).map(([label, share]): Result => {
      const result = {
        ...summarize(`${name}/${mode}/first-packet/${label}`, "us", trips, []),
        value: quantile(trips, share),
      };
      return label === "p50" ? { ...result, histogram: logHistogram(trips) } : result;
    }),
    summarize(`${name}/${mode}/cpu`, "% of a core", shares, []),
  ]);
}

async function oneRun(
  mode: (typeof MODES)[number],
  path: string,
  cpus: readonly number[],
  count: number,
  idleMs: number,
): Promise<{ trips: number[]; share: number }> {
  const eal = ["--lcores", `0@${cpus[0]},1@${cpus[0]}`, "--in-memory", `--poll-mode=${mode.name}`];
  const vdevs = [`--vdev=emu_iavf0,path=${path},id=0,doorbell=${mode.doorbell}`, "--vdev=net_avfbe0,id=0,avf_emu_id=0"];
  const app = ["-i", "--forward-mode=io", "--port-topology=loop"];
  const device = new Testpmd(process.execPath, [TESTPMD, ...eal, ...vdevs, "--", ...app]);
  try {
    await device.ready();
    await device.ask("start");
    const probe = fileURLToPath(new URL("./probe.js", import.meta.url));
    const guest = spawn(process.execPath, [probe, path, `${cpus[1]}`, `${count}`], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const closed = new Promise((resolve) => guest.on("close", resolve));
    try {
      const trips = await tripsOf(createInterface({ input: guest.stdout }));
      const lost = trips.filter((trip) => trip === null).length;
      if (trips.length !== count || lost > 0)
        throw new Error(
          `${mode.name}: ${lost} of ${trips.length} packets did not come back; the figure would mean nothing`,
        );
      // A second without traffic first, as the probe's last packet has only just gone.
      await sleep(1000);
      const before = cpuSeconds(device.pid);
      const from = performance.now();
      await sleep(idleMs);
      const share = (1e5 * (cpuSeconds(device.pid) - before)) / (performance.now() - from);
      return { trips: trips as number[], share };
    } finally {
      guest.stdin.end();
      await closed;
    }
  } finally {
    await device.quit();
  }
}

/** The line of JSON among those of the log. */
async function tripsOf(lines: AsyncIterable<string>): Promise<(number | null)[]> {
  for await (const line of lines) if (line.startsWith("[")) return JSON.parse(line) as (number | null)[];
  throw new Error("the guest's side has ended");
}

/** CPU time of all threads of a process (proc_pid_stat(5): utime, stime). */
function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
