// All benches by name, in the order they run.
import type { Arena } from "@emudev/shm";
import { gcBench } from "./gc/bench.ts";
import { guestBench } from "./guest.ts";
import { idleBench } from "./idle/bench.ts";
import { latencyBench } from "./latency/bench.ts";
import { type Effort, QUICK, type Result } from "./measure.ts";
import { burstBenches } from "./micro/burst.ts";
import { forwardBench } from "./micro/forward.ts";
import { headerBenches } from "./micro/header.ts";
import { mempoolBenches } from "./micro/mempool.ts";
import { offloadBenches } from "./micro/offload.ts";
import { ringBenches } from "./micro/ring.ts";
import { pairBench } from "./pair/bench.ts";
import { pathBench } from "./path.ts";
import { PATH_SIZES, pathMatrix } from "./path-matrix.ts";
import { PEER_SIZES, peersBench } from "./peers/bench.ts";
import { ringsBench } from "./rings/bench.ts";
import { twoThreadsBench } from "./rings/two-threads.ts";
import { scaleBench } from "./scale/bench.ts";
import { neighboursBench } from "./scale/neighbours.ts";
import { transportBench } from "./transport/bench.ts";

export interface BenchEntry {
  name: string;
  /** The figures, or a sentence that says why there are none. */
  run(arena: Arena, effort: Effort): Result[] | string | Promise<Result[] | string>;
}

const PATH = "path/guest-tx-64";

export const benches: readonly BenchEntry[] = [
  ...ringBenches,
  twoThreadsBench,
  ringsBench,
  ...mempoolBenches,
  ...burstBenches,
  ...headerBenches,
  ...offloadBenches,
  { name: "fwd", run: (arena, effort) => forwardBench(arena, "fwd", effort) },
  { name: PATH, run: (_arena, effort) => pathBench(PATH, effort === QUICK) },
  ...PATH_SIZES.map((size) => ({
    name: `path-${size}`,
    run: (_arena: Arena, effort: Effort) => (effort === QUICK ? "only in the long form" : pathMatrix("path", size)),
  })),
  { name: "gc", run: (_arena, effort) => (effort === QUICK ? "only in the long form" : gcBench("gc", false)) },
  { name: "idle", run: (_arena, effort) => idleBench("idle", effort === QUICK) },
  { name: "pair", run: (_arena, effort) => pairBench("pair", effort === QUICK) },
  { name: "transport", run: (_arena, effort) => transportBench("transport", effort === QUICK) },
  { name: "scale/turn", run: (arena, effort) => neighboursBench(arena, "scale/turn", effort) },
  { name: "scale/process", run: (_arena, effort) => scaleBench("scale/process", effort === QUICK) },
  { name: "latency", run: (_arena, effort) => (effort === QUICK ? "only in the long form" : latencyBench("latency")) },
  {
    name: "guest/linux",
    run: (_arena, effort) => (effort === QUICK ? "only in the long form" : guestBench("guest/linux")),
  },
  ...PEER_SIZES.map((size) => ({
    name: `peers-${size}`,
    run: (_arena: Arena, effort: Effort) => (effort === QUICK ? "only in the long form" : peersBench("peers", size)),
  })),
];
