// Packets spread over the guest's receive queues by the hash that its driver configured: the hash itself against the vectors
// that Microsoft published for RSS, and which queue gets what, in which order, and what happens when one is full.
import { RSS_HENA_ALL } from "@emudev/avf";
import { Mempool, mbufFrom } from "@emudev/shm";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { GQ_LOCK } from "../src/layout/guest-queue.ts";
import {
  RSS_BYTES,
  RSS_INPUT_MAX,
  RSS_TOEPLITZ,
  SPREAD_BYTES,
  SPREAD_MAX,
  SPREAD_SORTED_MARKS,
} from "../src/layout/rss.ts";
import { makeFrame, tagged } from "./model/frames.ts";
import { hashOf, toeplitz } from "./model/rss.ts";
import { arena, Bench, hex, LCORE } from "./support/bench-queues.ts";
import { type Received, RxRing } from "./support/rings.ts";

const pool = Mempool.createPktmbuf(arena, "rss", { n: 1023, cacheSize: 64, dataRoomSize: 2176 });
const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.close();
  expect(pool.availCount()).toBe(pool.size);
});

/** The key of Microsoft's vectors, and twelve bytes more, which no input reaches. */
const KEY = Uint8Array.from([
  ...Buffer.from("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa", "hex"),
  ...new Uint8Array(12).fill(0xa5),
]);
const lutOf = (queues: number): Uint8Array => Uint8Array.from({ length: 64 }, (_, i) => i % queues);

interface Spread {
  bench: Bench;
  rings: RxRing[];
}

async function spread(
  queues: number,
  { hena = RSS_HENA_ALL, lut = lutOf(queues), key = KEY, post = 127, txQueues = 1, bufSize = 2048 } = {},
): Promise<Spread> {
  const bench = await Bench.make(pool, { txQueues });
  benches.push(bench);
  bench.guest.attrs.set("rss_key", key);
  bench.guest.attrs.set("rss_lut", lut);
  bench.guest.attrs.set("rss_hena", hena);
  const rings: RxRing[] = [];
  for (let pair = 0; pair < queues; pair++) rings.push(await RxRing.make(bench, { pair, size: 128, post, bufSize }));
  return { bench, rings };
}

const ip4 = (text: string): number[] => text.split(".").map(Number);
const ip6 = (text: string): number[] => {
  const [head, tail = ""] = text.split("::") as [string, string?];
  const words = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((word) => Number.parseInt(word, 16));
  const zeros = text.includes("::") ? 8 - words(head).length - words(tail).length : 0;
  const all = [...words(head), ...new Array<number>(zeros).fill(0), ...words(tail)];
  return all.flatMap((word) => [word >> 8, word & 255]);
};
const u16 = (value: number): number[] => [value >> 8, value & 255];
const MACS = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

/** A frame of this protocol between these addresses and ports. */
function packet(
  protocol: number,
  from: string,
  fromPort: number,
  to: string,
  toPort: number,
  more: number[] = [],
): Uint8Array {
  const l4 = [...u16(fromPort), ...u16(toPort), ...new Array<number>(28).fill(0), ...more];
  const six = from.includes(":");
  const ip = six
    ? [0x60, 0, 0, 0, ...u16(l4.length), protocol, 64, ...ip6(from), ...ip6(to)]
    : [0x45, 0, ...u16(20 + l4.length), 0, 0, 0x40, 0, 64, protocol, 0, 0, ...ip4(from), ...ip4(to)];
  return Uint8Array.from([...MACS, ...u16(six ? 0x86dd : 0x800), ...ip, ...l4]);
}
const TCP = 6;
const UDP = 17;

