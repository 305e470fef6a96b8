// Windows on demand over a sparse memfd of 64 GiB: each 2 MiB of it begins with its number, so whoever reads through a window
// sees whether it is the right one. A reader takes what the published table says and looks again before its next quiescent
// state: a window that was unmapped meanwhile would read as 0, or as another's.
import { setImmediate as turn } from "node:timers/promises";
import { closeFd, dupFd, memfdCreate, pwrite } from "@emudev/linux";
import { loadKernels } from "@emudev/shm";
import fc from "fast-check";
import { afterAll, afterEach, expect, test } from "vitest";
import { DEMAND_CHUNK_BYTES, type EmuDevMemTable, MEM_TABLE_LAYOUT } from "../src/index.ts";
import { arena, makeTable, qsbr } from "./support.ts";

const SEED = Number(process.env.EMUDEV_SEED ?? 5);
const BYTES = 64 * 2 ** 30;
const CHUNK = BigInt(DEMAND_CHUNK_BYTES);
const CHUNKS = 24; // that are used: spread over the whole file
const STEP = BigInt(BYTES) / BigInt(CHUNKS) / CHUNK; // in windows
const BASE = 1n << 40n;
const READER = 5;
const RW = 3;
const { mem_xlat } = loadKernels<{ mem_xlat(t: number, lo: number, hi: number, len: number, prot: number): number }>(
  new URL("../dist/kernels.wasm", import.meta.url),
  arena.memory,
);
const file = memfdCreate("large", BYTES, { seals: true });
const address = (n: number): bigint => BASE + BigInt(n) * STEP * CHUNK;
for (let n = 0; n < CHUNKS; n++) pwrite(file, new Uint8Array(Uint32Array.of(n + 1).buffer), address(n) - BASE);

const tables: EmuDevMemTable[] = [];
const make = (windows: number): EmuDevMemTable => {
  const table = makeTable({ windows });
  tables.push(table);
  return table;
};
const map = (table: EmuDevMemTable): Promise<void> =>
  table.map({ iova: BASE, size: BigInt(BYTES), prot: RW, fd: dupFd(file), fileOffset: 0n });
const xlat = (table: EmuDevMemTable, iova: bigint): number =>
  mem_xlat(arena.u32[table.wordOff >>> 2]!, Number(iova & 0xffffffffn), Number(iova >> 32n), 4, RW) >>> 0;
const at = (off: number): number => arena.u32[off >>> 2]!;

afterEach(async () => {
  qsbr.offline(READER);
  for (const table of tables.splice(0)) await table.close();
  expect(arena.windows()).toEqual([]);
});
afterAll(() => closeFd(file));

/** What a polling lcore does: it holds what it found until its next quiescent state. */
class Reader {
  #held: { n: number; off: number }[] = [];
  seen = 0;

  look(table: EmuDevMemTable): void {
    for (let n = 0; n < CHUNKS; n++) {
      const off = xlat(table, address(n));
      if (off > 1) this.#held.push({ n, off });
    }
  }

  pass(): void {
    for (const { n, off } of this.#held) expect(at(off)).toBe(n + 1);
    this.seen += this.#held.length;
    this.#held = [];
    qsbr.quiescent(READER);
  }
}

type Op =
  | { op: "fetch" | "prefetch"; table: number; wanted: number[]; posted: number[] }
  | { op: "unmap" | "unpin" | "look" | "pass" | "turn"; table: number }
  | { op: "pin"; table: number; n: number };
const chunks = fc.array(fc.nat(CHUNKS - 1), { maxLength: 8 });
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ op: fc.constant("fetch" as const), table: fc.nat(1), wanted: chunks, posted: chunks }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant("prefetch" as const), table: fc.nat(1), wanted: chunks, posted: chunks }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("pin" as const), table: fc.nat(1), n: fc.nat(CHUNKS - 1) }) },
  {
    weight: 12,
    arbitrary: fc.record({
      op: fc.constantFrom(
        "unmap" as const,
        "unpin" as const,
        ...Array<"look" | "pass" | "turn">(3).fill("look"),
        "pass" as const,
        "pass" as const,
        "turn" as const,
        "turn" as const,
      ),
      table: fc.nat(1),
    }),
  },
);

