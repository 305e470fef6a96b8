// `latency/...`: round trips of packets through a device that sends every packet back, at full load and at 10, 50 and 90 % of
// it: ours over vfio-user, and DPDK's over vhost and virtio_user in the same run, in turning order. A run in which one packet in a
// hundred stays away fails. The ratio is our time by DPDK's at the same share of each one's own full load.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { getAffinity } from "@emudev/linux";
import { compileDpdk } from "../dpdk.ts";
import { median, type Result, summarize } from "../measure.ts";
import { outputOf } from "../output-of.ts";
import { withHugePages } from "../peers/huge-pages.ts";
import { dpdkArgs, dpdkMissing, oursArgs, type Side } from "../peers/pairs.ts";
import { Testpmd } from "../peers/testpmd.ts";
import { SHARES, type Trips } from "./trips.ts";

const SIZES = [64, 1518];
const QUANTILES = ["p50", "p99", "p999"] as const;
const ROUNDS = 3;
const MS = 1000;
const TRIPS_MS = 60_000;
const HUGE_PAGES = 768;

type Runner = (size: number, round: number) => Promise<Trips[]>;

/** The figures, or why there are none. */
export async function latencyBench(name: string): Promise<Result[] | string> {
  const cpus = getAffinity();
  if (cpus.length < 2) return "two CPUs are needed";
  const probe = compileDpdk("dpdk-probe");
  const missing = dpdkMissing() ?? ("missing" in probe ? probe.missing : undefined);
  if (missing !== undefined) console.error(`${name}: without DPDK beside it: ${missing}`);
  const folder = mkdtempSync(join(tmpdir(), "latency-"));
  const runners: Record<string, Runner> = {
    "vfio-user": (size, round) => ours(size, cpus, `${folder}/a${size}-${round}`),
  };
  if (missing === undefined && "program" in probe)
    runners.vhost = (size, round) => dpdks(probe.program, size, cpus, `${folder}/v${size}-${round}`);
  try {
    const measure = async (): Promise<Result[]> => {
      const results: Result[] = [];
      for (const size of SIZES) results.push(...(await atSize(name, size, runners)));
      return results;
    };
    return await (missing === undefined ? withHugePages(HUGE_PAGES, measure) : measure());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function atSize(name: string, size: number, runners: Record<string, Runner>): Promise<Result[]> {
  const names = Object.keys(runners);
  const trips = new Map(names.map((who): [string, Trips[][]] => [who, []]));
  for (let round = 0; round < ROUNDS; round++)
    for (let turn = 0; turn < names.length; turn++) {
      const who = names[(turn + round) % names.length]!;
      trips.get(who)!.push(checked(who, await runners[who]!(size, round)));
    }
  return names.flatMap((who) =>
    [1, ...SHARES].flatMap((share, at) =>
      (share === 1 ? (["p50"] as const) : QUANTILES).map((quantile) => {
        const own = trips.get(who)!.map((round) => round[at]![quantile]);
        const peer = who === "vfio-user" ? trips.get("vhost")?.map((round) => round[at]![quantile]) : undefined;
        const ratio = peer === undefined ? [] : [median(own) / median(peer)];
        const result = summarize(`${name}/${who}-${size}/${100 * share}%/${quantile}`, "us", own, ratio);
        return quantile === "p50"
          ? { ...result, histogram: middle(trips.get(who)!.map((round) => round[at]!)) }
          : result;
      }),
    ),
  );
}

/** The histogram of the round whose median is the median of all rounds'. */
function middle(rounds: readonly Trips[]): Trips["histogram"] {
  const sorted = [...rounds].sort((a, b) => a.p50 - b.p50);
  return sorted[sorted.length >> 1]!.histogram;
}

function checked(who: string, trips: Trips[]): Trips[] {
  // At full load the device drops what the way back does not take.
  const wrong = trips.find(({ share, sent, received }) => sent === 0 || received < (share === 1 ? 0.1 : 0.99) * sent);
  if (trips.length !== 1 + SHARES.length || wrong !== undefined)
    throw new Error(
      `${who}: ${JSON.stringify(wrong ?? trips)}: too few packets came back; the figure would mean nothing`,
    );
  return trips;
}

async function ours(size: number, cpus: readonly number[], path: string): Promise<Trips[]> {
  const devices = [`emu_iavf0,path=${path},id=0`, "net_avfbe0,id=0,avf_emu_id=0"];
  const probe = fileURLToPath(new URL("./probe.js", import.meta.url));
  return between(
    oursArgs(cpus[0]!, devices, echo()),
    process.execPath,
    [probe, path, cpus[1]!, size - 4, MS].map(String),
  );
}

async function dpdks(program: string, size: number, cpus: readonly number[], path: string): Promise<Trips[]> {
  const eal = [
    "--lcores",
    `0@${cpus[1]}`,
    "--no-pci",
    "--no-telemetry",
    "--single-file-segments",
    "--in-memory",
    "-m",
    "256",
  ];
  const args = [...eal, `--vdev=net_virtio_user0,path=${path},queue_size=1024`, "--", `${size - 4}`, `${MS}`];
  return between(dpdkArgs(cpus[0]!, `net_vhost0,iface=${path}`, echo()), program, [...args, ...SHARES.map(String)]);
}

const echo = (): string[] => [
  "-i",
  "--forward-mode=io",
  "--port-topology=loop",
  "--rxd=1024",
  "--txd=1024",
  "--total-num-mbufs=16384",
];

/** Runs the device, then the probe to its end; its lines are the trips. */
async function between(device: Side, probe: string, args: readonly string[]): Promise<Trips[]> {
  const testpmd = new Testpmd(device.command, device.args);
  try {
    await testpmd.ready();
    await testpmd.ask("start");
    const text = await outputOf(probe, args, TRIPS_MS);
    const lines = text.split("\n").filter((line) => line.startsWith('{"share"'));
    return lines.map((line) => JSON.parse(line) as Trips);
  } finally {
    await testpmd.quit();
  }
}
