// Where a queue stands, kept beyond the port's hold on it: a queue that is let go and taken up goes on at the next descriptor,
// and one whose process was killed at any store of a burst loses nothing and gives at most that burst twice. A kill is played
// by the memory as it was after each store that matters: descriptors, then words of the position.
import { TX_DTYPE_DONE } from "@emudev/avf";
import { loadPlace, QPOS_BYTES, QPOS_DONE, sealPlace, storeIntent, storePlace } from "@emudev/emudev";
import { Mempool } from "@emudev/shm";
import { afterEach, expect, test } from "vitest";
import { POSITION_SKIP } from "../src/layout/guest-queue.ts";
import { arena, Bench } from "./support/bench-queues.ts";
import { RxRing, TxRing } from "./support/rings.ts";

const pool = Mempool.createPktmbuf(arena, "position", { n: 1023, cacheSize: 64, dataRoomSize: 2176 });
const benches: Bench[] = [];
let zone = 0;
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.close();
  expect(pool.availCount()).toBe(pool.size);
});

async function make(durable: boolean): Promise<{ bench: Bench; places: number }> {
  const places = arena.memzoneReserve(`places${zone++}`, 2 * QPOS_BYTES).off;
  const bench = await Bench.make(pool);
  benches.push(bench);
  for (const number of [0, 1]) storePlace(arena, places + number * QPOS_BYTES, 0);
  bench.guest.position = (number) => ({ off: places + number * QPOS_BYTES, durable });
  return { bench, places };
}
const frame = (seq: number): Uint8Array => Uint8Array.from({ length: 64 }, (_, i) => (i === 20 ? seq : 2));
const seqs = (frames: readonly Uint8Array[]): number[] => frames.map((bytes) => bytes[20]!);
const words = (places: number, number: number): number[] => {
  const { done, next } = loadPlace(arena, places + number * QPOS_BYTES)!;
  return [done, next];
};
const setWords = (places: number, number: number, done: number, next: number): void => {
  const off = places + number * QPOS_BYTES;
  storeIntent(arena, off, next);
  arena.u64[(off + QPOS_DONE) >>> 3] = sealPlace(done);
};
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

test.each([false, true])("let go and taken up, both ways (durable: %s)", async (durable) => {
  const { bench, places } = await make(durable);
  const tx = await TxRing.make(bench, 32);
  const rx = await RxRing.make(bench, { size: 32 });
  let seq = 0;
  for (let round = 0; round < 12; round++) {
    for (let i = 0; i < 9; i++) tx.send(frame(seq + i));
    tx.kick();
    expect(seqs(bench.receive(5))).toEqual(range(seq, seq + 5));
    expect(bench.transmit(range(seq, seq + 5).map(frame))).toBe(5);
    await bench.queues.disable(0);
    await bench.queues.disable(1);
    expect(words(places, 1)).toEqual([(seq + 5) % 32, (seq + 5) % 32]);
    expect(tx.words()[(seq + 4) % 32]).toBe(BigInt(TX_DTYPE_DONE)); // given back
    expect(seqs(rx.take().map(({ bytes }) => bytes))).toEqual(range(seq, seq + 5));
    await bench.enable(0);
    await bench.enable(1);
    expect(seqs(bench.receive(32))).toEqual(range(seq + 5, seq + 9));
    expect(bench.transmit(range(seq + 5, seq + 9).map(frame))).toBe(4);
    expect(seqs(rx.take().map(({ bytes }) => bytes))).toEqual(range(seq + 5, seq + 9));
    seq += 9;
  }
});

test("in the middle of a packet that is dropped, too", async () => {
  const { bench, places } = await make(false);
  const tx = await TxRing.make(bench, 32);
  for (let i = 0; i < 12; i++) tx.send(new Uint8Array(20), {}, [20, 0].slice(0, 1)); // 12 packets
  const bad = tx.next;
  for (let i = 0; i < 10; i++) tx.put(tx.base, 100n << 34n); // more buffers than a packet may have, no end
  tx.kick();
  bench.receive(32);
  await bench.queues.disable(1);
  expect(words(places, 1)).toEqual([(bad + 10) | POSITION_SKIP, (bad + 10) | POSITION_SKIP]);
  await bench.enable(1);
  tx.send(frame(1)); // the end of the bad packet
  tx.send(frame(2));
  tx.kick();
  expect(seqs(bench.receive(32))).toEqual([2]);
});

