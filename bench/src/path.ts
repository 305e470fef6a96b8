// The path between two processes in packets a second: `npm start`'s program with the guest's side sending and the device's
// side receiving, 64 bytes with CRC, one polling lcore each. The demo accounts for every packet; a run that loses one
// without knowing where ends the bench.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Result, summarize } from "./measure.ts";
import { outputOf } from "./output-of.ts";

const DEMO = fileURLToPath(new URL("../../apps/testpmd/dist/demo/main.js", import.meta.url));
const RUNS = 5;
const SECONDS = 3;
const SECONDS_QUICK = 1;
const START_AND_DRAIN_MS = 30_000;

/** What the demo writes with --json, as far as it matters here. */
interface Report {
  ok: boolean;
  flows: Record<string, { sent: number; received: number; unaccounted: number; pps: number }>;
}

/** The figures, or why there are none. */
export async function pathBench(name: string, quick: boolean): Promise<Result[] | string> {
  if (!existsSync(DEMO)) return "apps/testpmd is not built (npm run build)";
  const rates: number[] = [];
  for (let run = 0; run < RUNS; run++) rates.push(await rateOf(quick ? SECONDS_QUICK : SECONDS));
  return [summarize(name, "packets/s", rates, [])];
}

async function rateOf(seconds: number): Promise<number> {
  const args = ["--seconds", `${seconds}`, "--mode", "guest-tx", "--size", "64", "--json"];
  const text = await outputOf(process.execPath, [DEMO, ...args], seconds * 1000 + START_AND_DRAIN_MS);
  const report = JSON.parse(text) as Report;
  const flows = Object.values(report.flows);
  const lost = flows.reduce((sum, { unaccounted }) => sum + Math.abs(unaccounted), 0);
  if (!report.ok || lost !== 0 || flows.length !== 1) throw new Error(`the demo's account is not in order: ${text}`);
  return flows[0]!.pps;
}
