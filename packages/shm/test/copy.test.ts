// The copy kernel: every length to beyond its switch to memory.copy, at odd offsets, with guard bytes on both sides.
import { expect, test } from "vitest";
import { shmKernels } from "../src/index.ts";
import { makeArena } from "./support.ts";

const { arena } = makeArena();
const kernels = shmKernels(arena);
const GUARD = 0xa5;
const from = arena.memzoneReserve("from", 16384).off;
const to = arena.memzoneReserve("to", 16384).off;
for (let i = 0; i < 16384; i++) arena.u8[from + i] = (i * 7 + (i >>> 8)) & 0xff;

test.each([
  [0, 0],
  [1, 0],
  [0, 3],
  [2, 7],
  [15, 15],
])("copies every length exactly, from offset %d to offset %d", (fromAt, toAt) => {
  const lengths = [...Array(600).keys(), 1023, 1024, 1514, 1518, 4095, 9018];
  for (const n of lengths) {
    const target = to + 64 + toAt;
    arena.u8.fill(GUARD, target - 64, target + n + 64);
    kernels.copy_bytes(target, from + fromAt, n);
    const got = arena.u8.subarray(target, target + n);
    if (Buffer.compare(Buffer.from(got), Buffer.from(arena.u8.slice(from + fromAt, from + fromAt + n))) !== 0)
      expect.fail(`${n} bytes differ`);
    const guards = [...arena.u8.subarray(target - 64, target), ...arena.u8.subarray(target + n, target + n + 64)];
    if (guards.some((byte) => byte !== GUARD)) expect.fail(`a copy of ${n} bytes wrote outside`);
  }
});
