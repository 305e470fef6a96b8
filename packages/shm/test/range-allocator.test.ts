// First-fit allocation: no overlap, alignment with a bias, coalescing; by property and by example.
import fc from "fast-check";
import { expect, test } from "vitest";
import { RangeAllocator } from "../src/index.ts";

const START = 4096;
const END = 1 << 20;
const step = fc.record({
  release: fc.boolean(),
  pick: fc.nat(),
  bytes: fc.integer({ min: 1, max: 200_000 }),
  align: fc.constantFrom(1, 64, 4096, 65536),
});

test("ranges never overlap, keep their alignment, and all join again", () => {
  fc.assert(
    fc.property(fc.nat({ max: 65535 }), fc.array(step, { maxLength: 80 }), (bias, steps) => {
      const allocator = new RangeAllocator(START, END);
      const held: { off: number; bytes: number }[] = [];
      for (const { release, pick, bytes, align } of steps) {
        if (release && held.length > 0) {
          const [range] = held.splice(pick % held.length, 1);
          expect(allocator.release(range!.off)).toBe(range!.bytes);
        } else {
          const off = allocator.reserve(bytes, align, bias);
          if (off === null) continue;
          expect((off + bias) % align).toBe(0);
          held.push({ off, bytes });
        }
        const all = [...held, ...allocator.free()].sort((a, b) => a.off - b.off);
        expect(all[0]!.off).toBe(START);
        for (const [i, range] of all.entries()) expect(range.off + range.bytes).toBe(all[i + 1]?.off ?? END);
        expect(allocator.used()).toHaveLength(held.length);
      }
      for (const { off } of held) allocator.release(off);
      expect(allocator.free()).toEqual([{ off: START, bytes: END - START }]);
    }),
  );
});

test("takes the first hole that fits", () => {
  const allocator = new RangeAllocator(0, 1000);
  const offs = [100, 300, 200, 100].map((bytes) => allocator.reserve(bytes)!);
  expect(offs).toEqual([0, 100, 400, 600]);
  allocator.release(100);
  expect(allocator.reserve(301)).toBeNull();
  expect(allocator.reserve(299, 1)).toBe(100);
  allocator.release(100);
  expect(allocator.reserve(300)).toBe(100);
});

test("says null when nothing fits, also where only the alignment is in the way", () => {
  const allocator = new RangeAllocator(1, 4096);
  expect(allocator.reserve(4096)).toBeNull();
  expect(allocator.reserve(1, 4096)).toBeNull();
  expect(allocator.reserve(4095)).toBe(1);
  expect(new RangeAllocator(5, 5).reserve(1)).toBeNull();
});

test("an offset that is not in use is not released", () => {
  const allocator = new RangeAllocator(0, 100);
  allocator.reserve(10);
  expect(allocator.release(5)).toBeUndefined();
  expect(allocator.bytesOf(5)).toBeUndefined();
  expect(allocator.release(0)).toBe(10);
  expect(allocator.release(0)).toBeUndefined();
});
