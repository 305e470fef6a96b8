// What the guest transmits, by the kernel: plain packets, chains, offloads and segmentation, each against the models.
import { MBUF_SIZE, Mempool, mbufBytes, mbufFree, mbufSegments } from "@emudev/shm";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import {
  GQ_BAD_TAIL,
  GQ_RING_FAULT,
  GQ_WANT_BOUNCE,
  GTX_BAD_OFFLOAD,
  GTX_BAD_TSO,
  GTX_BROADCAST,
  GTX_CHECKSUM,
  GTX_MULTICAST,
  GTX_PACKETS,
  GTX_TSO,
} from "../src/layout/guest-queue.ts";
import { RXQ_LEND } from "../src/layout/port-queue.ts";
import { finished, makeFrame, segmentsOf, tagged } from "./model/frames.ts";
import { arena, Bench, hex, LCORE, PORT } from "./support/bench-queues.ts";
import { dataWord, TxRing, tsoWord } from "./support/rings.ts";
import { GUEST_BASE } from "./support/world.ts";

const pool = Mempool.createPktmbuf(arena, "tx", { n: 1023, cacheSize: 64, dataRoomSize: 2176 });
const benches: Bench[] = [];
const make = async (options?: Parameters<typeof Bench.make>[1], from = pool): Promise<Bench> => {
  const bench = await Bench.make(from, options);
  benches.push(bench);
  return bench;
};
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.close();
  expect(pool.availCount()).toBe(pool.size);
});
const counter = (bench: Bench, field: number, pair = 0): number => arena.counter(bench.queues.tx[pair]!.off + field);
const bytes = (length: number, seed = 0): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 254);
const receiveAll = (bench: Bench, burst = 32): Uint8Array[] => {
  const all: Uint8Array[] = [];
  for (let got = bench.receive(burst); got.length > 0; got = bench.receive(burst)) all.push(...got);
  return all;
};

test("plain packets come out as they are, in order, over the ring's end, and their descriptors are completed", async () => {
  const bench = await make();
  const ring = await TxRing.make(bench, 64);
  for (let round = 0; round < 5; round++) {
    const frames = Array.from({ length: 50 }, (_, i) => bytes(60 + i * 29, round));
    for (const frame of frames) ring.send(frame);
    ring.kick();
    const mbufs = bench.receiveMbufs(32);
    expect(mbufs).toHaveLength(32);
    for (const mbuf of mbufs) expect(arena.u16[(mbuf + 10) >>> 1]).toBe(PORT);
    const got = mbufs.map((mbuf) => mbufBytes(arena, mbuf));
    for (const mbuf of mbufs) mbufFree(arena, LCORE, mbuf);
    expect(hex([...got, ...bench.receive(32)])).toEqual(hex(frames));
    expect(bench.receive(32)).toEqual([]);
  }
  expect(ring.words().every((word) => (word & 0xfn) === 0xfn)).toBe(true);
  expect(counter(bench, GTX_PACKETS)).toBe(250);
});

test("destinations are told apart for the guest's counters", async () => {
  const bench = await make();
  const ring = await TxRing.make(bench);
  ring.send(bytes(64));
  ring.send(Uint8Array.from([1, 0, 0x5e, 0, 0, 1, ...bytes(54)]));
  ring.send(Uint8Array.from([255, 255, 255, 255, 255, 255, ...bytes(54)]));
  ring.kick();
  expect(bench.receive(32)).toHaveLength(3);
  expect([GTX_PACKETS, GTX_MULTICAST, GTX_BROADCAST].map((c) => counter(bench, c))).toEqual([3, 1, 1]);
});

