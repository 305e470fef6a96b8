// The dirty log against the list of writes: whatever traffic there is, exactly the pages are reported that the device wrote to:
// receive buffers, descriptors written back, and what the slow path carries to memory that is not mapped.
import { Mempool } from "@emudev/shm";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { arena, Bench } from "./support/bench-queues.ts";
import { RxRing, TxRing } from "./support/rings.ts";
import { GUEST_BASE } from "./support/world.ts";

const SEED = Number(process.env.EMUDEV_SEED ?? 11);
const PAGE = 4096;
const pool = Mempool.createPktmbuf(arena, "dirty", { n: 1023, cacheSize: 64, dataRoomSize: 2176 });
const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.close();
  expect(pool.availCount()).toBe(pool.size);
});

function reported(bench: Bench, from = GUEST_BASE, bytes = bench.guest.bytes, pageSize = PAGE): number[] {
  const bitmap = new Uint8Array(Math.ceil(bytes / pageSize / 8));
  bench.guest.table.dirty.report(from, BigInt(bytes), pageSize, bitmap);
  return [...bitmap.keys()].flatMap((byte) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((b) => (bitmap[byte]! >> b) & 1).map((b) => 8 * byte + b),
  );
}

const touch = (pages: Set<number>, iova: bigint, bytes: number): void => {
  const at = Number(iova - GUEST_BASE);
  for (let page = Math.floor(at / PAGE); page * PAGE < at + bytes; page++) pages.add(page);
};

interface Step {
  frames: number[];
  sent: number[];
}
const step: fc.Arbitrary<Step> = fc.record({
  frames: fc.array(fc.integer({ min: 14, max: 4000 }), { maxLength: 6 }),
  sent: fc.array(fc.integer({ min: 60, max: 3000 }), { maxLength: 6 }),
});

test("every page that was written to is reported once, and no other", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.constantFrom(1024, 2048), async (steps, bufSize) => {
      const bench = await Bench.make(pool);
      benches.push(bench);
      const rx = await RxRing.make(bench, { bufSize, size: 256 });
      const tx = await TxRing.make(bench, 256);
      await bench.guest.table.dirty.start();
      for (const { frames, sent } of steps) {
        const written = new Set<number>();
        const first = rx.next;
        for (const length of sent) tx.send(new Uint8Array(length).fill(2));
        const from = tx.next - sent.length;
        tx.kick();
        bench.receive(32);
        sent.forEach((_, i) => {
          touch(written, tx.base + BigInt(16 * ((from + i + tx.size) % tx.size)), 16);
        });
        bench.transmit(frames.map((length) => new Uint8Array(length).fill(2)));
        // The list of writes, from what the ring says was given back.
        const { u64 } = bench.guest;
        for (let at = first; ; at = (at + 1) % rx.size) {
          const word = u64[bench.guest.word(rx.base) + 4 * at + 1]!;
          if ((word & 1n) === 0n || at === rx.posted) break;
          touch(written, rx.base + BigInt(32 * at), 32);
          touch(written, rx.buffers[at]!, Number((word >> 38n) & 0x3fffn));
        }
        expect(reported(bench)).toEqual([...written].sort((a, b) => a - b));
        expect(reported(bench)).toEqual([]); // a report forgets
        rx.take();
      }
      await bench.guest.table.dirty.stop();
      benches.pop();
      await bench.close();
    }),
    { seed: SEED, numRuns: 40 },
  );
});

test("reports of parts and of larger pages, and writes of the control side", async () => {
  const bench = await Bench.make(pool);
  benches.push(bench);
  const { table } = bench.guest;
  await table.write(GUEST_BASE, Uint8Array.of(1)); // before the log
  await table.dirty.start();
  await table.write(GUEST_BASE + 5n * 4096n - 1n, new Uint8Array(2));
  await table.write(GUEST_BASE + 100n * 4096n, new Uint8Array(4096));
  expect(reported(bench, GUEST_BASE, 5 * PAGE)).toEqual([4]); // the rest stays
  expect(reported(bench, GUEST_BASE, bench.guest.bytes, 16 * PAGE)).toEqual([0, 6]);
  await table.dirty.stop();
  expect(() => reported(bench)).toThrow(/started first/);
});

test("memory that is not mapped is logged, too", async () => {
  const bench = await Bench.make(pool, { mapped: false });
  benches.push(bench);
  await bench.guest.mapRemote();
  await bench.guest.table.dirty.start();
  await bench.guest.table.write(GUEST_BASE + 4000n, new Uint8Array(5000));
  expect(reported(bench)).toEqual([0, 1, 2]);
  expect(reported(bench)).toEqual([]);
});
