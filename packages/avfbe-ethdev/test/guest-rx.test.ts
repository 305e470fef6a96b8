// What the guest receives, by the kernel: write-back, several buffers, filters, tags, and what cannot be delivered.
import { Mempool, mbufFrom } from "@emudev/shm";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import {
  GQ_BAD_TAIL,
  GQ_WANT_BOUNCE,
  GRX_BAD_ADDRESS,
  GRX_BROADCAST,
  GRX_FILTERED,
  GRX_MULTICAST,
  GRX_NO_DESC,
  GRX_OVERSIZE,
  GRX_PACKETS,
} from "../src/layout/guest-queue.ts";
import { crc } from "./model/checksum.ts";
import { makeFrame, tagged } from "./model/frames.ts";
import { arena, Bench, hex, LCORE } from "./support/bench-queues.ts";
import { RxRing } from "./support/rings.ts";
import { GUEST_BASE } from "./support/world.ts";

const pool = Mempool.createPktmbuf(arena, "rx", { n: 1023, cacheSize: 64, dataRoomSize: 2176 });
const benches: Bench[] = [];
const make = async (options?: Parameters<typeof Bench.make>[1]): Promise<Bench> => {
  const bench = await Bench.make(pool, options);
  benches.push(bench);
  return bench;
};
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.close();
  expect(pool.availCount()).toBe(pool.size);
});
const counter = (bench: Bench, field: number): number => arena.counter(bench.queues.rx[0]!.off + field);
const OWN = [2, 0, 0, 0, 0, 1];
const frame = (length: number, to: readonly number[] = OWN, seed = 0): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => to[i] ?? (i * 7 + seed) & 255);
const DD_EOF = 3;

describe("delivery", () => {
  test("packets arrive whole and in order, over the ring's end, with length and status", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench);
    for (let round = 0; round < 4; round++) {
      const frames = Array.from({ length: 20 }, (_, i) => frame(60 + i * 73, OWN, round));
      expect(bench.transmit(frames)).toBe(20);
      const got = ring.take();
      expect(hex(got.map(({ bytes }) => bytes))).toEqual(hex(frames));
      for (const { status, error, buffers } of got) expect([status, error, buffers]).toEqual([DD_EOF, 0, 1]);
    }
    expect(counter(bench, GRX_PACKETS)).toBe(80);
  });

  test("a packet longer than a buffer lies in several, end of frame in the last; chained mbufs too", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench, { bufSize: 1024 });
    const frames = [frame(1024), frame(1025), frame(9000), frame(60)];
    expect(bench.transmit(frames)).toBe(4);
    const got = ring.take();
    expect(hex(got.map(({ bytes }) => bytes))).toEqual(hex(frames));
    expect(got.map(({ buffers }) => buffers)).toEqual([1, 2, 9, 1]);
  });

  test("what finds no descriptor stays the caller's; later packets find new ones", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench, { post: 5, bufSize: 1024 });
    expect(bench.transmit([frame(60), frame(3000), frame(3000)])).toBe(2);
    expect(bench.transmit([frame(3000)])).toBe(0);
    expect(counter(bench, GRX_NO_DESC)).toBe(0); // one is left, too few for this packet
    expect(bench.transmit([frame(60), frame(61)])).toBe(1);
    expect(counter(bench, GRX_NO_DESC)).toBe(1);
    expect(ring.take()).toHaveLength(3);
    expect(bench.transmit([frame(60)])).toBe(1);
  });

  test("destination and packet type are told", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench);
    const l3 = (type: number, ...rest: number[]): Uint8Array =>
      Uint8Array.from([...OWN, 2, 0, 0, 0, 0, 2, type >> 8, type & 255, ...rest, ...new Array(50).fill(0)]);
    const ipv4 = (protocol: number, fragment = 0): Uint8Array =>
      l3(0x800, 0x45, 0, 0, 40, 0, 0, fragment >> 8, fragment & 255, 64, protocol);
    const ipv6 = (next: number): Uint8Array => l3(0x86dd, 0x60, 0, 0, 0, 0, 0, next);
    const frames = [
      [l3(0x88cc), 1],
      [l3(0x806), 11],
      [ipv4(17), 24],
      [ipv4(6, 0x4000), 26],
      [ipv4(6, 0x2000), 22],
      [ipv4(17, 1), 22],
      [ipv4(1), 28],
      [ipv4(132), 27],
      [ipv4(47), 23],
      [ipv6(17), 90],
      [ipv6(6), 92],
      [ipv6(58), 94],
      [ipv6(44), 88],
      [ipv6(132), 93],
      [ipv6(0), 89],
    ] as const;
    bench.transmit(frames.map(([bytes]) => bytes));
    expect(ring.take().map(({ ptype }) => ptype)).toEqual(frames.map(([, ptype]) => ptype));
    bench.transmit([frame(60), frame(60, [1, 0, 0x5e, 0, 0, 1]), frame(60, [255, 255, 255, 255, 255, 255])]);
    expect(ring.take().map(({ status }) => status >> 9)).toEqual([0, 1, 2]);
    expect([GRX_MULTICAST, GRX_BROADCAST].map((c) => counter(bench, c))).toEqual([1, 1]);
  });

  test("checksums that the receive side finished are vouched for (L3L4P)", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench);
    const { bytes } = makeFrame({ ipv6: false, protocol: "tcp", payload: 10 });
    const mbuf = mbufFrom(pool, LCORE, bytes);
    arena.u32[(mbuf + 16) >>> 2] = 0x180;
    bench.transmitMbufs([mbuf, mbufFrom(pool, LCORE, bytes)]);
    expect(ring.take().map(({ status }) => status & 8)).toEqual([8, 0]);
  });

  test("the frame check sequence is appended where the guest asked for it", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench, { crc: true, bufSize: 512 });
    const frames = [frame(60), frame(510), frame(4000)];
    bench.transmit(frames);
    const withCrc = frames.map((bytes) => {
      const out = new Uint8Array(bytes.length + 4);
      out.set(bytes);
      new DataView(out.buffer).setUint32(bytes.length, crc(bytes, 0xedb88320), true);
      return out;
    });
    const got = ring.take();
    expect(hex(got.map(({ bytes }) => bytes))).toEqual(hex(withCrc));
    expect(got.every(({ status }) => (status & 16) !== 0)).toBe(true);
  });
});

