// Bursts of 32 objects taken from a mempool and given back by one lcore: plain objects, and packet buffers with their
// headers reset and checked.

import { type Arena, Mempool, shmKernels } from "@emudev/shm";
import { assertDone, compare, type Effort, type Result, type Variant } from "../measure.ts";
import { loadNative } from "../native.ts";

const BURST = 32;
const TIMES = 1000;
const LCORE = 1;

export const mempoolBenches = [
  { name: "mempool/get-put", entry: "mempool_round" },
  { name: "pktmbuf/alloc-free", entry: "pktmbuf_round" },
].map(({ name, entry }) => ({ name, run: (arena: Arena, effort: Effort) => mempoolBench(name, entry, arena, effort) }));

function mempoolBench(name: string, entry: string, arena: Arena, effort: Effort): Result[] {
  const pool = Mempool.createPktmbuf(arena, name, { n: 4095 });
  const { off } = pool;
  const kernels = shmKernels(arena);
  const zone = arena.memzoneReserve(`${name} objs`, 4 * BURST);
  const objs = zone.off;
  let taken = 0;
  const check = () => {
    assertDone(`${name}: objects`, taken, BURST * TIMES);
    assertDone(`${name}: objects not given back`, pool.inUseCount(), 0);
  };
  const plain = () => {
    taken = 0;
    for (let i = 0; i < TIMES; i++) {
      taken += kernels.mempool_get_bulk(off, LCORE, objs, BURST);
      kernels.mempool_put_bulk(off, LCORE, objs, BURST);
    }
  };
  const mbufs = () => {
    taken = 0;
    for (let i = 0; i < TIMES; i++) {
      taken += kernels.pktmbuf_alloc_bulk(off, LCORE, objs, BURST);
      kernels.pktmbuf_free_bulk(LCORE, objs, BURST);
    }
  };
  const ours: Variant = { name: "kernel", check, run: entry === "mempool_round" ? plain : mbufs };
  const round = loadNative("mempool")?.func(entry, 5);
  const baselines: Variant[] = round
    ? [
        {
          name: "C",
          check,
          run() {
            taken = round(arena.base, off, LCORE, objs, BURST, TIMES);
          },
        },
      ]
    : [];
  const result = compare(name, { count: BURST * TIMES, unit: "object" }, ours, baselines, effort);
  arena.memzoneFree(zone.name);
  pool.free();
  return [result];
}
