// A guest that puts anything into its transmit ring: kernel and model must agree on every packet, every counter and every
// descriptor given back; no mbuf may be lost, and no byte of guest memory but the descriptors' second words may change.
import { Mempool } from "@emudev/shm";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import {
  GQ_HEAD,
  GTX_BAD_ADDRESS,
  GTX_BAD_CONTEXT,
  GTX_BAD_LENGTH,
  GTX_BAD_OFFLOAD,
  GTX_BAD_TSO,
  GTX_BAD_TYPE,
  GTX_CHECKSUM,
  GTX_DONE,
  GTX_NO_EOP,
  GTX_TSO,
} from "../src/layout/guest-queue.ts";
import { RXQ_LEND } from "../src/layout/port-queue.ts";
import { makeFrame } from "./model/frames.ts";
import { type Counter, type Desc, runTxRing } from "./model/tx-ring.ts";
import { arena, Bench, hex } from "./support/bench-queues.ts";
import { dataWord, TxRing, tsoWord } from "./support/rings.ts";
import { GUEST_BASE } from "./support/world.ts";

const COUNTERS: Record<Counter, number> = {
  type: GTX_BAD_TYPE,
  length: GTX_BAD_LENGTH,
  eop: GTX_NO_EOP,
  address: GTX_BAD_ADDRESS,
  context: GTX_BAD_CONTEXT,
  offload: GTX_BAD_OFFLOAD,
  tso: GTX_BAD_TSO,
  tsoPackets: GTX_TSO,
  checksumPackets: GTX_CHECKSUM,
};
const SIZE = 512;
const AREA = 65_536; // where frames lie
const pool = Mempool.createPktmbuf(arena, "hostile", { n: 2047, cacheSize: 32, dataRoomSize: 2176 });
const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.close();
});

// Frames that the descriptors point to, well formed ones among noise.
const FRAMES = [
  makeFrame({ ipv6: false, protocol: "tcp", payload: 900 }),
  makeFrame({ ipv6: true, protocol: "udp", payload: 333 }),
  makeFrame({ ipv6: false, protocol: "sctp", payload: 57, ipOptions: 8 }),
  makeFrame({ ipv6: false, protocol: "tcp", payload: 9000, tcpOptions: 12 }, true),
  makeFrame({ ipv6: true, protocol: "tcp", payload: 5000 }, true),
];
const PLACE = FRAMES.map((_, i) => BigInt(i * 16_384));

/** Well formed and nearly well formed packets. */
const frameItem = fc
  .record({
    which: fc.nat(FRAMES.length - 1),
    cuts: fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 10 }),
    offload: fc.boolean(),
    vlan: fc.boolean(),
    context: fc.constantFrom("none", "tso", "tso", "vlan", "odd"),
    mss: fc.constantFrom(64, 63, 536, 1448, 9000, 16_383),
    wrong: fc.constantFrom(0, 0, 0, 1, 2, 3, 4),
  })
  .map(({ which, cuts, offload, vlan, context, mss, wrong }): Desc[] => {
    const { bytes, cmd, offsets, headerBytes } = FRAMES[which]!;
    const descs: Desc[] = [];
    const payload = bytes.length - headerBytes + (wrong === 1 ? 1 : 0);
    if (context === "tso") descs.push({ address: 0n, word: tsoWord(payload, mss) });
    if (context === "vlan") descs.push({ address: 0x1234_0000_0000n, word: 1n | (4n << 4n) });
    if (context === "odd") descs.push({ address: 1n, word: 1n });
    const command = (offload ? cmd : 0) | (vlan ? 8 : 0) | (wrong === 2 ? 0x100 : 0);
    const field = offsets + (wrong === 3 ? 1 << 7 : 0);
    let at = 0;
    for (const cut of [...cuts, bytes.length]) {
      const length = Math.min(cut, bytes.length - at);
      const end = at + length === bytes.length;
      const address = GUEST_BASE + BigInt(AREA) + PLACE[which]! + BigInt(at) + (wrong === 4 ? 1n << 40n : 0n);
      descs.push({ address, word: dataWord({ length, cmd: command | (end ? 3 : 0), offsets: field, tag: 0x7007 }) });
      at += length;
      if (end) break;
    }
    return descs;
  });
/** Anything at all. */
const noiseItem = fc
  .array(
    fc.record({
      address: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      word: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    }),
    { maxLength: 4 },
  )
  .map((descs): Desc[] => descs);
/** Data descriptors that never end, over memory that is there. */
const endlessItem = fc
  .integer({ min: 1, max: 14 })
  .map((count): Desc[] =>
    Array.from({ length: count }, () => ({ address: GUEST_BASE + BigInt(AREA), word: dataWord({ length: 100 }) })),
  );