test("a packet over several descriptors is gathered; a jumbo frame fills a chain of mbufs", async () => {
  const bench = await make();
  const ring = await TxRing.make(bench);
  const small = bytes(1000);
  const jumbo = bytes(9000, 3);
  ring.send(small, {}, [1, 13, 500, 486]);
  ring.send(jumbo, {}, [4096, 4096, 808]);
  ring.kick();
  const mbufs = bench.receiveMbufs(32);
  expect(mbufs.map((mbuf) => mbufBytes(arena, mbuf))).toEqual([small, jumbo]);
  expect(mbufs.map((mbuf) => mbufSegments(arena, mbuf).length)).toEqual([1, 5]);
  for (const mbuf of mbufs) mbufFree(arena, LCORE, mbuf);
});

test("a packet whose last descriptor is not there yet waits", async () => {
  const bench = await make();
  const ring = await TxRing.make(bench);
  const frame = bytes(200);
  ring.send(frame, {}, [100, 100]);
  bench.guest.tail(1, 1);
  expect(bench.receive(32)).toEqual([]);
  ring.kick();
  expect(bench.receive(32)).toEqual([frame]);
});

test("every checksum offload gives what the RFCs say", async () => {
  const bench = await make();
  const ring = await TxRing.make(bench, 512);
  const spec = fc.record({
    ipv6: fc.boolean(),
    protocol: fc.constantFrom("tcp" as const, "udp" as const, "sctp" as const),
    payload: fc.integer({ min: 0, max: 3000 }),
    ipOptions: fc.constantFrom(0, 4, 40),
    tcpOptions: fc.constantFrom(0, 12, 40),
    seed: fc.integer({ min: 0, max: 255 }),
  });
  let memory = 0;
  await fc.assert(
    fc.asyncProperty(
      spec,
      fc.option(fc.integer({ min: 0, max: 0xffff })),
      fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 6 }),
      async (one, tag, cuts) => {
        if (memory > 6_000_000) return;
        const frame = makeFrame(one);
        const lengths = cuts.filter((_, i) => cuts.slice(0, i + 1).reduce((a, b) => a + b, 0) < frame.bytes.length);
        lengths.push(frame.bytes.length - lengths.reduce((a, b) => a + b, 0));
        memory += frame.bytes.length + 16;
        const vlan = tag === null ? {} : { tag };
        ring.send(frame.bytes, { cmd: frame.cmd | (tag === null ? 0 : 8), offsets: frame.offsets, ...vlan }, lengths);
        ring.kick();
        const mbufs = bench.receiveMbufs(8);
        const expected = tag === null ? finished(frame) : tagged(finished(frame), tag);
        expect(hex(mbufs.map((mbuf) => mbufBytes(arena, mbuf)))).toEqual(hex([expected]));
        expect(arena.u32[(mbufs[0]! + 16) >>> 2]).toBe(0x100 | (one.ipv6 ? 0 : 0x80)); // checksums known to be good
        for (const mbuf of mbufs) mbufFree(arena, LCORE, mbuf);
      },
    ),
    { numRuns: 300 },
  );
  expect(counter(bench, GTX_CHECKSUM)).toBeGreaterThan(250);
  expect(counter(bench, GTX_BAD_OFFLOAD)).toBe(0);
});

test("golden checksums of a UDP datagram, sums computed by hand", async () => {
  const bench = await make();
  const ring = await TxRing.make(bench);
  // 10.0.0.1:1 -> 10.0.0.2:2, payload ab cd. Pseudo-header 0a00+0001+0a00+0002+0011+000a = 141e, which the stack left in
  // the field; with ports 0001+0002, length 000a and payload abcd the sum is bff8, its complement 4007.
  const udp = Uint8Array.from([
    2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 1,
    0, 2, 0, 10, 0x14, 0x1e, 0xab, 0xcd,
  ]);
  ring.send(udp, { cmd: 0x360, offsets: 7 | (5 << 7) | (2 << 14) });
  ring.kick();
  const [out] = bench.receive(4);
  expect([out![24], out![25]]).toEqual([0x66, 0xcd]); // IPv4 header
  expect([out![40], out![41]]).toEqual([0x40, 0x07]);
});

