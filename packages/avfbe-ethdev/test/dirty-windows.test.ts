// The dirty log of a guest that is larger than the arena: windows come and go between a write and the report, and still
// exactly the pages are reported that the device wrote to. The list of writes is read from the rings.
import { Mempool } from "@emudev/shm";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { arena, Bench, kernels } from "./support/bench-queues.ts";
import { dataWord, RxRing, TxRing } from "./support/rings.ts";
import { GUEST_BASE } from "./support/world.ts";

const SEED = Number(process.env.EMUDEV_SEED ?? 12);
const PAGE = 4096;
const BYTES = 6 * 2 ** 30;
const PLACES = 40;
const pool = Mempool.createPktmbuf(arena, "dirty", { n: 1023, cacheSize: 64, dataRoomSize: 2176 });
const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.close();
  expect(pool.availCount()).toBe(pool.size);
});

/** Far from each other, some across a window's end. */
const place = (n: number): bigint =>
  GUEST_BASE + 2n ** 28n + BigInt(n) * 2n ** 27n + (n % 3 === 0 ? 2n ** 21n - 700n : 0n);

function reported(bench: Bench): number[] {
  const bitmap = new Uint8Array(BYTES / PAGE / 8);
  bench.guest.table.dirty.report(GUEST_BASE, BigInt(BYTES), PAGE, bitmap);
  const pages: number[] = [];
  const words = new Uint32Array(bitmap.buffer);
  for (let word = 0; word < words.length; word++)
    for (let bits = words[word]!; bits !== 0; bits &= bits - 1) pages.push(32 * word + 31 - Math.clz32(bits & -bits));
  return pages;
}

const touch = (pages: Set<number>, iova: bigint, bytes: number): void => {
  const at = Number(iova - GUEST_BASE);
  for (let page = Math.floor(at / PAGE); page * PAGE < at + bytes; page++) pages.add(page);
};

/** Has windows fetched until nothing waits for one. */
async function settle(bench: Bench): Promise<number> {
  let got = 0;
  for (let i = 0; i < 200; i++) {
    got += bench.receive(32).length;
    kernels.avfbe_tx_held(bench.txq());
    const wanting = bench.queues.wanting();
    if (wanting.length === 0) return got;
    for (const queue of wanting) await bench.queues.reach(queue);
  }
  throw new Error("queues still wait for windows");
}

const step = fc.record({
  frames: fc.array(fc.record({ length: fc.integer({ min: 14, max: 3000 }), at: fc.nat(PLACES - 1) }), { maxLength: 6 }),
  sent: fc.array(fc.record({ length: fc.integer({ min: 60, max: 1500 }), at: fc.nat(PLACES - 1) }), { maxLength: 6 }),
  control: fc.option(fc.nat(PLACES - 1)),
});

test("pages are reported once, whether their windows are still there or not", async () => {
  let evicted = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 8 }), async (steps) => {
      const bench = await Bench.make(pool, { bytes: BYTES, windows: 4 });
      benches.push(bench);
      const { guest } = bench;
      const { dirty } = guest.table;
      const rx = await RxRing.make(bench, { bufSize: 1024, size: 256, post: 0 });
      const tx = await TxRing.make(bench, 256);
      await dirty.start();
      for (const { frames, sent, control } of steps) {
        const written = new Set<number>();
        const first = rx.next;
        for (const { length, at } of frames)
          for (let left = length; left > 0; left -= 1024) {
            rx.buffers[rx.posted] = place(at);
            rx.post(1);
          }
        const from = tx.next;
        for (const { length, at } of sent) tx.put(place(at), dataWord({ length, cmd: 3 }));
        tx.kick();
        expect(bench.transmit(frames.map(({ length }) => new Uint8Array(length).fill(2)))).toBe(frames.length);
        expect(await settle(bench)).toBe(sent.length);
        sent.forEach((_, i) => {
          touch(written, tx.base + BigInt(16 * ((from + i) % tx.size)), 16);
        });
        for (; rx.next !== rx.posted; rx.next = (rx.next + 1) % rx.size) {
          const word = guest.u64[guest.word(rx.base) + 4 * rx.next + 1]!;
          expect(word & 1n).toBe(1n);
          touch(written, rx.base + BigInt(32 * rx.next), 32);
          touch(written, rx.buffers[rx.next]!, Number((word >> 38n) & 0x3fffn));
        }
        expect(first).toBeLessThan(rx.size);
        if (control !== null) {
          await guest.table.write(place(control), new Uint8Array(5000));
          touch(written, place(control), 5000);
        }
        expect(reported(bench)).toEqual([...written].sort((a, b) => a - b));
        expect(reported(bench)).toEqual([]); // a report forgets
      }
      evicted += guest.table.demand.evicted;
      await dirty.stop();
      benches.pop();
      await bench.close();
    }),
    { seed: SEED, numRuns: 20 },
  );
  expect(evicted).toBeGreaterThan(100);
});
