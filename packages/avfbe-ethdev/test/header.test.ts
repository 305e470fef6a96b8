// The kernels' sums and CRCs against @emudev/net's plain ones, at any alignment and length, in pieces cut at odd places, and
// that a copy copies what it should and touches nothing else. They are called through the kernels of bench/, which loop over
// them; packets that go through them whole are the other tests' business.
import { readFileSync } from "node:fs";
import { crc32c, inet } from "@emudev/net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { CRC_TABLE_BYTES, CRC32C, writeCrcTable } from "../src/control/crc-tables.ts";
import { arena } from "./support/bench-queues.ts";

type Loop = (from: number, to: number, n: number, bytes: number, stride: number, table: number) => number;
const wasm = readFileSync(new URL("../../../bench/dist/kernels.wasm", import.meta.url));
const instance = new WebAssembly.Instance(new WebAssembly.Module(wasm), { env: { memory: arena.memory } });
const kernel = (name: string): Loop => instance.exports[`header_${name}`] as Loop;

const LONGEST = 9728;
const ROOM = LONGEST + 256;
const from = arena.memzoneReserve("header from", ROOM).off;
const to = arena.memzoneReserve("header to", ROOM).off;
const table = arena.memzoneReserve("header crc", CRC_TABLE_BYTES).off;
writeCrcTable(arena, table, CRC32C);

const length = fc.oneof(fc.nat(200), fc.nat(LONGEST));
const place = fc.nat(63);
/** Bytes by their seed: mixed ones, or all alike, where carries and zeros are. */
const filling = fc.oneof(
  fc.nat(0xffff).map((seed) => (i: number) => (i * (seed | 1) + (i >> 7) * seed + seed) & 255),
  fc.constantFrom(
    () => 0,
    () => 255,
  ),
);

/** A sum as the 16 bits that lie in memory: net's are of words in network order. */
const inMemory = (sum: number): number => {
  const folded = ~inet.finish(sum) & 0xffff;
  return ((folded & 255) << 8) | (folded >> 8);
};

test("the sum of any bytes is RFC 1071's", () => {
  fc.assert(
    fc.property(length, place, filling, (bytes, at, fill) => {
      const data = Uint8Array.from({ length: bytes }, (_, i) => fill(i));
      arena.u8.set(data, from + at);
      expect(kernel("sum")(from + at, 0, 1, bytes, 0, 0)).toBe(inMemory(inet.sum(data)));
    }),
    { numRuns: 500 },
  );
});

test("a copy sums what it copies, in pieces cut anywhere, and writes nothing beside it", () => {
  fc.assert(
    fc.property(
      length,
      place,
      place,
      filling,
      fc.array(fc.nat(LONGEST), { maxLength: 4 }),
      (bytes, at, toAt, fill, cuts) => {
        const data = Uint8Array.from({ length: bytes }, (_, i) => fill(i));
        arena.u8.set(data, from + at);
        arena.u8.fill(0xee, to, to + ROOM);
        const ends = [...cuts.map((cut) => (bytes === 0 ? 0 : cut % bytes)).sort((a, b) => a - b), bytes];
        let sum = 0;
        let done = 0;
        for (const end of ends) {
          sum += kernel("copy_sum")(from + at + done, to + toAt + done, 1, end - done, 0, done & 1);
          done = end;
        }
        while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
        expect(sum).toBe(inMemory(inet.sum(data)));
        expect(Buffer.compare(arena.u8.subarray(to + toAt, to + toAt + bytes), data)).toBe(0);
        const beside = [...arena.u8.subarray(to, to + toAt), ...arena.u8.subarray(to + toAt + bytes, to + ROOM)];
        expect(beside.every((byte) => byte === 0xee)).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
});

test("the CRC of any bytes is RFC 9260's", () => {
  fc.assert(
    fc.property(length, place, filling, (bytes, at, fill) => {
      const data = Uint8Array.from({ length: bytes }, (_, i) => fill(i));
      arena.u8.set(data, from + at);
      expect(kernel("crc32c")(from + at, 0, 1, bytes, 0, table) >>> 0).toBe(crc32c(data));
    }),
    { numRuns: 300 },
  );
  const check = new TextEncoder().encode("123456789");
  arena.u8.set(check, from);
  expect(kernel("crc32c")(from, 0, 1, check.length, 0, table) >>> 0).toBe(0xe3069283);
});
