// `scale/turn-...`: the traffic of one queue while the lcore has 252 queues of 63 other devices to poll, through testpmd's
// schedule and net_avfbe's data module, on one thread. All others idle; then one device among them whose four rings are full
// of garbage. The ratio is the time of a packet by that of the same queue alone, in the same round.
import type { LcoreEnv } from "@emudev/eal/data";
import { type Arena, Mempool, Qsbr, shmKernels } from "@emudev/shm";
import { at } from "../layout.ts";
import { assertDone, compare, type Effort, type Result, type Variant } from "../measure.ts";
import { BenchGuest, RUN_PACKETS } from "../micro/guest.ts";

const BURST = 32;
const LCORE = 1;
const OTHERS = 63 * 4;
const HOSTILE = 4;
const HOSTILE_DESCS = 4096;
const PAGE = 4096;
/** Where in the guest's memory, and at which guest address, hostile rings lie. */
const HOSTILE_AT = 32 * 2 ** 20;
const HOSTILE_IOVA = 0x1_4000_0000n + BigInt(HOSTILE_AT);

const { Schedule } = (await import(new URL("../../../apps/testpmd/dist/fwd/schedule.js", import.meta.url).href)) as {
  Schedule: new (steps: readonly (() => number)[]) => { turn(): number };
};

export async function neighboursBench(arena: Arena, name: string, effort: Effort): Promise<Result[]> {
  const { openRxQueue } = await import("@emudev/avfbe-ethdev/data");
  const pool = Mempool.createPktmbuf(arena, name, { n: 2048 });
  const guest = new BenchGuest(arena, pool, 64);
  const others = new Others(arena, guest, `${name} others`);
  const pkts = arena.memzoneReserve(`${name} pkts`, 4 * BURST).off;
  const qsbr = Qsbr.create(arena, name);
  const base = { id: LCORE, index: LCORE, arena, qsbr, off: 0, scratch: 0 };
  const env: LcoreEnv = { ...base, stopping: () => false, nowUs: () => 0, deadlineUs: Number.POSITIVE_INFINITY };
  const kernels = shmKernels(arena);
  const step = (off: number): (() => number) => {
    const rx = openRxQueue(env, off, 0, 0);
    return () => {
      const got = rx.burst(pkts, BURST);
      if (got !== 0) kernels.pktmbuf_free_bulk(LCORE, pkts, got);
      return got;
    };
  };
  const variant = (title: string, offs: readonly number[], hostile: boolean): Variant => {
    const { turn } = new Schedule([guest.rxq, ...offs].map(step));
    let done = 0;
    const prepare = (): void => {
      guest.send();
      if (hostile) others.spoil();
    };
    const run = (): void => {
      done = 0;
      for (let turns = 0; done < RUN_PACKETS && turns < RUN_PACKETS; turns++) done += turn();
    };
    const check = (): void => {
      // What is hostile may hold a packet by chance.
      if (hostile ? done < RUN_PACKETS : done !== RUN_PACKETS) assertDone(`${name}: packets`, done, RUN_PACKETS);
    };
    return { name: title, prepare, run, check };
  };
  try {
    const items = { count: RUN_PACKETS, unit: "packet" };
    const alone = variant("alone", [], false);
    const idle = variant("idle", others.rxqs, false);
    const results = [compare(`${name}-idle`, items, idle, [alone], effort)];
    const hostile = variant("hostile", others.rxqs, true);
    results.push(compare(`${name}-hostile`, items, hostile, [alone], effort));
    assertDone(`${name}: mbufs held`, pool.inUseCount(), 0);
    if (others.spoiled() === 0) throw new Error(`${name}: nothing was spoiled; the figure would mean nothing`);
    return results;
  } finally {
    others.free();
    guest.free(arena);
    for (const zone of [`${name} pkts`, `QS_${name}`]) arena.memzoneFree(zone);
    pool.free();
  }
}

