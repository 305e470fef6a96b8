// `idle/...`: what idling costs and what it saves. A device that sends packets back, in each poll mode: the round trip of the
// first packet after a second without one, from a guest that polls, and the share of a core that the device's process (lcore
// and main thread) takes with a guest that sends nothing. The modes take turns.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getAffinity } from "@emudev/linux";
import { logHistogram, quantile, type Result, summarize } from "../measure.ts";
import { type IdleMode, idleRun } from "./run.ts";

/** Interrupt mode needs doorbells that make events: trapped ones. */
const MODES = [
  { name: "busy", doorbell: "mem" },
  { name: "adaptive", doorbell: "mem" },
  { name: "interrupt", doorbell: "fd" },
] as const satisfies readonly IdleMode[];
const QUANTILES = { p50: 0.5, p90: 0.9, p99: 0.99, max: 1 } as const;

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
        const { trips, share } = await idleRun(mode, path, cpus, quick ? 3 : 20, quick ? 1000 : 10_000);
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