test("TSO: every segment has right lengths, numbers, flags and checksums, over bursts of any size", async () => {
  const spec = fc.record({
    ipv6: fc.boolean(),
    protocol: fc.constantFrom("tcp" as const, "udp" as const),
    payload: fc.integer({ min: 1, max: 20_000 }),
    ipOptions: fc.constantFrom(0, 8),
    tcpOptions: fc.constantFrom(0, 12),
    tcpFlags: fc.constantFrom(0x10, 0x19, 0x99, 0x98),
    seed: fc.integer({ min: 0, max: 255 }),
  });
  await fc.assert(
    fc.asyncProperty(
      spec,
      fc.integer({ min: 64, max: 4000 }),
      fc.integer({ min: 1, max: 40 }),
      fc.option(fc.constant(77)),
      async (one, mss, burst, tag) => {
        const bench = await make();
        const ring = await TxRing.make(bench);
        const frame = makeFrame(one, true);
        const lengths: number[] = [];
        for (let left = frame.bytes.length; left > 0; left -= 4000) lengths.push(Math.min(left, 4000));
        ring.put(0n, tsoWord(frame.bytes.length - frame.headerBytes, mss));
        ring.send(
          frame.bytes,
          { cmd: frame.cmd | (tag === null ? 0 : 8), offsets: frame.offsets, tag: tag ?? 0 },
          lengths,
        );
        ring.send(bytes(60)); // goes out behind the last segment
        ring.kick();
        const segments = segmentsOf(frame, mss).map((segment) => (tag === null ? segment : tagged(segment, tag)));
        expect(hex(receiveAll(bench, burst))).toEqual(hex([...segments, bytes(60)]));
        expect(counter(bench, GTX_TSO)).toBe(1);
        await benches.pop()!.close();
      },
    ),
    { numRuns: 100 },
  );
});

test("TSO of 64 KiB fills bursts even though it is few descriptors", async () => {
  const bench = await make();
  const ring = await TxRing.make(bench);
  const frame = makeFrame({ ipv6: false, protocol: "tcp", payload: 65_000 }, true);
  ring.put(0n, tsoWord(65_000, 1448));
  ring.send(frame.bytes, { cmd: frame.cmd, offsets: frame.offsets }, [
    16_000,
    16_000,
    16_000,
    16_000,
    frame.bytes.length - 64_000,
  ]);
  ring.kick();
  expect(bench.receive(32)).toHaveLength(32);
  expect(
    ring
      .words()
      .slice(0, 6)
      .every((word) => word === 0xfn),
  ).toBe(true); // the guest has its buffers back
  expect(bench.receive(32)).toHaveLength(13);
});

test("impossible TSO parameters are counted and dropped", async () => {
  const bench = await make();
  const ring = await TxRing.make(bench);
  const frame = makeFrame({ ipv6: false, protocol: "tcp", payload: 3000 }, true);
  const { cmd, offsets } = frame;
  const cases: [number, number, number, number][] = [
    [3000, 63, cmd, offsets],
    [3000, 9700, cmd, offsets],
    [2999, 1448, cmd, offsets],
    [3000, 1448, cmd & ~0x300, offsets],
    [3000, 1448, 0x200 | 0x60, offsets],
    [3000, 1448, cmd, offsets + (1 << 14)],
    [3000, 1448, cmd, 7 | (127 << 7) | (5 << 14)],
  ];
  for (const [payload, mss, command, field] of cases) {
    ring.put(0n, tsoWord(payload, mss));
    ring.send(frame.bytes, { cmd: command, offsets: field });
  }
  ring.kick();
  expect(receiveAll(bench)).toEqual([]);
  expect(counter(bench, GTX_BAD_TSO)).toBe(cases.length);
});

