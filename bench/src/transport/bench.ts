// `transport/...`: what a vfio-user server costs its client, ours beside a C server that does the same and no more, in the
// same run, with the same client, in turning order (A B C, C B A). Servers on one CPU, the client on another. The ratio is
// that to the blocking C server in the same round, also where ours polls; beside that stands a C server which polls too.
// The value is the median over the rounds.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getAffinity } from "@emudev/linux";
import { type Result, summarize } from "../measure.ts";
import { nativeMissing } from "../native.ts";
import { type Cpus, type Figures, measure, type Server, startC, startOurs } from "./peers.ts";

interface Job {
  name: string;
  job: string;
  /** Operations of one run, and of a quick one. */
  count: number;
  quick: number;
  spin?: boolean;
  poll?: boolean;
  /** Of a run: what is shown of it. */
  figures: readonly { name: string; unit: string; of(figures: Figures, count: number): number }[];
}

const LATENCIES: Job["figures"] = [
  { name: "p50", unit: "ns", of: ({ p50 }) => p50 },
  { name: "p99", unit: "ns", of: ({ p99 }) => p99 },
  { name: "p99.9", unit: "ns", of: ({ p999 }) => p999 },
];
const each = (unit: string): Job["figures"] => [{ name: "each", unit, of: ({ total }, count) => total / count }];

const JOBS: readonly Job[] = [
  { name: "read", job: "read", count: 10_000, quick: 2000, figures: LATENCIES },
  { name: "write", job: "write", count: 10_000, quick: 2000, figures: LATENCIES },
  { name: "poll-read", job: "read", count: 10_000, quick: 2000, poll: true, figures: LATENCIES },
  { name: "poll-write", job: "write", count: 10_000, quick: 2000, poll: true, figures: LATENCIES },
  { name: "poll-read-spin", job: "read", count: 10_000, quick: 2000, poll: true, spin: true, figures: LATENCIES },
  { name: "poll-write-spin", job: "write", count: 10_000, quick: 2000, poll: true, spin: true, figures: LATENCIES },
  { name: "posted-write", job: "post", count: 20_000, quick: 5000, figures: each("ns/write") },
  { name: "map-unmap", job: "map", count: 1000, quick: 200, figures: each("ns/pair") },
  { name: "connect", job: "connect", count: 50, quick: 10, figures: [{ ...LATENCIES[0]!, name: "ready" }] },
];
const ROUNDS = 9;
const ROUNDS_QUICK = 3;

/** The figures, or why there are none. */
export async function transportBench(name: string, quick: boolean): Promise<Result[] | string> {
  const missing = nativeMissing();
  if (missing !== undefined) return missing;
  const [first, second] = getAffinity();
  if (first === undefined || second === undefined) return "two CPUs are needed";
  const cpus: Cpus = [first, second];
  const folder = mkdtempSync(join(tmpdir(), "transport-"));
  const servers: Server[] = [];
  const start = async (server: Promise<Server>): Promise<string> => {
    servers.push(await server);
    return servers.at(-1)!.path;
  };
  try {
    const c = await start(startC(join(folder, "c.sock"), cpus, false));
    const polls = await start(startC(join(folder, "c-polls.sock"), cpus, true));
    const ours = await start(startOurs(join(folder, "ours.sock"), cpus, false));
    const oursPolls = await start(startOurs(join(folder, "ours-polls.sock"), cpus, true));
    const results: Result[] = [];
    for (const job of JOBS) {
      const others: Record<string, string> = job.poll ? { "": oursPolls, "c-": polls } : { "": ours };
      results.push(...(await resultsOf(name, job, c, others, cpus, quick)));
    }
    return results;
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `others` by what comes before the figure's name; their ratio is to `c`. */
async function resultsOf(
  name: string,
  job: Job,
  c: string,
  others: Record<string, string>,
  cpus: Cpus,
  quick: boolean,
): Promise<Result[]> {
  const count = quick ? job.quick : job.count;
  const paths = [c, ...Object.values(others)];
  const rounds: Figures[][] = [];
  // The first round warms up the compiler.
  for (let round = -1; round < (quick ? ROUNDS_QUICK : ROUNDS); round++) {
    const figures: Figures[] = [];
    const order = round % 2 === 0 ? paths.keys() : [...paths.keys()].reverse();
    for (const i of order) figures[i] = await measure(paths[i] as string, cpus, job.job, count, job.spin === true);
    if (round >= 0) rounds.push(figures);
  }
  return Object.keys(others).flatMap((prefix, i) =>
    job.figures.map(({ name: figure, unit, of }) => {
      const values = rounds.map((round) => of(round[i + 1] as Figures, count));
      const ratios = rounds.map((round, n) => (values[n] as number) / of(round[0] as Figures, count));
      return summarize(`${name}/${job.name}-${prefix}${figure}`, unit, values, ratios);
    }),
  );
}