// "Verifying the RSS Hash Calculation": source, destination, hash of the addresses, hash with ports.
const VECTORS = [
  ["66.9.149.187", 2794, "161.142.100.80", 1766, 0x323e8fc2, 0x51ccc178],
  ["199.92.111.2", 14230, "65.69.140.83", 4739, 0xd718262a, 0xc626b0ea],
  ["24.19.198.95", 12898, "12.22.207.184", 38024, 0xd2d0a5de, 0x5c2b394a],
  ["38.27.205.30", 48228, "209.142.163.6", 2217, 0x82989176, 0xafc7327f],
  ["153.39.163.191", 44251, "202.188.127.2", 1303, 0x5d1809c5, 0x10e828a2],
  ["3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x2cc18cd5, 0x40207d3d],
  ["3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0x0f0c461c, 0xdde51bbf],
  ["3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, "fe80::200:f8ff:fe21:67cf", 38024, 0x4b61e985, 0x02d1feef],
] as const;

describe("the hash", () => {
  test("layouts fit together", () => {
    expect(RSS_TOEPLITZ + 1024 * RSS_INPUT_MAX).toBe(RSS_BYTES);
    expect(SPREAD_SORTED_MARKS + 8 * SPREAD_MAX).toBe(SPREAD_BYTES);
  });

  test("is Microsoft's, with and without ports, over IPv4 and IPv6, and the table entry decides the queue", async () => {
    const { bench, rings } = await spread(4);
    for (const [from, fromPort, to, toPort, addresses, ports] of VECTORS) {
      for (const [protocol, hash] of [
        [TCP, ports],
        [UDP, ports],
        [132, ports],
        [47, addresses],
      ] as const) {
        const frame = packet(protocol, from, fromPort, to, toPort);
        expect(bench.transmit([frame])).toBe(1);
        const got = rings.map((ring) => ring.take());
        expect(got.map((packets) => packets.length)).toEqual([0, 1, 2, 3].map((i) => Number(i === (hash & 63) % 4)));
        expect(got.flat()[0]!.hash).toBe(hash);
        expect(hex([got.flat()[0]!.bytes])).toEqual(hex([frame]));
      }
    }
  });

  test("fragments and what has another protocol above IP go by the addresses alone, tags in the frame are looked behind", async () => {
    const { bench, rings } = await spread(2);
    const [from, fromPort, to, toPort, addresses, ports] = VECTORS[0];
    const whole = packet(UDP, from, fromPort, to, toPort);
    const first = whole.slice();
    first[20] = 0x20; // more fragments
    const last = whole.slice();
    last[21] = 0x10;
    last[20] = 0;
    const six = packet(44, VECTORS[5][0], 1, VECTORS[5][2], 2);
    const frames = [first, last, packet(1, from, 0, to, 0), six, tagged(whole, 5), tagged(tagged(whole, 5), 6)];
    bench.transmit(frames);
    const hashes = rings.flatMap((ring) => ring.take()).map(({ hash }) => hash);
    const expected = [addresses, addresses, addresses, VECTORS[5][4], ports, ports];
    expect(hashes.sort()).toEqual(expected.sort());
  });

  test("of what is not IP, too short or of a class that is not enabled there is none: the queue is the port queue's own", async () => {
    const { bench, rings } = await spread(4, { hena: 1n << 33n, txQueues: 4 });
    const [from, fromPort, to, toPort] = VECTORS[0];
    const udp = packet(UDP, from, fromPort, to, toPort);
    const arp = Uint8Array.from([...MACS, 8, 6, ...new Array<number>(46).fill(0)]);
    const runt = packet(TCP, from, fromPort, to, toPort).slice(0, 33);
    for (let queue = 0; queue < 4; queue++) {
      expect(bench.transmit([udp, arp, runt], queue)).toBe(3);
      const got = rings.map((ring) => ring.take());
      expect(got.map((packets) => packets.length)).toEqual([0, 1, 2, 3].map((i) => (i === queue ? 3 : 0)));
      expect(got.flat().map(({ hash }) => hash)).toEqual([null, null, null]);
    }
  });

  test("any frame: the kernel's hash is the definition's, for any key, table and set of classes", async () => {
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    const frames = fc.array(
      fc.record({
        ipv6: fc.boolean(),
        protocol: fc.constantFrom("tcp" as const, "udp" as const, "sctp" as const),
        ipOptions: fc.constantFrom(0, 4, 40),
        payload: fc.constantFrom(0, 10, 700, 1400),
        seed: fc.nat(255),
        raw: fc.constantFrom(null, 0, 1, 44, 58),
        cut: fc.nat(80),
        tag: fc.boolean(),
      }),
      { minLength: 1, maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(
        bytes(52),
        bytes(64),
        fc.bigInt(1n, (1n << 48n) - 1n),
        frames,
        async (key, table, bits, specs) => {
          const queues = 5; // of which the table's entries name more
          const hena = (bits & RSS_HENA_ALL) | (1n << 63n);
          const lut = table.map((entry) => entry % 16);
          const { bench, rings } = await spread(queues, { key, lut, hena });
          const sent = specs.map(({ raw, cut, tag, ...spec }) => {
            const { bytes: whole, headers } = makeFrame(spec);
            if (raw !== null) whole[headers.l3 + (spec.ipv6 ? 6 : 9)] = raw;
            const frame = tag ? tagged(whole, 7) : whole;
            return cut < 40 ? frame : frame.slice(0, cut);
          });
          expect(bench.transmit(sent)).toBe(sent.length);
          const expected = rings.map((): [string, number | null][] => []);
          for (const frame of sent) {
            const hash = hashOf(key, hena, frame);
            const entry = hash === null ? 0 : lut[hash & 63]!;
            expected[entry < queues ? entry : entry % queues]!.push([hex([frame])[0]!, hash]);
          }
          const got = rings.map((ring) =>
            ring.take().map(({ bytes: b, hash }): [string, number | null] => [hex([b])[0]!, hash]),
          );
          expect(got).toEqual(expected);
          await bench.close();
          benches.splice(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("the model itself gives Microsoft's values", () => {
    for (const [from, fromPort, to, toPort, addresses, ports] of VECTORS) {
      const parse = from.includes(":") ? ip6 : ip4;
      const input = [...parse(from), ...parse(to)];
      expect(toeplitz(KEY, Uint8Array.from(input))).toBe(addresses);
      expect(toeplitz(KEY, Uint8Array.from([...input, ...u16(fromPort), ...u16(toPort)]))).toBe(ports);
    }
  });
});

describe("spreading", () => {
  const flow = (i: number, sequence: number, bytes = 0): Uint8Array =>
    packet(UDP, "10.0.0.1", 1000 + i, "10.0.0.2", 2000, [sequence, ...new Array<number>(bytes).fill(0)]);
  const flowOf = ({ bytes }: Received): number => ((bytes[34]! << 8) | bytes[35]!) - 1000;
  const sequenceOf = ({ bytes }: Received): number => bytes[14 + 20 + 32]!;

  test("flows keep to their queue and their order, over bursts of any size", async () => {
    const { bench, rings } = await spread(4);
    const seen = new Map<number, { ring: number; next: number }>();
    for (let sequence = 0; sequence < 40; sequence++) {
      bench.transmit(Array.from({ length: 24 }, (_, i) => flow(i, sequence, i % 3 === 0 ? 1000 : 0)));
      for (const [i, ring] of rings.entries())
        for (const received of ring.take()) {
          const state = seen.get(flowOf(received)) ?? { ring: i, next: 0 };
          seen.set(flowOf(received), state);
          expect([i, sequenceOf(received)]).toEqual([state.ring, state.next]);
          state.next++;
        }
    }
    expect([...seen.values()].every(({ next }) => next === 40)).toBe(true);
    expect(new Set([...seen.values()].map(({ ring }) => ring)).size).toBe(4); // 24 flows and this key: all queues
  });

  test("a full queue holds up no other; what it has no room for stays the caller's, in order, behind what was taken", async () => {
    const { bench, rings } = await spread(2, { post: 3 });
    const frames = Array.from({ length: 40 }, (_, i) => flow(i, i));
    const expected = frames.map((frame) => (hashOf(KEY, RSS_HENA_ALL, frame)! & 63) % 2);
    rings[1]!.post(100);
    const mbufs = frames.map((frame) => mbufFrom(pool, LCORE, frame));
    const own = expected.filter((queue) => queue === 1).length;
    const sent = bench.transmitMbufs(mbufs);
    expect(sent).toBe(own + 3);
    expect(rings[1]!.take().map(sequenceOf)).toEqual(expected.flatMap((queue, i) => (queue === 1 ? [i] : [])));
    const zero = expected.flatMap((queue, i) => (queue === 0 ? [i] : []));
    expect(rings[0]!.take().map(sequenceOf)).toEqual(zero.slice(0, 3));
    // Offered again, as a caller with patience does: the rest, in order.
    const again = zero.slice(3, 6).map((i) => frames[i]!);
    expect(bench.transmit(again)).toBe(3);
    expect(rings[0]!.take().map(sequenceOf)).toEqual(zero.slice(3, 6));
  });

  test("a queue that another lcore holds is passed over", async () => {
    const { bench, rings } = await spread(2);
    const frames = Array.from({ length: 20 }, (_, i) => flow(i, i));
    const expected = frames.map((frame) => (hashOf(KEY, RSS_HENA_ALL, frame)! & 63) % 2);
    const lock = (bench.queues.rx[0]!.off + GQ_LOCK) >>> 2;
    arena.u32[lock] = 1;
    expect(bench.transmit(frames)).toBe(expected.filter((queue) => queue === 1).length);
    arena.u32[lock] = 0;
    expect(rings.map((ring) => ring.take().length)).toEqual([0, expected.filter((queue) => queue === 1).length]);
  });

  test("packets over several buffers have the hash in the last, tags that are stripped stay beside it", async () => {
    const { bench, rings } = await spread(2, { bufSize: 1024 });
    bench.filter({ promisc_unicast: true, vlan_strip: true });
    const [from, fromPort, to, toPort, , ports] = VECTORS[0];
    const long = packet(TCP, from, fromPort, to, toPort, new Array<number>(1400).fill(7));
    expect(bench.transmit([tagged(long, 0x123)])).toBe(1);
    const [received] = rings.flatMap((ring) => ring.take());
    expect([received!.buffers, received!.hash, received!.tag]).toEqual([2, ports, 0x123]);
    expect(hex([received!.bytes])).toEqual(hex([long]));
  });

  test("one queue, no key, no table or no class: port queue i feeds queue i, without hashes", async () => {
    const none = new Uint8Array(0);
    for (const options of [{ key: none }, { lut: none }, { hena: 0n }]) {
      const { bench, rings } = await spread(2, { ...options, txQueues: 2 });
      const frames = Array.from({ length: 8 }, (_, i) => flow(i, i));
      for (let queue = 0; queue < 2; queue++) {
        expect(bench.transmit(frames, queue)).toBe(8);
        const got = rings.map((ring) => ring.take());
        expect(got.map((packets) => packets.length)).toEqual(queue === 0 ? [8, 0] : [0, 8]);
        expect(got.flat().every(({ hash }) => hash === null)).toBe(true);
      }
    }
    const { bench, rings } = await spread(1, { txQueues: 2 });
    expect(bench.transmit([flow(1, 1)], 1)).toBe(1);
    expect(rings[0]!.take().map(({ hash }) => hash)).toEqual([null]);
  });

  test("settings follow the guest while it runs; a queue that is disabled gets nothing more", async () => {
    const { bench, rings } = await spread(4, { lut: lutOf(2) });
    const frames = Array.from({ length: 32 }, (_, i) => flow(i, i));
    const counts = (): number[] => rings.map((ring) => ring.take().length);
    const sums = (queues: number, of = (entry: number): number => entry % queues): number[] =>
      [0, 1, 2, 3].map((ring) => frames.filter((frame) => of(hashOf(KEY, RSS_HENA_ALL, frame)! & 63) === ring).length);
    bench.transmit(frames);
    expect(counts()).toEqual(sums(2));
    bench.guest.attrs.set("rss_lut", lutOf(4));
    bench.queues.publish();
    bench.transmit(frames);
    expect(counts()).toEqual(sums(4));
    await bench.queues.disable(2 * 3);
    bench.transmit(frames);
    expect(counts()).toEqual(sums(4, (entry) => (entry % 4 === 3 ? 0 : entry % 4)));
    bench.guest.attrs.set("rss_hena", 0n);
    bench.queues.publish();
    bench.transmit(frames);
    expect(counts()).toEqual([32, 0, 0, 0]);
  });
});
