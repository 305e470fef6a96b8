// Bursts of 32 objects through an SP/SC ring from a thread of ours to this one: both poll, as two lcores do. The baseline
// is the same with both halves in C. Nanoseconds an object from the first call to the last object seen.
import { Worker } from "node:worker_threads";
import { type Arena, RING_F_SC_DEQ, RING_F_SP_ENQ, Ring, shmKernels } from "@emudev/shm";
import { assertDone, compare, type Effort, type Result, type Variant } from "../measure.ts";
import { loadNative, nativeMissing } from "../native.ts";
import { GO, HALT, PEER_KERNEL, PEER_NATIVE, type PeerData } from "./ring-peer-words.ts";

const NAME = "ring/spsc-two-threads";
const BURST = 32;
const TOTAL = BURST * 4000;

export const twoThreadsBench = { name: NAME, run };

async function run(arena: Arena, effort: Effort): Promise<Result[]> {
  const ring = Ring.create(arena, NAME, 1024, RING_F_SP_ENQ | RING_F_SC_DEQ);
  const zone = arena.memzoneReserve(`${NAME} objs`, 64 + 2 * 4 * BURST);
  const input = zone.off + 64;
  const output = input + 4 * BURST;
  const go = (zone.off + GO) >>> 2;
  for (let i = 0; i < BURST; i++) arena.u32[(input >>> 2) + i] = i + 1;
  const workerData: PeerData = {
    handle: arena.handle,
    ringOff: ring.off,
    words: zone.off,
    input,
    burst: BURST,
    total: TOTAL,
    native: nativeMissing() === undefined,
  };
  const consume = loadNative("ring")?.func("ring_consume", 4);
  const peer = new Worker(new URL("./ring-peer.js", import.meta.url), { workerData });
  const ended = new Promise((resolve, reject) => peer.on("exit", resolve).on("error", reject));
  await new Promise((resolve, reject) => peer.once("message", resolve).once("error", reject));

  const kernels = shmKernels(arena);
  const check = () => {
    assertDone(`${NAME}: left in the ring`, ring.count(), 0);
    for (let i = 0; i < BURST; i++) assertDone(`${NAME}: object ${i}`, arena.u32[(output >>> 2) + i]!, i + 1);
  };
  // The peer sleeps between runs; it is woken, and has begun to spin, before the clock starts.
  const prepare = (command: number) => () => {
    arena.u32.fill(0, output >>> 2, (output >>> 2) + BURST);
    Atomics.store(arena.i32, go, command);
    Atomics.notify(arena.i32, go);
    while (Atomics.load(arena.i32, go) === command);
  };
  const ours: Variant = {
    name: "kernel",
    check,
    prepare: prepare(PEER_KERNEL),
    run() {
      for (let got = 0; got < TOTAL; ) got += kernels.ring_dequeue_bulk(ring.off, output, BURST);
    },
  };
  const baselines: Variant[] = consume
    ? [
        {
          name: "C",
          check,
          prepare: prepare(PEER_NATIVE),
          run() {
            consume(arena.base, ring.off, output, BURST, TOTAL);
          },
        },
      ]
    : [];
  try {
    return [compare(NAME, { count: TOTAL, unit: "object" }, ours, baselines, effort)];
  } finally {
    Atomics.store(arena.i32, go, HALT);
    Atomics.notify(arena.i32, go);
    await ended;
    arena.memzoneFree(zone.name);
    ring.free();
  }
}
