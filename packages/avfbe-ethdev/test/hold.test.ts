// Packets that wait for a window: whatever their lengths, bursts and the windows that come and go, the guest gets each once, in
// order and whole; what finds no room to wait stays the caller's. The area is filled and gone round several times.
import { RSS_HENA_ALL } from "@emudev/avf";
import { pread } from "@emudev/linux";
import { Mempool } from "@emudev/shm";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { GRX_HELD, GRX_HELD_LOST } from "../src/layout/guest-queue.ts";
import { arena, Bench, kernels } from "./support/bench-queues.ts";
import { RxRing } from "./support/rings.ts";
import { GUEST_BASE } from "./support/world.ts";

const SEED = Number(process.env.EMUDEV_SEED ?? 13);
const BYTES = 6 * 2 ** 30;
const SIZE = 256;
const ROOM = 9728;
const pool = Mempool.createPktmbuf(arena, "hold", { n: 511, cacheSize: 64, dataRoomSize: 9728 + 128 });
const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.close();
  expect(pool.availCount()).toBe(pool.size);
});

/** The buffer of descriptor i: twenty at a time in one of three far places. */
const buffer = (i: number): bigint => GUEST_BASE + BigInt((1 + (Math.floor(i / 20) % 3)) * 2 ** 30 + i * 16384);

const frame = (n: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length).fill(n & 255);
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x88, 0xb5, n >>> 8, n & 255]);
  return bytes;
};

test("arrive once, in order and whole; what has no room stays the caller's", async () => {
  let refused = 0;
  let held = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 16, max: 9000 }), { minLength: 20, maxLength: 60 }),
      fc.array(fc.record({ burst: fc.integer({ min: 1, max: 32 }), fetch: fc.boolean() }), {
        minLength: 5,
        maxLength: 20,
      }),
      async (lengths, steps) => {
        const bench = await Bench.make(pool, { bytes: BYTES, windows: 3 });
        benches.push(bench);
        const { guest } = bench;
        const rx = await RxRing.make(bench, { size: SIZE, bufSize: ROOM, post: 0 });
        for (let i = 0; i < SIZE; i++) rx.buffers[i] = buffer(i);
        rx.post(SIZE - 1);
        const total = 900;
        const lengthOf = (n: number): number => lengths[n % lengths.length]!;
        const got = new Uint8Array(ROOM);
        let sent = 0;
        let arrived = 0;
        for (let turn = 0; arrived < total; turn++) {
          if (turn > 20_000) throw new Error(`${arrived} of ${total} have arrived, ${sent} were taken`);
          const { burst, fetch } = steps[turn % steps.length]!;
          const frames = Array.from({ length: Math.min(burst, total - sent) }, (_, i) =>
            frame(sent + i, lengthOf(sent + i)),
          );
          const taken = frames.length === 0 ? 0 : bench.transmit(frames);
          refused += frames.length - taken;
          sent += taken;
          // Seldom enough for much to wait, often enough to come to an end.
          if (fetch && turn % 7 === 0) for (const queue of bench.queues.wanting()) await bench.queues.reach(queue);
          else if (turn % 20 === 0) for (const queue of bench.queues.wanting()) await bench.queues.reach(queue);
          // What waits is delivered by the next burst, or by flush() when there is none.
          if (fetch || frames.length === 0) kernels.avfbe_tx_held(bench.txq());
          for (;;) {
            const word = guest.u64[guest.word(rx.base) + 4 * rx.next + 1]!;
            if ((word & 1n) === 0n || rx.next === rx.posted) break;
            const length = Number((word >> 38n) & 0x3fffn);
            pread(guest.fd, got, buffer(rx.next) - GUEST_BASE);
            expect(length).toBe(lengthOf(arrived));
            expect(Buffer.compare(got.subarray(0, length), frame(arrived, length))).toBe(0);
            arrived++;
            rx.next = (rx.next + 1) % SIZE;
            rx.post(1);
          }
        }
        expect(sent).toBe(total);
        const gq = bench.queues.rx[0]!;
        held += arena.counter(gq.off + GRX_HELD);
        expect(arena.counter(gq.off + GRX_HELD_LOST)).toBe(0);
        benches.pop();
        await bench.close();
      },
    ),
    { seed: SEED, numRuns: 6 },
  );
  expect(held).toBeGreaterThan(1000);
  expect(refused).toBeGreaterThan(0);
});

test("what waits when its queue is let go is counted", async () => {
  const bench = await Bench.make(pool, { bytes: BYTES, windows: 3 });
  benches.push(bench);
  const rx = await RxRing.make(bench, { size: 32, bufSize: 2048, post: 0 });
  for (let i = 0; i < 32; i++) rx.buffers[i] = buffer(i);
  rx.post(5);
  // One for each descriptor that was posted.
  expect(bench.transmit(Array.from({ length: 8 }, (_, n) => frame(n, 100)))).toBe(5);
  const gq = bench.queues.rx[0]!;
  expect(arena.counter(gq.off + GRX_HELD)).toBe(5);
  await bench.queues.disable(0);
  expect(arena.counter(gq.off + GRX_HELD_LOST)).toBe(5);
});

/** What the guest's four queues find written back for these frames: address aside, all of each descriptor, and the bytes. */
async function spread(frames: readonly Uint8Array[], far: boolean): Promise<string[][]> {
  const bench = await Bench.make(pool, far ? { bytes: BYTES, windows: 3 } : {});
  benches.push(bench);
  const { guest } = bench;
  guest.attrs.set(
    "rss_key",
    Uint8Array.from({ length: 52 }, (_, i) => (i * 89) & 255),
  );
  guest.attrs.set(
    "rss_lut",
    Uint8Array.from({ length: 64 }, (_, i) => i % 4),
  );
  guest.attrs.set("rss_hena", RSS_HENA_ALL);
  const rings: RxRing[] = [];
  for (let pair = 0; pair < 4; pair++) {
    const ring = await RxRing.make(bench, { pair, size: 64, bufSize: 512, post: 0 });
    if (far) for (let i = 0; i < 64; i++) ring.buffers[i] = buffer(i + 64 * pair);
    ring.post(63);
    rings.push(ring);
  }
  expect(bench.transmit(frames)).toBe(frames.length);
  for (let i = 0; i < 200 && bench.queues.wanting().length > 0; i++) {
    for (const queue of bench.queues.wanting()) await bench.queues.reach(queue);
    kernels.avfbe_tx_held(bench.txq());
  }
  return rings.map((ring) =>
    Array.from({ length: 64 }, (_, i) => i)
      .map((i) => guest.word(ring.base) + 4 * i)
      .filter((at) => (guest.u64[at + 1]! & 1n) === 1n)
      .map((at, i) => {
        const bytes = new Uint8Array(Number((guest.u64[at + 1]! >> 38n) & 0x3fffn));
        pread(guest.fd, bytes, ring.buffers[i]! - GUEST_BASE);
        return `${[...guest.u64.subarray(at, at + 4)].map(String)} ${Buffer.from(bytes).toString("hex")}`;
      }),
  );
}

test("what is spread over queues by its hash waits with it, in each queue by itself", async () => {
  const frames = Array.from({ length: 100 }, (_, n) => {
    const ip = [0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, n, 10, 0, n % 7, 1, 4, n, 8, 0, 0, 40, 0, 0];
    return Uint8Array.from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0, ...ip, ...new Array<number>(32).fill(n)]);
  });
  const near = await spread(frames, false);
  expect(near.flat()).toHaveLength(100);
  expect(near.every((queue) => queue.length > 5)).toBe(true);
  expect(await spread(frames, true)).toEqual(near);
});