/** Queues like a guest's, empty, with states, vectors and doorbells of their own; the first few can be filled with garbage. */
class Others {
  readonly rxqs: number[] = [];
  readonly #arena: Arena;
  readonly #name: string;
  readonly #states: number[] = [];
  readonly #memory: number;
  readonly #garbage: Uint32Array;

  constructor(arena: Arena, guest: BenchGuest, name: string) {
    this.#arena = arena;
    this.#name = name;
    const { u8, u32 } = arena;
    const model = u32[(guest.rxq + at("RXQ_GUESTS")) >>> 2]!;
    const table = u32[u32[(model + at("GQ_MEM_WORD")) >>> 2]! >>> 2]!;
    this.#memory = u32[(table + at("MEM_TABLE_REGIONS") + 2 * at("MEM_REGION_BYTES") + at("MEM_REGION_OFF")) >>> 2]!;
    // As net_avfbe lays them out: a doorbell page a device, states side by side.
    const each = 1024;
    const { off } = arena.memzoneReserve(name, OTHERS * (each + PAGE / 4) + HOSTILE * at("GTX_SCRATCH_BYTES"), PAGE);
    const states = off + (OTHERS / 4) * PAGE;
    for (let i = 0; i < OTHERS; i++) {
      const state = states + i * each;
      const rxq = state + at("GTX_BYTES");
      const vector = rxq + 128;
      const doorbell = off + (i >>> 2) * PAGE + 4 * (i & 3);
      u8.copyWithin(state, model, model + at("GTX_BYTES"));
      u8.copyWithin(rxq, guest.rxq, guest.rxq + 128);
      arena.i32[(vector + at("VECTOR_FD")) >>> 2] = -1;
      u32[(state + at("GQ_VECTOR")) >>> 2] = vector;
      u32[(state + at("GQ_DOORBELL")) >>> 2] = doorbell;
      u32[doorbell >>> 2] = u32[(state + at("GQ_HEAD")) >>> 2]!;
      u32[(rxq + at("RXQ_GUESTS")) >>> 2] = state;
      if (i < HOSTILE) {
        u32[(state + at("GTX_SCRATCH")) >>> 2] = states + OTHERS * each + i * at("GTX_SCRATCH_BYTES");
        u32[(state + at("GQ_SIZE")) >>> 2] = HOSTILE_DESCS;
        arena.u64[(state + at("GQ_BASE")) >>> 3] = HOSTILE_IOVA + BigInt(i * HOSTILE_DESCS * 16);
      }
      this.#states.push(state);
      this.rxqs.push(rxq);
    }
    let seed = 1;
    this.#garbage = Uint32Array.from({ length: 4 * HOSTILE_DESCS }, () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed;
    });
    // Every second descriptor says that it carries data: endless packets, of addresses that are nowhere.
    for (let word = 2; word < this.#garbage.length; word += 8) this.#garbage[word]! &= ~0x2f;
  }

  /** Fills the hostile rings anew. */
  spoil(): void {
    const { u32 } = this.#arena;
    for (const [i, state] of this.#states.slice(0, HOSTILE).entries()) {
      u32.set(this.#garbage, (this.#memory + HOSTILE_AT + i * HOSTILE_DESCS * 16) >>> 2);
      const head = u32[(state + at("GQ_HEAD")) >>> 2]!;
      Atomics.store(u32, u32[(state + at("GQ_DOORBELL")) >>> 2]! >>> 2, (head + HOSTILE_DESCS - 1) % HOSTILE_DESCS);
    }
  }

  /** Malformed packets that were counted. */
  spoiled(): number {
    const { u64 } = this.#arena;
    let sum = 0;
    for (const state of this.#states.slice(0, HOSTILE))
      for (let field = at("GTX_ERRORS_FIRST"); field <= at("GTX_ERRORS_LAST"); field += 8)
        sum += Number(u64[(state + field) >>> 3]!);
    return sum;
  }

  free(): void {
    this.#arena.memzoneFree(this.#name);
  }
}