describe("filters", () => {
  const other = [2, 0, 0, 0, 0, 9];
  const group = [0x33, 0x33, 0, 0, 0, 1];
  const all = [255, 255, 255, 255, 255, 255];
  const toAll = (): Uint8Array[] => [frame(60, OWN), frame(60, other), frame(60, group), frame(60, all)];
  const arrived = (ring: RxRing): number[] => ring.take().map(({ bytes }) => bytes[5]!);

  test("by address: own, listed, broadcast; the rest is taken, dropped and counted", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench);
    bench.filter({});
    expect(bench.transmit(toAll())).toBe(4);
    expect(arrived(ring)).toEqual([1, 255]);
    expect(counter(bench, GRX_FILTERED)).toBe(2);
    expect(arena.counter(bench.txq() + 24)).toBe(2); // dropped by the driver
    bench.filter({ mac_filters: [Uint8Array.from(group), Uint8Array.from(other)] });
    bench.transmit(toAll());
    expect(arrived(ring)).toEqual([1, 9, 1, 255]);
  });

  test("promiscuous modes, each for its own kind", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench);
    bench.filter({ promisc_unicast: true });
    bench.transmit(toAll());
    expect(arrived(ring)).toEqual([1, 9, 255]);
    bench.filter({ promisc_multicast: true });
    bench.transmit(toAll());
    expect(ring.take().map(({ bytes }) => bytes[0])).toEqual([2, 0x33, 255]);
  });

  test("by VLAN: untagged and priority tags pass, of the others those that are listed; without a list all", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench);
    const frames = [frame(60), ...[0, 5, 0xe005, 6, 4095].map((tci) => tagged(frame(60), tci))];
    bench.filter({});
    bench.transmit(frames);
    expect(ring.take()).toHaveLength(6);
    bench.filter({ vlan_filters: [5, 4095] });
    expect(bench.transmit(frames)).toBe(6);
    const expected = frames.filter((_, i) => i !== 4);
    expect(hex(ring.take().map(({ bytes }) => bytes))).toEqual(hex(expected));
    expect(counter(bench, GRX_FILTERED)).toBe(1);
  });

  test("stripping moves the tag into the descriptor; insertion puts the mbuf's tag into the frame, or the descriptor", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench, { bufSize: 128 });
    const insert = (bytes: Uint8Array, tci: number): number => {
      const mbuf = mbufFrom(pool, LCORE, bytes);
      arena.u32[(mbuf + 20) >>> 2] = 1 << 25;
      arena.u16[(mbuf + 44) >>> 1] = tci;
      return mbuf;
    };
    bench.transmitMbufs([insert(frame(60), 0x2007), insert(frame(300), 8)]);
    expect(hex(ring.take().map(({ bytes }) => bytes))).toEqual(hex([tagged(frame(60), 0x2007), tagged(frame(300), 8)]));
    bench.filter({ vlan_strip: true });
    const mbufs = [tagged(frame(60), 0xa123), tagged(frame(300), 9), frame(60)].map((f) => mbufFrom(pool, LCORE, f));
    bench.transmitMbufs([...mbufs, insert(frame(70), 77)]);
    const got = ring.take();
    expect(hex(got.map(({ bytes }) => bytes))).toEqual(hex([frame(60), frame(300), frame(60), frame(70)]));
    expect(got.map(({ status, tag }) => [status & 4, tag])).toEqual([
      [4, 0xa123],
      [4, 9],
      [0, 0],
      [4, 77],
    ]);
    bench.filter({ vlan_filters: [9] });
    expect(bench.transmitMbufs([insert(frame(60), 10)])).toBe(1);
    expect(ring.take()).toEqual([]);
  });
});

