// Mempools against their model (mempool-model.ts), their limits, and lcores on threads of their own.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MEMPOOL_CACHE_MAX, Mempool, ShmError } from "../src/index.ts";
import { MempoolModel } from "./mempool-model.ts";
import { makeArena, readObjs, runThread, writeObjs } from "./support.ts";

const { arena, objs } = makeArena();
let made = 0;

const step = fc.record({
  op: fc.constantFrom("get", "put" as const),
  lcore: fc.constantFrom(0, 1, 31),
  n: fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 900 })),
});

describe("get and put", () => {
  test("hand out the model's objects, whatever the sizes", () => {
    const sizes = fc.oneof(
      fc.record({ n: fc.integer({ min: 1, max: 60 }), cacheSize: fc.constant(0) }),
      fc.record({ n: fc.integer({ min: 96, max: 200 }), cacheSize: fc.constantFrom(1, 2, 7, 32, 64) }),
      fc.record({ n: fc.constant(2000), cacheSize: fc.constantFrom(256, 511, MEMPOOL_CACHE_MAX) }),
    );
    fc.assert(
      fc.property(sizes, fc.array(step, { maxLength: 100 }), ({ n, cacheSize }, steps) => {
        const pool = Mempool.create(arena, `model${made++}`, { n, eltSize: 64, cacheSize });
        const model = new MempoolModel(
          Array.from({ length: n }, (_, i) => pool.objs.off + i * 64),
          cacheSize,
        );
        const held: number[] = [];
        for (const { op, lcore, n } of steps) {
          if (op === "get") {
            const expected = model.get(lcore, n);
            expect(pool.getBulk(lcore, objs, n)).toBe(expected.length);
            expect(readObjs(arena, objs, expected.length)).toEqual(expected);
            held.push(...expected);
          } else {
            const back = held.splice(0, n);
            writeObjs(arena, objs, back);
            pool.putBulk(lcore, objs, back.length);
            model.put(lcore, back);
          }
          expect([pool.availCount(), pool.inUseCount(), pool.exhausted()]).toEqual([
            model.avail,
            held.length,
            model.exhausted,
          ]);
        }
        expect(new Set([...held, ...model.fifo, ...[...model.caches.values()].flat()]).size).toBe(n);
        pool.free();
      }),
      { numRuns: 150 },
    );
  });

  test("an empty pool gives nothing, counts what was asked for, and recovers", () => {
    const pool = Mempool.create(arena, "empty", { n: 32, eltSize: 64, cacheSize: 0 });
    expect(pool.getBulk(3, objs, 32)).toBe(32);
    writeObjs(arena, objs + 128, [7, 7]);
    expect(pool.getBulk(4, objs + 128, 2)).toBe(0);
    expect(readObjs(arena, objs + 128, 2)).toEqual([7, 7]);
    expect([pool.exhausted(), pool.inUseCount()]).toEqual([2, 32]);
    pool.putBulk(3, objs, 32);
    expect(pool.getBulk(4, objs, 1)).toBe(1);
    pool.free();
  });

  test("a request for more than there is, up to 2^32 - 1, gives nothing", () => {
    const pool = Mempool.create(arena, "huge", { n: 600, eltSize: 64, cacheSize: 256 });
    for (const n of [601, 2 ** 31, 2 ** 32 - 300, 2 ** 32 - 1]) expect(pool.getBulk(0, objs, n)).toBe(0);
    expect(pool.availCount()).toBe(600);
    pool.free();
  });

  test.each([-1, 32, 1.5, Number.NaN])("lcore index %d is refused", (lcore) => {
    const pool = Mempool.create(arena, `lcore${lcore}`, { n: 8, eltSize: 64, cacheSize: 0 });
    expect(() => pool.getBulk(lcore, objs, 1)).toThrow(RangeError);
    expect(() => pool.putBulk(lcore, objs, 0)).toThrow(RangeError);
    pool.free();
  });
});

describe("create", () => {
  test.each([
    { n: 0, eltSize: 64, cacheSize: 0 },
    { n: 8, eltSize: 0, cacheSize: 0 },
    { n: 8, eltSize: 64, cacheSize: 6 },
    { n: 4000, eltSize: 64, cacheSize: 513 },
    { n: 8, eltSize: 64, cacheSize: -1 },
  ])("refuses %o", (options) => {
    expect(() => Mempool.create(arena, "refused", options)).toThrow(ShmError);
  });

  test("leaves nothing behind when there is no room", () => {
    const before = arena.memzones();
    expect(() => Mempool.create(arena, "large", { n: 40_000, eltSize: 2048, cacheSize: 0 })).toThrow(/-m/);
    expect(arena.memzones()).toEqual(before);
    expect(Mempool.create(arena, "large", { n: 4, eltSize: 65, cacheSize: 0 }).eltSize).toBe(128);
  });

  test("the objects of a pool have pages of their own", () => {
    const pool = Mempool.createPktmbuf(arena, "pages", { n: 100 });
    const { off, bytes } = pool.objs;
    expect([off % 4096, pool.eltSize, pool.dataRoom]).toEqual([0, 2240, 2176]);
    const others = arena.memzones().filter((zone) => zone.off !== off);
    const end = off + Math.ceil(bytes / 4096) * 4096;
    expect(others.filter((zone) => zone.off < end && zone.off + zone.bytes > off)).toEqual([]);
    pool.free();
  });
});

test("lcores on threads of their own never hold one object twice, and all come back", async () => {
  const pool = Mempool.create(arena, "threads", { n: 700, eltSize: 64, cacheSize: 64 });
  const lists = arena.memzoneReserve("threads objs", 4 * 4096).off;
  const answers = await Promise.all(
    [1, 2, 3].map((lcore) =>
      runThread<{ rounds: number; stolen: number }>("mempool-thread.mjs", {
        handle: arena.handle,
        poolOff: pool.off,
        lcore,
        objs: lists + lcore * 4096,
        rounds: 40_000,
      }),
    ),
  );
  expect(answers.map((answer) => answer.stolen)).toEqual([0, 0, 0]);
  expect(answers.every((answer) => answer.rounds > 0)).toBe(true);
  expect(pool.inUseCount()).toBe(0);
  pool.free();
});
