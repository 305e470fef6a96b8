// Packets whose checksums the guest leaves to the device, many to a burst: the tight loop for the usual ones and the general
// code for the others must both give what the RFCs say, whatever lies between them.
import { Mempool, mbufBytes, mbufFree } from "@emudev/shm";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { GTX_CHECKSUM } from "../src/layout/guest-queue.ts";
import { finishIpv4, finishL4 } from "./model/checksum.ts";
import { type Frame, finished, makeFrame } from "./model/frames.ts";
import { arena, Bench, hex, LCORE } from "./support/bench-queues.ts";
import { dataWord, TxRing } from "./support/rings.ts";
import { GUEST_BASE } from "./support/world.ts";

const pool = Mempool.createPktmbuf(arena, "checked", { n: 1023, cacheSize: 64, dataRoomSize: 2176 });
const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.close();
  expect(pool.availCount()).toBe(pool.size);
});

const L4_GOOD = 0x100;
const IP_GOOD = 0x80;
const NO_IP_CHECKSUM = 0x20;

const specs = fc.record({
  ipv6: fc.boolean(),
  protocol: fc.constantFrom("tcp" as const, "tcp" as const, "udp" as const, "sctp" as const),
  payload: fc.oneof(fc.nat(64), fc.nat(1500)),
  ipOptions: fc.constantFrom(0, 0, 0, 8),
  tcpOptions: fc.constantFrom(0, 12, 40),
  seed: fc.nat(255),
});

test("any mix of packets in a burst: checksums, lengths and flags", async () => {
  const bench = await Bench.make(pool);
  benches.push(bench);
  const ring = await TxRing.make(bench, 256);
  const start = bench.guest.alloc(256 * 2048);
  const one = fc.record({
    spec: specs,
    padding: fc.constantFrom(0, 0, 0, 1, 6),
    keepIp: fc.boolean(),
    plain: fc.constantFrom(false, false, true),
    split: fc.constantFrom(0, 0, 31),
  });
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 64 }), (packets) => {
      let at = start;
      const expected = packets.map(({ spec, padding, keepIp, plain, split }) => {
        const frame = makeFrame(spec);
        const bytes = new Uint8Array(frame.bytes.length + padding).fill(0xd7);
        bytes.set(frame.bytes);
        bench.guest.view(at, bytes.length).set(bytes);
        const keeps = keepIp && !spec.ipv6;
        const cmd = (plain ? 0 : keeps ? frame.cmd & ~NO_IP_CHECKSUM : frame.cmd) | 3;
        const { offsets } = frame;
        if (split > 0) ring.put(at, dataWord({ length: split, cmd: 2, offsets }));
        ring.put(at + BigInt(split), dataWord({ length: bytes.length - split, cmd, offsets }));
        at += 2047n;
        if (plain) return { bytes, flags: 0 };
        bytes.set(keeps ? withL4(frame) : finished(frame));
        return { bytes, flags: L4_GOOD | (spec.ipv6 || keeps ? 0 : IP_GOOD) };
      });
      ring.kick();
      const mbufs = expected.length > 0 ? receiveAll(bench, expected.length) : [];
      expect(hex(mbufs.map(({ bytes }) => bytes))).toEqual(hex(expected.map(({ bytes }) => bytes)));
      expect(mbufs.map(({ flags }) => flags)).toEqual(expected.map(({ flags }) => flags));
    }),
    { numRuns: 150 },
  );
  expect(arena.counter(bench.queues.tx[0]!.off + GTX_CHECKSUM)).toBeGreaterThan(0);
});

test("an IPv4 header checksum that is right already is vouched for", async () => {
  const bench = await Bench.make(pool);
  benches.push(bench);
  const ring = await TxRing.make(bench);
  const frame = makeFrame({ ipv6: false, protocol: "tcp", payload: 100 });
  finishIpv4(frame.bytes, frame.headers.l3, frame.headers.l4);
  ring.send(frame.bytes, { cmd: frame.cmd & ~NO_IP_CHECKSUM, offsets: frame.offsets });
  ring.kick();
  const [got] = receiveAll(bench, 1);
  expect(got!.flags).toBe(L4_GOOD | IP_GOOD);
  expect(hex([got!.bytes])).toEqual(hex([finished(frame)]));
});

test("a packet that ends with the guest's memory is read to its end and no further", async () => {
  const bench = await Bench.make(pool);
  benches.push(bench);
  const ring = await TxRing.make(bench);
  for (const payload of [10, 11, 26, 500]) {
    const frame = makeFrame({ ipv6: false, protocol: "tcp", payload });
    const address = GUEST_BASE + BigInt(bench.guest.bytes - frame.bytes.length);
    bench.guest.view(address, frame.bytes.length).set(frame.bytes);
    ring.put(address, dataWord({ length: frame.bytes.length, cmd: frame.cmd | 3, offsets: frame.offsets }));
    ring.kick();
    expect(hex(receiveAll(bench, 1).map(({ bytes }) => bytes))).toEqual(hex([finished(frame)]));
  }
});

/** The frame with its L4 checksum right and its IP header as it is. */
function withL4({ bytes, headers }: Frame): Uint8Array {
  const frame = bytes.slice();
  finishL4(frame, headers, frame.length);
  return frame;
}

function receiveAll(bench: Bench, n: number): { bytes: Uint8Array; flags: number }[] {
  return bench.receiveMbufs(n).map((mbuf) => {
    const got = { bytes: mbufBytes(arena, mbuf), flags: arena.u32[(mbuf + 16) >>> 2]! };
    mbufFree(arena, LCORE, mbuf);
    return got;
  });
}