test("a durable transmit queue gives descriptors back when their packets were handed on", async () => {
  const { bench, places } = await make(true);
  const tx = await TxRing.make(bench, 32);
  for (let i = 0; i < 3; i++) tx.send(frame(i));
  tx.kick();
  expect(seqs(bench.receive(32))).toEqual([0, 1, 2]);
  expect(tx.words()[0]).not.toBe(BigInt(TX_DTYPE_DONE));
  expect(words(places, 1)).toEqual([0, 0]);
  expect(bench.receive(32)).toEqual([]);
  expect(tx.words().slice(0, 4)).toEqual([...Array(3).fill(BigInt(TX_DTYPE_DONE)), 0n]);
  expect(words(places, 1)).toEqual([3, 3]);
});

test("a port that is stopped gives its last burst back, with an interrupt", async () => {
  const { bench, places } = await make(true);
  const tx = await TxRing.make(bench, 32);
  for (let i = 0; i < 3; i++) tx.send(frame(i));
  tx.kick();
  bench.receive(2);
  const [, vector] = bench.guest.vectors;
  expect(vector!.pending).toBe(false);
  await bench.queues.serve([], []);
  expect(tx.words().slice(0, 3)).toEqual([BigInt(TX_DTYPE_DONE), BigInt(TX_DTYPE_DONE), expect.any(BigInt)]);
  expect(tx.words()[2]).not.toBe(BigInt(TX_DTYPE_DONE));
  expect(words(places, 1)).toEqual([2, 2]);
  expect(vector!.pending).toBe(true);
  await bench.queues.serve([bench.rxq()], [bench.txq()]);
  expect(seqs(bench.receive(32))).toEqual([2]);
});

/** The process is gone: what it knew but for the position and the guest's memory. */
async function killed(bench: Bench, number: number, places: number, done: number, next: number): Promise<void> {
  const kept = bench.guest.u8.slice();
  await bench.queues.disable(number);
  bench.guest.u8.set(kept); // what letting go wrote
  setWords(places, number, done, next);
}

test("killed while a transmit queue gives descriptors back, before and after each of them", async () => {
  for (let given = 0; given <= 4; given++) {
    for (const wrapped of [false, true]) {
      const { bench, places } = await make(true);
      const tx = await TxRing.make(bench, 16);
      for (let i = 0; i < 15; i++) tx.send(frame(i));
      tx.kick();
      expect(seqs(bench.receive(4))).toEqual([0, 1, 2, 3]);
      const at = bench.guest.word(tx.base);
      for (let i = 0; i < given; i++) bench.guest.u64[at + 2 * i + 1] = BigInt(TX_DTYPE_DONE);
      // A driver that saw them done has sent more by now.
      const fresh = wrapped ? Math.max(given - 1, 0) : 0;
      for (let i = 0; i < fresh; i++) tx.send(frame(100 + i));
      tx.kick();
      await killed(bench, 1, places, 0, 4);
      await bench.enable(1);
      expect(
        tx
          .words()
          .slice(fresh === 0 ? 0 : fresh, 4)
          .every((word) => word === BigInt(TX_DTYPE_DONE)),
      ).toBe(true);
      expect(seqs(bench.receive(32))).toEqual([...range(4, 15), ...range(100, 100 + fresh)]);
      await benches.pop()!.close();
    }
  }
});

test("killed before a transmit queue gave a burst back: the burst comes again, nothing else", async () => {
  const { bench, places } = await make(true);
  const tx = await TxRing.make(bench, 16);
  for (let i = 0; i < 10; i++) tx.send(frame(i));
  tx.kick();
  bench.receive(6);
  await killed(bench, 1, places, 0, 0);
  await bench.enable(1);
  expect(seqs(bench.receive(32))).toEqual(range(0, 10));
});

test("killed while a receive queue writes back: what has DD stays, what has not comes with an error", async () => {
  for (let given = 0; given <= 4; given++) {
    for (const intent of [false, true]) {
      if (!intent && given > 0) continue; // nothing is written back before the intent
      const { bench, places } = await make(true);
      const rx = await RxRing.make(bench, { size: 16 });
      bench.transmit(range(0, 4).map(frame));
      const at = bench.guest.word(rx.base);
      for (let i = given; i < 4; i++) bench.guest.u64[at + 4 * i + 1] = 0n;
      const before = rx.take();
      expect(seqs(before.map(({ bytes }) => bytes))).toEqual(range(0, given)); // taken and posted again by the driver
      await killed(bench, 0, places, 0, intent ? 4 : 0);
      await bench.enable(0);
      const lost = rx.take();
      expect(lost.map(({ error }) => error & 1)).toEqual(Array(4 - given).fill(1));
      bench.transmit(range(10, 20).map(frame));
      expect(seqs(rx.take().map(({ bytes }) => bytes))).toEqual(range(10, 20));
      await benches.pop()!.close();
    }
  }
});
