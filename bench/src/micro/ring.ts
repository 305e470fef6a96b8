// Bursts of 32 objects through a ring on one core: enqueue, then dequeue, SP/SC and MP/MC.

import { type Arena, RING_F_SC_DEQ, RING_F_SP_ENQ, Ring, shmKernels } from "@emudev/shm";
import { assertDone, compare, type Effort, type Result, type Variant } from "../measure.ts";
import { loadNative } from "../native.ts";

const BURST = 32;
const TIMES = 1000;

export const ringBenches = [
  { name: "ring/spsc", flags: RING_F_SP_ENQ | RING_F_SC_DEQ },
  { name: "ring/mpmc", flags: 0 },
].map(({ name, flags }) => ({ name, run: (arena: Arena, effort: Effort) => ringBench(name, flags, arena, effort) }));

function ringBench(name: string, flags: number, arena: Arena, effort: Effort): Result[] {
  const ring = Ring.create(arena, name, 1024, flags);
  const kernels = shmKernels(arena);
  const zone = arena.memzoneReserve(`${name} objs`, 2 * 4 * BURST);
  const input = zone.off;
  const output = zone.off + 4 * BURST;
  for (let i = 0; i < BURST; i++) arena.u32[(input >>> 2) + i] = i + 1;
  let moved = 0;
  const check = () => {
    assertDone(`${name}: objects`, moved, BURST * TIMES);
    for (let i = 0; i < BURST; i++) assertDone(`${name}: object ${i}`, arena.u32[(output >>> 2) + i]!, i + 1);
    assertDone(`${name}: left in the ring`, ring.count(), 0);
  };
  const prepare = () => arena.u32.fill(0, output >>> 2, (output >>> 2) + BURST);
  const ours: Variant = {
    name: "kernel",
    prepare,
    check,
    run() {
      moved = 0;
      for (let i = 0; i < TIMES; i++) {
        kernels.ring_enqueue_burst(ring.off, input, BURST);
        moved += kernels.ring_dequeue_burst(ring.off, output, BURST);
      }
    },
  };
  const round = loadNative("ring")?.func("ring_round", 5);
  const baselines: Variant[] = round
    ? [
        {
          name: "C",
          prepare,
          check,
          run() {
            moved = round(arena.base, ring.off, input, output, BURST, TIMES);
          },
        },
      ]
    : [];
  const result = compare(name, { count: BURST * TIMES, unit: "object" }, ours, baselines, effort);
  arena.memzoneFree(zone.name);
  ring.free();
  return [result];
}
