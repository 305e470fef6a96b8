// Any packets, over any buffers that a guest may post, under any filters: kernel and model must agree on every descriptor
// that is written back, every counter and every byte of guest memory.
import { Mempool, mbufFrom } from "@emudev/shm";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { GQ_HEAD, GRX_BAD_ADDRESS, GRX_FILTERED, GRX_OVERSIZE, GRX_PACKETS } from "../src/layout/guest-queue.ts";
import { runRxRing } from "./model/rx-ring.ts";
import { arena, Bench, LCORE } from "./support/bench-queues.ts";
import { RxRing } from "./support/rings.ts";
import { GUEST_BASE } from "./support/world.ts";

const SIZE = 64;
const pool = Mempool.createPktmbuf(arena, "rxhostile", { n: 1023, cacheSize: 32, dataRoomSize: 128 + 1000 });
const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.close();
});

const OWN = Uint8Array.of(2, 0, 0, 0, 0, 1);
const macs = [OWN, Uint8Array.of(2, 0, 0, 0, 0, 9), Uint8Array.of(1, 0, 0x5e, 0, 0, 1), new Uint8Array(6).fill(255)];
const packet = fc
  .record({
    to: fc.nat(3),
    length: fc.oneof(
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 20 }) },
      { weight: 5, arbitrary: fc.integer({ min: 14, max: 3000 }) },
    ),
    tag: fc.option(fc.constantFrom(0, 5, 0xe005, 6, 4095), { freq: 2 }),
    vlan: fc.option(fc.constantFrom(0, 5, 7), { nil: undefined, freq: 3 }),
    seed: fc.nat(255),
  })
  .map(({ to, length, tag, vlan, seed }) => {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 13 + seed) & 255);
    bytes.set(macs[to]!.subarray(0, length));
    if (length >= 14) bytes.set([0x88, 0xcc], 12);
    if (tag !== null && length >= 18) bytes.set([0x81, 0, tag >> 8, tag & 255], 12);
    return vlan === undefined || length < 14 ? { bytes } : { bytes, vlan };
  });
const filters = fc.record({
  mac: fc.constant(OWN),
  promisc_unicast: fc.boolean(),
  promisc_multicast: fc.boolean(),
  mac_filters: fc.subarray(macs.slice(1, 3)),
  vlan_filters: fc.constantFrom([], [], [5, 4095]),
  vlan_strip: fc.boolean(),
});

test("kernel and model agree on any ring", async () => {
  const seen = { filtered: 0, oversize: 0, runts: 0, badAddress: 0, sent: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(packet, { minLength: 1, maxLength: 30 }),
      filters,
      fc.array(fc.constantFrom(...Array<string>(12).fill("good"), "outside", "edge", "readonly"), {
        minLength: 0,
        maxLength: SIZE - 1,
      }),
      fc.record({
        bufSize: fc.constantFrom(64, 100, 512, 2048),
        maxPkt: fc.constantFrom(1518, 2500, 9724),
        crc: fc.boolean(),
      }),
      fc.nat(SIZE - 1),
      async (packets, attrs, kinds, options, start) => {
        const bench = await Bench.make(pool, { bytes: 1 << 20 });
        benches.push(bench);
        const { guest } = bench;
        await guest.table.map({ iova: 0n, size: 4096n, prot: 1, fd: -1, fileOffset: 0n });
        bench.filter(attrs);
        const ring = await RxRing.make(bench, { size: SIZE, post: 0, ...options });
        bench.queues.rx[0]!.put(GQ_HEAD, start);
        ring.posted = start;
        const places = { outside: 0x7000_0000n, edge: GUEST_BASE + BigInt(guest.bytes - 8), readonly: 0n };
        const posted = kinds.map((kind, i) => {
          const index = (start + i) % SIZE;
          if (kind !== "good") ring.buffers[index] = places[kind as keyof typeof places];
          return ring.buffers[index]!;
        });
        ring.post(kinds.length);
        const memory = guest.view(GUEST_BASE, guest.bytes).slice();
        const writable = (address: bigint, length: number): boolean =>
          address >= GUEST_BASE && address + BigInt(length) <= GUEST_BASE + BigInt(guest.bytes);
        const expected = runRxRing(packets, { posted, writable, ...options }, attrs);

        const mbufs = packets.map(({ bytes, vlan }) => {
          const mbuf = mbufFrom(pool, LCORE, bytes);
          if (vlan === undefined) return mbuf;
          arena.u32[(mbuf + 20) >>> 2] = 1 << 25;
          arena.u16[(mbuf + 44) >>> 1] = vlan;
          return mbuf;
        });
        expect(bench.transmitMbufs(mbufs)).toBe(expected.taken);

        const state = bench.queues.rx[0]!.off;
        const count = (field: number): number => arena.counter(state + field);
        const { filtered, oversize, runts, badAddress, sent } = expected;
        expect([GRX_FILTERED, GRX_OVERSIZE, GRX_BAD_ADDRESS, GRX_PACKETS].map(count)).toEqual([
          filtered,
          oversize,
          badAddress,
          sent,
        ]);
        expect(arena.counter(bench.txq() + 16)).toBe(runts);
        for (const name of Object.keys(seen) as (keyof typeof seen)[]) seen[name] += expected[name];

        const base = Number(ring.base - GUEST_BASE);
        const view = new DataView(memory.buffer);
        const words = guest.word(ring.base);
        expected.written.forEach(({ data, end, error, tag }, i) => {
          const index = (start + i) % SIZE;
          const word = guest.u64[words + 4 * index + 1]!;
          const fields = [word & 3n, (word >> 38n) & 0x3fffn, (word >> 19n) & 0xffn, (word >> 2n) & 1n];
          expect(fields.map(Number)).toEqual([end ? 3 : 1, data.length, error ? 1 : 0, tag === null ? 0 : 1]);
          const at = base + 32 * index;
          view.setBigUint64(at, tag === null ? 0n : BigInt(tag) << 16n, true);
          view.setBigUint64(at + 8, word, true);
          view.setBigUint64(at + 16, 0n, true);
          view.setBigUint64(at + 24, 0n, true);
          if (!error) memory.set(data, Number(posted[i]! - GUEST_BASE));
        });
        expect(bench.queues.rx[0]!.get(GQ_HEAD)).toBe((start + expected.written.length) % SIZE);
        if (expected.taken === packets.length)
          expect(Buffer.compare(guest.view(GUEST_BASE, guest.bytes), memory)).toBe(0);
        expect(pool.availCount()).toBe(pool.size);
        await benches.pop()!.close();
      },
    ),
    { numRuns: 150 },
  );
  for (const [what, times] of Object.entries(seen)) expect([what, times > 0]).toEqual([what, true]);
}, 60_000);