test("without mbufs nothing is consumed, and a burst goes on where the last one stopped", async () => {
  const small = Mempool.createPktmbuf(arena, "starved", { n: 8, cacheSize: 0, dataRoomSize: 1152 });
  const bench = await make({}, small);
  const ring = await TxRing.make(bench);
  const jumbo = bytes(5000); // five mbufs
  for (let i = 0; i < 3; i++) ring.send(jumbo, {}, [5000]);
  ring.kick();
  const first = bench.receiveMbufs(4);
  expect(first).toHaveLength(1);
  expect(small.availCount()).toBe(3);
  expect(bench.receiveMbufs(4)).toEqual([]);
  expect(small.availCount()).toBe(3);
  mbufFree(arena, LCORE, first[0]!);
  expect(bench.receive(1)).toEqual([jumbo]);
  expect(bench.receive(1)).toEqual([jumbo]);
  expect(arena.counter(bench.rxq() + 32)).toBeGreaterThan(0); // rx_nombuf
  expect(small.availCount()).toBe(8);
  await benches.pop()!.close();
  small.free();
});

test("a TSO packet survives running out of mbufs", async () => {
  const small = Mempool.createPktmbuf(arena, "starved2", { n: 4, cacheSize: 0, dataRoomSize: 1152 });
  const bench = await make({}, small);
  const ring = await TxRing.make(bench);
  const frame = makeFrame({ ipv6: true, protocol: "tcp", payload: 9000 }, true);
  ring.put(0n, tsoWord(9000, 1400)); // two mbufs each
  ring.send(frame.bytes, { cmd: frame.cmd, offsets: frame.offsets });
  ring.kick();
  expect(receiveAll(bench, 3)).toEqual(segmentsOf(frame, 1400));
  await benches.pop()!.close();
  small.free();
});

test("several guest queues on one port queue are served in turn, and none starves", async () => {
  const bench = await make();
  const rings = [await TxRing.make(bench, 64, 0), await TxRing.make(bench, 64, 5), await TxRing.make(bench, 64, 15)];
  rings.forEach((ring, i) => {
    for (let k = 0; k < 40; k++) ring.send(bytes(60, 2 * i));
    ring.kick();
  });
  const seen = [0, 0, 0];
  for (let i = 0; i < 6; i++) for (const frame of bench.receive(8)) seen[frame[0]! / 2]!++;
  expect(seen).toEqual([16, 16, 16]);
  expect(receiveAll(bench)).toHaveLength(72);
});

test("with several port queues each serves its share of the guest's", async () => {
  const bench = await make({ rxQueues: 2 });
  const rings = [await TxRing.make(bench, 64, 0), await TxRing.make(bench, 64, 1), await TxRing.make(bench, 64, 2)];
  rings.forEach((ring, i) => {
    ring.send(bytes(60, 2 * i));
    ring.kick();
  });
  expect(bench.receive(8, 0).map((frame) => frame[0])).toEqual([0, 4]);
  expect(bench.receive(8, 1).map((frame) => frame[0])).toEqual([2]);
});

test("a tail outside the ring, a ring outside memory, memory that goes away: counted, and nothing is touched", async () => {
  const bench = await make();
  const ring = await TxRing.make(bench);
  ring.send(bytes(60));
  for (const tail of [64, 0xffffffff]) {
    bench.guest.tail(1, tail);
    expect(bench.receive(8)).toEqual([]);
  }
  expect(counter(bench, GQ_BAD_TAIL)).toBe(2);
  ring.kick();
  await bench.guest.table.unmapAll();
  expect(bench.receive(8)).toEqual([]);
  expect(counter(bench, GQ_RING_FAULT)).toBe(1);
  await bench.guest.table.map({ iova: GUEST_BASE, size: 1n << 20n, prot: 3, fd: -1, fileOffset: 0n });
  expect(bench.receive(8)).toEqual([]);
  expect(bench.queues.tx[0]!.get(GQ_WANT_BOUNCE)).toBe(1);
  await bench.guest.table.unmapAll();
  await bench.guest.map();
  expect(bench.receive(8)).toEqual([bytes(60)]);
});

