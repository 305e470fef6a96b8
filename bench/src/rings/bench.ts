// `rings/...`: an SP/SC ring of 1024 in bursts of 32, ours beside DPDK's rte_ring in the same run, in turning order: from one
// thread to another on two CPUs, and on one. Ours are kernel calls from JavaScript and carry 4 bytes an object; rte_ring
// is C, inlined, and carries pointers, or with rte_ring_elem 4 bytes. The ratio is that of the same round, to pointers.

import { getAffinity, setAffinity } from "@emudev/linux";
import { type Arena, RING_F_SC_DEQ, RING_F_SP_ENQ, Ring, shmKernels } from "@emudev/shm";
import { compileDpdk } from "../dpdk.ts";
import { assertDone, type Effort, QUICK, type Result, summarize } from "../measure.ts";
import { RteRing } from "./rte-ring.ts";
import { BURST, TwoThreads } from "./two-threads.ts";

const SLOTS = 1024;
const OBJECTS = BURST * 100_000;

export const ringsBench = { name: "rings", run };

async function run(arena: Arena, effort: Effort): Promise<Result[] | string> {
  const cpus = getAffinity();
  if (cpus.length < 2) return "two CPUs are needed";
  const built = compileDpdk("rte-ring");
  if ("missing" in built) console.error(`rings: without rte_ring beside them: ${built.missing}`);
  const ring = Ring.create(arena, "rings", SLOTS, RING_F_SP_ENQ | RING_F_SC_DEQ);
  const dpdk = "program" in built ? await RteRing.start(built.program, cpus) : undefined;
  const threads = await TwoThreads.start(arena, ring, cpus[1]!);
  try {
    setAffinity([cpus[0]!]);
    const results: Result[] = [];
    for (const way of ["two", "one"] as const) {
      const variants: [name: string, ns: () => number | Promise<number>][] = [
        ["emudev", way === "two" ? () => threads.kernels(OBJECTS) : () => oneThread(arena, ring, threads)],
      ];
      if (dpdk !== undefined)
        variants.push(
          ["rte_ring", () => dpdk.run(way, "ptr", OBJECTS)],
          ["rte_ring_elem-4", () => dpdk.run(way, "u32", OBJECTS)],
        );
      results.push(...(await alternate(`rings/${way === "two" ? "two-threads" : "one-thread"}`, variants, effort)));
    }
    return results;
  } finally {
    setAffinity(cpus);
    await threads.end();
    await dpdk?.end();
    ring.free();
  }
}

async function alternate(
  name: string,
  variants: readonly [string, () => number | Promise<number>][],
  effort: Effort,
): Promise<Result[]> {
  const times = variants.map((): number[] => []);
  for (let round = -1; round < (effort === QUICK ? 5 : 51); round++)
    for (let turn = 0; turn < variants.length; turn++) {
      const at = (turn + Math.max(round, 0)) % variants.length;
      const ns = await variants[at]![1]();
      if (round >= 0) times[at]!.push(ns);
    }
  return variants.map(([variant], at) => {
    const ratios = at === 0 && times.length > 1 ? times[0]!.map((ns, round) => ns / times[1]![round]!) : [];
    return summarize(`${name}/${variant}`, "ns/object", times[at]!, ratios);
  });
}

function oneThread(arena: Arena, ring: Ring, { input, output }: TwoThreads): number {
  const kernels = shmKernels(arena);
  const from = performance.now();
  let moved = 0;
  while (moved < OBJECTS) {
    kernels.ring_enqueue_bulk(ring.off, input, BURST);
    moved += kernels.ring_dequeue_bulk(ring.off, output, BURST);
  }
  const ns = (1e6 * (performance.now() - from)) / OBJECTS;
  assertDone("rings: objects", moved, OBJECTS);
  assertDone("rings: left in the ring", ring.count(), 0);
  return ns;
}