/** A whole packet in one descriptor, around the shortest and the longest length that is sent. */
const edgeItem = fc
  .constantFrom(0, 1, 13, 14, 15, 60, 9723, 9724, 9725, 16_383)
  .map((length): Desc[] => [{ address: GUEST_BASE + BigInt(AREA), word: dataWord({ length, cmd: 3 }) }]);

test.each([
  ["copied", 0],
  ["lent", 1],
])(
  "kernel and model agree on any ring, packets %s",
  async (_, lend) => {
    const seen: Record<string, number> = { packets: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            { weight: 6, arbitrary: frameItem },
            { weight: 1, arbitrary: noiseItem },
            { weight: 1, arbitrary: endlessItem },
            { weight: 1, arbitrary: edgeItem },
          ),
          { minLength: 1, maxLength: 24 },
        ),
        fc.integer({ min: 1, max: 64 }),
        fc.nat(SIZE - 1),
        async (items, burst, start) => {
          const bench = await Bench.make(pool, { bytes: 1 << 20 });
          benches.push(bench);
          const { guest } = bench;
          const ring = await TxRing.make(bench, SIZE);
          arena.u32[(bench.rxq() + RXQ_LEND) >>> 2] = lend;
          FRAMES.forEach(({ bytes }, i) => {
            guest.view(GUEST_BASE + BigInt(AREA) + PLACE[i]!, bytes.length).set(bytes);
          });
          const descs = items.flat().slice(0, SIZE - 1);
          bench.queues.tx[0]!.put(GQ_HEAD, start);
          bench.queues.tx[0]!.put(GTX_DONE, start);
          ring.next = start;
          for (const { address, word } of descs) ring.put(address, word);
          ring.kick();
          const memory = guest.view(GUEST_BASE, guest.bytes).slice();
          const read = (address: bigint, length: number): Uint8Array | null => {
            const at = address - GUEST_BASE;
            return at >= 0n && at + BigInt(length) <= BigInt(guest.bytes)
              ? memory.subarray(Number(at), Number(at) + length)
              : null;
          };
          const expected = runTxRing(descs, read);

          const packets: Uint8Array[] = [];
          for (let idle = 0, head = -1; idle < 2; ) {
            const got = bench.receive(burst);
            packets.push(...got);
            const now = bench.queues.tx[0]!.get(GQ_HEAD);
            idle = got.length === 0 && now === head ? idle + 1 : 0;
            head = now;
          }
          expect(hex(packets)).toEqual(hex(expected.packets));
          const state = bench.queues.tx[0]!.off;
          const counted = Object.fromEntries(
            Object.entries(COUNTERS).map(([name, field]) => [name, arena.counter(state + field)]),
          );
          expect(counted).toEqual(expected.counters);
          seen.packets! += packets.length;
          for (const [name, times] of Object.entries(counted)) seen[name] = (seen[name] ?? 0) + times;
          expect(bench.queues.tx[0]!.get(GQ_HEAD)).toBe((start + expected.consumed) % SIZE);

          const base = Number(ring.base - GUEST_BASE);
          for (let i = 0; i < expected.consumed; i++) {
            const at = base + 16 * ((start + i) % SIZE) + 8;
            memory.set([15, 0, 0, 0, 0, 0, 0, 0], at);
          }
          expect(Buffer.compare(guest.view(GUEST_BASE, guest.bytes), memory)).toBe(0);
          expect(pool.availCount()).toBe(pool.size);
          await benches.pop()!.close();
        },
      ),
      { numRuns: 100 },
    );
    for (const [what, times] of Object.entries(seen)) expect([what, times > 0]).toEqual([what, true]);
  },
  60_000,
);

test("a burst looks at no more of a ring of garbage than of packets, so that neighbours get their turn", async () => {
  const bench = await Bench.make(pool, { bytes: 1 << 20 });
  benches.push(bench);
  const ring = await TxRing.make(bench, 4096);
  const queue = bench.queues.tx[0]!;
  const heads = (n: number): number[] =>
    Array.from({ length: n }, () => {
      expect(bench.receive(32)).toEqual([]);
      return queue.get(GQ_HEAD);
    });

  for (let i = 0; i < 1000; i++) ring.put(0n, 0xffn); // unknown types
  for (let i = 0; i < 1000; i++) ring.put(1n << 60n, dataWord({ length: 100, cmd: 3 })); // nowhere
  for (let i = 0; i < 2000; i++) ring.put(GUEST_BASE, dataWord({ length: 100 })); // endless
  ring.kick();
  expect(heads(3)).toEqual([32, 64, 96]);
  heads(60);
  expect(queue.get(GQ_HEAD)).toBeLessThanOrEqual(63 * 32 + 512);
  heads(10); // the endless one: 512 descriptors a burst
  expect(queue.get(GQ_HEAD)).toBe(4000);
});
