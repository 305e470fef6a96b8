// Rings of every kind against their model (ring-model.ts), at the wrap of indexes, and what create() refuses.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  RING_CONS_HEAD,
  RING_CONS_SEEN,
  RING_CONS_TAIL,
  RING_F_EXACT_SZ,
  RING_F_SC_DEQ,
  RING_F_SP_ENQ,
  RING_PROD_HEAD,
  RING_PROD_SEEN,
  RING_PROD_TAIL,
  Ring,
  ShmError,
  shmKernels,
} from "../src/index.ts";
import { RingModel } from "./ring-model.ts";
import { makeArena, readObjs, SCRATCH_OBJS, writeObjs } from "./support.ts";

const { arena, objs } = makeArena();
let made = 0;

/** A ring whose indexes start at `index`, as after that many objects. */
function makeRing(count: number, flags: number, index = 0): Ring {
  const ring = Ring.create(arena, `ring${made++}`, count, flags);
  const fields = [RING_PROD_HEAD, RING_PROD_SEEN, RING_PROD_TAIL, RING_CONS_HEAD, RING_CONS_SEEN, RING_CONS_TAIL];
  for (const field of fields) arena.u32[(ring.off + field) >>> 2] = index;
  return ring;
}

const step = fc.record({
  op: fc.constantFrom("enqueueBurst", "enqueueBulk", "dequeueBurst", "dequeueBulk", "enqueue", "dequeue" as const),
  n: fc.nat({ max: 40 }),
});
const kinds = [
  ["SP/SC", RING_F_SP_ENQ | RING_F_SC_DEQ],
  ["MP/MC", 0],
  ["SP/MC", RING_F_SP_ENQ],
  ["MP/SC", RING_F_SC_DEQ],
] as const;

// Tails by plain stores, where the processor keeps their order, and by atomic ones (assembly/order.ts).
const orders = kinds.flatMap(([name, flags]) => [0, 1].map((tso) => [name, tso, flags] as const));

describe.each(orders)("%s, tso %d", (_name, tso, flags) => {
  const kernels = shmKernels(arena);
  const before = kernels.tso.value;
  beforeAll(() => {
    kernels.tso.value = tso;
  });
  afterAll(() => {
    kernels.tso.value = before;
  });

  test("does what the model does, across the wrap of its indexes at 2^32", () => {
    const sizes = fc.oneof(
      fc.constantFrom(2, 4, 32, 64).map((count) => ({ count, exact: 0 })),
      fc.integer({ min: 1, max: 70 }).map((count) => ({ count, exact: RING_F_EXACT_SZ })),
    );
    const start = fc.oneof(fc.constant(0), fc.integer({ min: 2 ** 32 - 200, max: 2 ** 32 - 1 }));
    fc.assert(
      fc.property(sizes, start, fc.array(step, { maxLength: 120 }), ({ count, exact }, index, steps) => {
        const ring = makeRing(count, flags | exact, index);
        const model = new RingModel(exact ? count : count - 1);
        let next = 1;
        for (const { op, n } of steps) {
          const values = Array.from({ length: n }, () => next++);
          writeObjs(arena, objs, op.startsWith("enqueue") ? values : values.fill(0xdead));
          if (op === "enqueue") {
            expect(ring.enqueue(next)).toBe(model.enqueue([next++], true) === 1);
          } else if (op === "dequeue") {
            expect(ring.dequeue()).toBe(model.dequeue(1, true)[0] ?? 0);
          } else if (op.startsWith("enqueue")) {
            const done = model.enqueue(values, op === "enqueueBulk");
            expect(ring[op](objs, n)).toBe(done);
            // As last seen: exact when the request was cut short, else there may be more.
            if (done < n) expect(ring.freeSpace).toBe(model.free);
            else expect(ring.freeSpace).toBeLessThanOrEqual(model.free);
          } else {
            const expected = model.dequeue(n, op === "dequeueBulk");
            expect(ring[op](objs, n)).toBe(expected.length);
            if (expected.length < n) expect(ring.available).toBe(model.count);
            else expect(ring.available).toBeLessThanOrEqual(model.count);
            expect(readObjs(arena, objs, n)).toEqual([...expected, ...values.slice(expected.length)]);
          }
          expect([ring.count(), ring.freeCount()]).toEqual([model.count, model.free]);
          expect([ring.empty(), ring.full()]).toEqual([model.count === 0, model.free === 0]);
        }
        ring.free();
      }),
      { numRuns: 150 },
    );
  });

  test("a request larger than the ring, up to 2^32 - 1, moves what there is (burst) or nothing (bulk)", () => {
    const ring = makeRing(8, flags);
    writeObjs(arena, objs, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(ring.enqueueBulk(objs, 2 ** 32 - 1)).toBe(0);
    expect(ring.enqueueBurst(objs, 2 ** 32 - 1)).toBe(7);
    expect(ring.freeSpace).toBe(0);
    expect(ring.dequeueBulk(objs, 2 ** 32 - 1)).toBe(0);
    expect(ring.dequeueBurst(objs, 2 ** 32 - 1)).toBe(7);
    expect(readObjs(arena, objs, 7)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    ring.free();
  });

  test("a full burst of thousands keeps its order where the slots wrap", () => {
    const ring = makeRing(SCRATCH_OBJS, flags, 2 ** 32 - 1000);
    const values = Array.from({ length: SCRATCH_OBJS - 1 }, (_, i) => i + 1);
    writeObjs(arena, objs, values);
    expect(ring.enqueueBulk(objs, values.length)).toBe(values.length);
    writeObjs(
      arena,
      objs,
      values.map(() => 0),
    );
    expect(ring.dequeueBulk(objs, values.length)).toBe(values.length);
    expect(readObjs(arena, objs, values.length)).toEqual(values);
    ring.free();
  });
});

describe("create", () => {
  test.each([
    [0, 0],
    [1, 0],
    [3, 0],
    [48, 0],
    [-4, RING_F_EXACT_SZ],
    [1.5, RING_F_EXACT_SZ],
    [2 ** 27, 0],
    [4, 8],
  ])("refuses count %d with flags %d", (count, flags) => {
    expect(() => Ring.create(arena, "refused", count, flags)).toThrow(ShmError);
    expect(arena.memzoneLookup("RG_refused")).toBeUndefined();
  });

  test("refuses a name in use; free() gives the name and memory back, once", () => {
    const ring = Ring.create(arena, "twice", 8);
    expect(() => Ring.create(arena, "twice", 8)).toThrow(/RG_twice exists/);
    expect(() => new Ring(arena, ring.off).free()).toThrow(ShmError);
    ring.free();
    expect(() => ring.free()).toThrow(ShmError);
    const again = Ring.create(arena, "twice", 8);
    expect(again.off).toBe(ring.off);
    expect(again.empty()).toBe(true);
    again.free();
  });

  test("a ring is opened by its offset and is the same ring", () => {
    const ring = Ring.create(arena, "shared", 8);
    ring.enqueue(77);
    expect(new Ring(arena, ring.off).dequeue()).toBe(77);
    ring.free();
  });
});