test("no window goes while a reader can hold it, whatever is fetched, pinned and unmapped at the same time", async () => {
  let seen = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(op, { minLength: 10, maxLength: 60 }), async (ops) => {
      const both = [make(5), make(3)];
      for (const table of both) await map(table);
      const reader = new Reader();
      const pins: (() => void)[][] = [[], []];
      const jobs: Promise<unknown>[] = [];
      const remaps = [Promise.resolve(), Promise.resolve()];
      qsbr.register(READER);
      qsbr.online(READER);
      for (const step of ops) {
        const table = both[step.table]!;
        const places = (list: number[]): bigint[] => list.map(address);
        if (step.op === "fetch") jobs.push(table.fetch(places(step.wanted), () => places(step.posted)));
        else if (step.op === "prefetch") jobs.push(table.prefetch(places(step.wanted), () => places(step.posted)));
        else if (step.op === "pin" && pins[step.table]!.length < 2)
          jobs.push(table.pin(address(step.n)).then((unpin) => unpin && pins[step.table]!.push(unpin)));
        else if (step.op === "unpin") pins[step.table]!.pop()?.();
        else if (step.op === "unmap")
          remaps[step.table] = remaps[step.table]!.then(() => table.unmapAll()).then(() => map(table));
        else if (step.op === "look") reader.look(table);
        else if (step.op === "pass") reader.pass();
        else await turn();
      }
      const all = Promise.all([...jobs, ...remaps]);
      let over = false;
      void all.finally(() => {
        over = true;
      });
      while (!over) {
        for (const table of both) reader.look(table);
        await turn();
        reader.pass();
      }
      await all;
      expect(arena.windows().length).toBe(both[0]!.demand.mapped + both[1]!.demand.mapped);
      expect(both[0]!.demand.mapped).toBeLessThanOrEqual(5);
      expect(both[1]!.demand.mapped).toBeLessThanOrEqual(3);
      // and it still works: what is asked for first is there
      for (const table of both) {
        const wanted = [7, 8, 9, 10, 11, 12, 13, 14, 15];
        qsbr.offline(READER);
        await table.fetch(wanted.map(address));
        if (pins.flat().length === 0) expect(at(xlat(table, address(7)))).toBe(8);
      }
      seen += reader.seen;
      for (const table of tables.splice(0)) await table.close();
    }),
    { seed: SEED, numRuns: 60 },
  );
  expect(seen).toBeGreaterThan(100);
});

test("the most urgent comes first, what is posted goes last, what is pinned stays", async () => {
  const table = make(4);
  await map(table);
  const there = (): number[] => Array.from({ length: CHUNKS }, (_, n) => n).filter((n) => xlat(table, address(n)) > 1);
  const unpin = await table.pin(address(0));
  expect(await table.fetch([5, 1, 2, 3, 4].map(address))).toBe(true);
  expect(there()).toEqual([0, 1, 2, 5]); // more than there is room for: as much as fits, in this order
  await table.fetch([6].map(address), () => [5, 1].map(address));
  expect(there()).toEqual([0, 1, 5, 6]);
  expect(table.demand.thrashed).toBe(0);
  await table.prefetch([7, 8, 9].map(address), () => [1, 5, 6].map(address));
  expect(there()).toEqual([0, 1, 5, 6]); // nothing goes for what is only expected
  await table.fetch([7].map(address), () => [1, 5, 6].map(address));
  expect(there()).toContain(7);
  expect(table.demand.thrashed).toBe(1);
  await table.prefetch([8, 9].map(address), () => [7].map(address));
  expect(there()).toEqual([0, 7, 8, 9]);
  unpin!();
  await table.fetch([1, 2, 3, 4].map(address));
  expect(there()).toEqual([1, 2, 3, 4]);
});

test("unmapped while it is fetched: both come to an end, and nothing is left", async () => {
  const table = make(8);
  await map(table);
  qsbr.register(READER);
  qsbr.online(READER);
  await table.fetch([0, 1, 2, 3, 4, 5, 6, 7].map(address));
  const fetching = table.fetch([8, 9, 10].map(address)); // has to evict, so it waits for the reader
  await turn();
  const unmapping = table.unmapAll();
  await turn();
  expect(arena.windows()).toHaveLength(8);
  expect(xlat(table, address(5))).toBe(0);
  qsbr.quiescent(READER);
  await turn();
  qsbr.quiescent(READER);
  await Promise.all([fetching, unmapping]);
  expect(arena.windows()).toEqual([]);
  expect(table.demand.mapped).toBe(0);
});

test("who waits for readers waits for those that announced themselves, where they do", async () => {
  const table = make(2);
  await map(table);
  qsbr.register(READER);
  qsbr.online(READER); // and stays where it is
  table.readersAnnounced = true;
  for (let n = 0; n < 10; n++) await table.fetch([address(n)]);
  expect(table.demand.evicted).toBe(8);
  const { MEM_WORD_READERS } = MEM_TABLE_LAYOUT;
  Atomics.or(arena.i32, (table.wordOff + MEM_WORD_READERS) >>> 2, 1 << READER);
  let done = false;
  const fetching = table.fetch([address(20)]).then(() => {
    done = true;
  });
  for (let i = 0; i < 50; i++) await turn();
  expect(done).toBe(false);
  qsbr.quiescent(READER);
  await fetching;
});

test("two devices share the room: who comes second gets half of it, from the first", async () => {
  const [first, second] = [make(1e9), make(1e9)];
  await map(first);
  const many = Array.from({ length: 2000 }, (_, n) => BASE + BigInt(n) * 7n * CHUNK);
  await first.prefetch(many);
  const whole = first.demand.mapped;
  expect(whole).toBeGreaterThan(600);
  await map(second);
  await second.prefetch(many);
  expect(first.demand.mapped).toBe(Math.floor(whole / 2));
  expect(second.demand.mapped).toBe(Math.floor(whole / 2));
  await second.unmapAll();
  await first.prefetch(many);
  expect(first.demand.mapped).toBe(whole);
});