test("a disabled queue is not polled; enabled again it begins at its first descriptor", async () => {
  const bench = await make();
  const ring = await TxRing.make(bench);
  ring.send(bytes(60, 2));
  ring.kick();
  await bench.queues.disable(1);
  expect(bench.receive(8)).toEqual([]);
  ring.next = 0;
  ring.send(bytes(60, 4));
  ring.kick();
  await bench.queues.enable(1);
  expect(bench.receive(8)).toEqual([bytes(60, 4)]);
});

test("DUMMY packets are completed and go nowhere", async () => {
  const bench = await make();
  const ring = await TxRing.make(bench);
  ring.put(GUEST_BASE, dataWord({ length: 64, cmd: 0x11 | 2 }));
  ring.kick();
  expect(bench.receive(8)).toEqual([]);
  expect(ring.words()[0]).toBe(0xfn);
});

test("lent packets lie in the guest's memory, and their descriptors are completed by the next burst", async () => {
  const bench = await make();
  const ring = await TxRing.make(bench, 64);
  arena.u32[(bench.rxq() + RXQ_LEND) >>> 2] = 1;
  const frames = [bytes(1514), bytes(60), bytes(1000, 9)];
  for (const frame of frames) ring.send(frame);
  ring.kick();
  const mbufs = bench.receiveMbufs(32);
  expect(hex(mbufs.map((mbuf) => mbufBytes(arena, mbuf)))).toEqual(hex(frames));
  const inMbuf = mbufs.map((mbuf) => arena.u32[mbuf >>> 2]! - mbuf === MBUF_SIZE);
  expect(inMbuf).toEqual([false, true, false]);
  expect(ring.words().filter((word) => (word & 0xfn) === 0xfn)).toHaveLength(0);
  for (const mbuf of mbufs) mbufFree(arena, LCORE, mbuf);
  expect(bench.receive(32)).toEqual([]);
  expect(ring.words().filter((word) => (word & 0xfn) === 0xfn)).toHaveLength(3);
  // Nothing of the guest's memory is left in the mbufs.
  arena.u32[(bench.rxq() + RXQ_LEND) >>> 2] = 0;
  for (const frame of frames) ring.send(frame);
  ring.kick();
  const copied = bench.receiveMbufs(32);
  expect(copied.every((mbuf) => arena.u32[mbuf >>> 2]! - mbuf === MBUF_SIZE)).toBe(true);
  for (const mbuf of copied) mbufFree(arena, LCORE, mbuf);
});

test("a queue that is let go of with packets lent gives their descriptors back", async () => {
  const bench = await make();
  const ring = await TxRing.make(bench, 64);
  arena.u32[(bench.rxq() + RXQ_LEND) >>> 2] = 1;
  for (let i = 0; i < 5; i++) ring.send(bytes(1514, i));
  ring.kick();
  for (const mbuf of bench.receiveMbufs(32)) mbufFree(arena, LCORE, mbuf);
  await bench.queues.disable(1);
  expect(ring.words().filter((word) => (word & 0xfn) === 0xfn)).toHaveLength(5);
});

test("a TSO packet behind a lent one is given back although its segments fill a burst", async () => {
  const bench = await make();
  arena.u32[(bench.rxq() + RXQ_LEND) >>> 2] = 1;
  const ring = await TxRing.make(bench);
  const frame = makeFrame({ ipv6: false, protocol: "tcp", payload: 4000 }, true);
  ring.send(bytes(1400)); // lent: this burst's descriptors are given back by the next
  ring.put(0n, tsoWord(4000, 1000));
  ring.send(frame.bytes, { cmd: frame.cmd, offsets: frame.offsets });
  ring.kick();
  expect(bench.receive(3)).toHaveLength(3); // the lent packet and two of four segments
  ring.send(bytes(60)); // copied: its burst gives back at once
  ring.kick();
  expect(bench.receive(32)).toHaveLength(3);
  bench.receive(32);
  expect(ring.words().slice(0, 4).map(Number)).toEqual([15, 15, 15, 15]);
});