describe("what cannot be delivered", () => {
  test("too long a packet is dropped and counted", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench, { maxPkt: 1518 });
    expect(bench.transmit([frame(1519), frame(1518), frame(4000), frame(60)])).toBe(4);
    expect(ring.take().map(({ bytes }) => bytes.length)).toEqual([1518, 60]);
    expect(counter(bench, GRX_OVERSIZE)).toBe(2);
  });

  test("a buffer outside memory: its packet is written back as an error, the next one arrives", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench, { bufSize: 512 });
    ring.write(0, 0x10n);
    ring.write(2, GUEST_BASE + BigInt(bench.guest.bytes - 100));
    expect(bench.transmit([frame(60), frame(1000), frame(70)])).toBe(3);
    expect(counter(bench, GRX_BAD_ADDRESS)).toBe(2);
    const got = ring.take();
    expect(got.map(({ error, bytes }) => [error, bytes.length])).toEqual([
      [1, 60],
      [1, 1000],
      [0, 70],
    ]);
    expect(hex([got[2]!.bytes])).toEqual(hex([frame(70)]));
  });

  test("a buffer in memory that is not mapped stops the queue until the control side has seen to it", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench);
    await bench.guest.table.map({ iova: 0n, size: 4096n, prot: 3, fd: -1, fileOffset: 0n });
    ring.write(1, 0n);
    expect(bench.transmit([frame(60), frame(60)])).toBe(1);
    expect(bench.queues.rx[0]!.get(GQ_WANT_BOUNCE)).toBe(1);
    ring.write(1, ring.buffers[1]!);
    expect(bench.transmit([frame(60)])).toBe(1);
  });

  test("read-only memory is not written to", async () => {
    const bench = await make();
    const ring = await RxRing.make(bench);
    await bench.guest.table.map({ iova: 0n, size: 4096n, prot: 1, fd: -1, fileOffset: 0n });
    ring.write(0, 0n);
    bench.transmit([frame(60)]);
    expect(counter(bench, GRX_BAD_ADDRESS)).toBe(1);
  });

  test("a tail outside the ring, a queue that is not enabled, frames without a header", async () => {
    const bench = await make();
    expect(bench.transmit([frame(60)])).toBe(0);
    const ring = await RxRing.make(bench);
    bench.guest.tail(0, 32);
    expect(bench.transmit([frame(60)])).toBe(0);
    expect(counter(bench, GQ_BAD_TAIL)).toBe(1);
    bench.guest.tail(0, ring.posted);
    expect(bench.transmit([frame(13), frame(14)])).toBe(2);
    expect(ring.take()).toHaveLength(1);
    expect(arena.counter(bench.txq() + 16)).toBe(1);
    await bench.queues.disable(0);
    expect(bench.transmit([frame(60)])).toBe(0);
  });
});

test("port queues beyond those the guest enabled feed the enabled ones", async () => {
  const bench = await make({ txQueues: 4 });
  const one = await RxRing.make(bench, { pair: 0 });
  const two = await RxRing.make(bench, { pair: 1 });
  for (let queue = 0; queue < 4; queue++) expect(bench.transmit([frame(60, OWN, queue)], queue)).toBe(1);
  const seeds = (ring: RxRing): number[] => ring.take().map(({ bytes }) => (bytes[6]! - 42) & 255);
  expect([seeds(one), seeds(two)]).toEqual([
    [0, 2],
    [1, 3],
  ]);
  await bench.queues.disable(2);
  expect(bench.transmit([frame(60)], 1)).toBe(1);
  expect(one.take()).toHaveLength(1);
});

test("any mixture of lengths, mbuf chains and buffer sizes arrives whole", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 64, max: 4096 }),
      fc.array(fc.integer({ min: 14, max: 6000 }), { minLength: 1, maxLength: 60 }),
      async (bufSize, lengths) => {
        const bench = await make();
        const ring = await RxRing.make(bench, { bufSize, size: 128 });
        const frames = lengths.map((length, i) => frame(length, OWN, i));
        const got: Uint8Array[] = [];
        for (let at = 0; at < frames.length; ) {
          const sent = bench.transmit(frames.slice(at, at + 16));
          at += sent;
          got.push(...ring.take().map(({ bytes }) => bytes));
          expect(sent).toBeGreaterThan(0);
        }
        expect(hex(got)).toEqual(hex(frames));
        await benches.pop()!.close();
      },
    ),
    { numRuns: 60 },
  );
});
