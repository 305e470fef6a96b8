// Bursts of 32 objects through an SP/SC ring from a thread of ours to this one: both poll, as two lcores do. The baseline
// is the same with both halves in C. Nanoseconds an object from the first call to the last object seen. Used by the bench
// against C here, and by that against rte_ring (bench.ts).
import { Worker } from "node:worker_threads";
import { getAffinity, setAffinity } from "@emudev/linux";
import { type Arena, RING_F_SC_DEQ, RING_F_SP_ENQ, Ring, shmKernels } from "@emudev/shm";
import { assertDone, compare, type Effort, type Result, type Variant } from "../measure.ts";
import { loadNative, nativeMissing } from "../native.ts";
import { GO, HALT, OBJECTS, PEER_KERNEL, PEER_NATIVE, type PeerData } from "./peer-words.ts";

const NAME = "ring/spsc-two-threads";
export const BURST = 32;
const TOTAL = BURST * 4000;

export const twoThreadsBench = { name: NAME, run };

/** A producing thread on a CPU of its own, and the memory both threads use. */
export class TwoThreads {
  /** Arena offsets of what is sent and of what came. */
  readonly input: number;
  readonly output: number;
  readonly #arena: Arena;
  readonly #ring: Ring;
  readonly #words: number;
  readonly #zone: string;
  readonly #ended: Promise<unknown>;

  private constructor(arena: Arena, ring: Ring, words: number, zone: string, peer: Worker) {
    this.#arena = arena;
    this.#ring = ring;
    this.#words = words;
    this.#zone = zone;
    this.input = words + 64;
    this.output = this.input + 4 * BURST;
    this.#ended = new Promise((resolve, reject) => peer.on("exit", resolve).on("error", reject));
  }

  static async start(arena: Arena, ring: Ring, cpu: number): Promise<TwoThreads> {
    const { off, name } = arena.memzoneReserve(`two threads ${ring.off}`, 64 + 2 * 4 * BURST, 64);
    const workerData: PeerData = {
      handle: arena.handle,
      ringOff: ring.off,
      words: off,
      input: off + 64,
      burst: BURST,
      native: nativeMissing() === undefined,
      cpu,
    };
    const peer = new Worker(new URL("./peer.js", import.meta.url), { workerData });
    const threads = new TwoThreads(arena, ring, off, name, peer);
    for (let i = 0; i < BURST; i++) arena.u32[(threads.input >>> 2) + i] = i + 1;
    await new Promise((resolve, reject) => peer.once("message", resolve).once("error", reject));
    return threads;
  }

  /** The peer sleeps between runs; it is woken, and has begun to spin, before the clock starts. */
  prepare(command: number, objects: number): void {
    const { i32, u32 } = this.#arena;
    u32.fill(0, this.output >>> 2, (this.output >>> 2) + BURST);
    u32[(this.#words + OBJECTS) >>> 2] = objects;
    const go = (this.#words + GO) >>> 2;
    Atomics.store(i32, go, command);
    Atomics.notify(i32, go);
    while (Atomics.load(i32, go) === command);
  }

  check(): void {
    assertDone("two threads: left in the ring", this.#ring.count(), 0);
    for (let i = 0; i < BURST; i++)
      assertDone(`two threads: object ${i}`, this.#arena.u32[(this.output >>> 2) + i]!, i + 1);
  }

  receive(objects: number): void {
    const kernels = shmKernels(this.#arena);
    const { off } = this.#ring;
    for (let got = 0; got < objects; ) got += kernels.ring_dequeue_bulk(off, this.output, BURST);
  }

  /** One run by kernels; nanoseconds an object. */
  kernels(objects: number): number {
    this.prepare(PEER_KERNEL, objects);
    const from = performance.now();
    this.receive(objects);
    const ns = (1e6 * (performance.now() - from)) / objects;
    this.check();
    return ns;
  }

  async end(): Promise<void> {
    const go = (this.#words + GO) >>> 2;
    Atomics.store(this.#arena.i32, go, HALT);
    Atomics.notify(this.#arena.i32, go);
    await this.#ended;
    this.#arena.memzoneFree(this.#zone);
  }
}

async function run(arena: Arena, effort: Effort): Promise<Result[] | string> {
  const cpus = getAffinity();
  if (cpus.length < 2) return "two CPUs are needed";
  const ring = Ring.create(arena, NAME, 1024, RING_F_SP_ENQ | RING_F_SC_DEQ);
  const threads = await TwoThreads.start(arena, ring, cpus[1]!);
  const check = () => threads.check();
  const ours: Variant = {
    name: "kernel",
    check,
    prepare: () => threads.prepare(PEER_KERNEL, TOTAL),
    run: () => threads.receive(TOTAL),
  };
  const consume = loadNative("ring")?.func("ring_consume", 4);
  const baselines: Variant[] = consume
    ? [
        {
          name: "C",
          check,
          prepare: () => threads.prepare(PEER_NATIVE, TOTAL),
          run: () => void consume(arena.base, ring.off, threads.output, BURST, TOTAL),
        },
      ]
    : [];
  try {
    setAffinity([cpus[0]!]);
    return [compare(NAME, { count: TOTAL, unit: "object" }, ours, baselines, effort)];
  } finally {
    setAffinity(cpus);
    await threads.end();
    ring.free();
  }
}
