// The header kernels against plain models on packets made at random: mac, macswap, icmpecho (with every field broken once),
// txonly. Packets that are freed go back to the pool, whatever was in them.

import { Arena, loadKernels, Mempool, mbufBytes, mbufChain, mbufFree, mbufFrom } from "@emudev/shm";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { makeHead } from "../src/control/head.ts";
import type { FwdKernels } from "../src/fwd/kernels.ts";
import {
  STREAM_BYTES,
  STREAM_HEAD,
  STREAM_HEAD_LEN,
  STREAM_PKTS,
  STREAM_SEG_LEN,
  STREAM_SEGS,
  STREAM_ZEROS,
} from "../src/layout/stream.ts";

const MAIN = 0; // lcore index
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 0xaa);

let arena: Arena;
let pool: Mempool;
let kernels: FwdKernels;
let pkts: number;
let macs: number;

beforeAll(() => {
  arena = Arena.create({ ownBytes: 64 * 2 ** 20 });
  pool = Mempool.createPktmbuf(arena, "pool", { n: 1023, cacheSize: 32 });
  kernels = loadKernels(new URL("../dist/kernels.wasm", import.meta.url), arena.memory);
  pkts = arena.memzoneReserve("pkts", 4096).off;
  macs = arena.memzoneReserve("macs", 64).off;
});

/** Puts packets into the burst's array. */
function burst(packets: readonly Uint8Array[]): number[] {
  const mbufs = packets.map((bytes) => mbufFrom(pool, MAIN, bytes));
  arena.u32.set(mbufs, pkts >>> 2);
  return mbufs;
}

/** Takes the bytes of packets and frees them. */
function take(mbufs: readonly number[]): string[] {
  return mbufs.map((mbuf) => {
    const hex = Buffer.from(mbufBytes(arena, mbuf)).toString("hex");
    mbufFree(arena, MAIN, mbuf);
    return hex;
  });
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const packet = fc.uint8Array({ minLength: 1, maxLength: 200 });

describe("mac and macswap", () => {
  it("change the two addresses and nothing else; shorter packets stay as they are", () => {
    fc.assert(
      fc.property(fc.array(packet, { minLength: 1, maxLength: 32 }), fc.boolean(), (packets, swap) => {
        const mbufs = burst(packets);
        const addresses = Uint8Array.from({ length: 12 }, (_, i) => i + 1);
        arena.u8.set(addresses, macs);
        if (swap) kernels.fwd_macswap(pkts, mbufs.length);
        else kernels.fwd_mac(pkts, mbufs.length, macs);
        const model = packets.map((bytes) => {
          if (bytes.length < 12) return hex(bytes);
          const head = swap ? [...bytes.subarray(6, 12), ...bytes.subarray(0, 6)] : [...addresses];
          return hex(Uint8Array.of(...head, ...bytes.subarray(12)));
        });
        expect(take(mbufs)).toEqual(model);
      }),
    );
  });
});

/** The one's complement sum of DPDK's and everybody's checksum. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

interface EchoOptions {
  tags?: number;
  options?: number;
  payload?: Uint8Array;
  target?: number[];
}

/** An ICMP echo request, with VLAN tags and IP options as asked. */
function echo({
  tags = 0,
  options = 0,
  payload = new Uint8Array(56),
  target = [10, 0, 0, 2],
}: EchoOptions): Uint8Array {
  const head = 20 + 4 * options;
  const frame = new Uint8Array(14 + 4 * tags + head + 8 + payload.length);
  frame.set([2, 0, 0, 0, 0, 0xaa, 2, 0, 0, 0, 0, 0xbb]);
  for (let i = 0; i < tags; i++) frame.set([0x81, 0, 0, 5], 12 + 4 * i);
  const ip = 14 + 4 * tags;
  frame.set([8, 0], ip - 2);
  frame[ip] = 0x40 | (head / 4);
  put16(frame, ip + 2, head + 8 + payload.length);
  frame.set([0x12, 0x34, 0x40, 0, 64, 1], ip + 4);
  frame.set([10, 0, 0, 1, ...target], ip + 12);
  put16(frame, ip + 10, checksum(frame.subarray(ip, ip + head)));
  const icmp = ip + head;
  frame.set([8, 0, 0, 0, 0x43, 0x21, 0, 1], icmp);
  frame.set(payload, icmp + 8);
  put16(frame, icmp + 2, checksum(frame.subarray(icmp)));
  return frame;
}

function arp(): Uint8Array {
  const request = "ffffffffffff0200000000bb0806000108000604000102000000 00bb0a0000010000000000000a000002".replace(
    " ",
    "",
  );
  return Uint8Array.from([...Buffer.from(request, "hex"), ...new Array(18).fill(0)]);
}

const answers = (packets: readonly Uint8Array[]): string[] => {
  burst(packets);
  const n = kernels.fwd_icmpecho(MAIN, pkts, packets.length, macs);
  return take([...arena.u32.subarray(pkts >>> 2, (pkts >>> 2) + n)]);
};

describe("icmpecho", () => {
  beforeAll(() => arena.u8.set(MAC, macs));

  it("answers ARP requests with the port's address", () => {
    const [answer] = answers([arp()]);
    const golden = "0200000000bb0200000000aa080600010800060400020200000000aa0a0000020200000000bb0a000001";
    expect(answer).toBe(golden + "00".repeat(18));
  });

  it("answers echo requests: addresses swapped, type 0, checksums right, payload kept", () => {
    const tags = fc.integer({ min: 0, max: 2 });
    const options = fc.integer({ min: 0, max: 10 });
    const payload = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(tags, options, payload, fc.boolean(), (t, o, data, multicast) => {
        const target = multicast ? [224, 0, 0, 1] : [10, 0, 0, 2];
        const request = echo({ tags: t, options: o, payload: data, target });
        const [text] = answers([request]);
        const answer = Uint8Array.from(Buffer.from(text!, "hex"));
        const ip = 14 + 4 * t;
        const icmp = ip + 20 + 4 * o;
        expect(answer.length).toBe(request.length);
        expect(hex(answer.subarray(0, 12))).toBe("0200000000bb0200000000aa");
        expect([...answer.subarray(ip + 12, ip + 20)]).toEqual([10, 0, 0, multicast ? 1 : 2, 10, 0, 0, 1]);
        expect(checksum(answer.subarray(ip, icmp))).toBe(0);
        expect([answer[icmp], answer[icmp + 1]]).toEqual([0, 0]);
        expect(checksum(answer.subarray(icmp))).toBe(0);
        expect(hex(answer.subarray(icmp + 4))).toBe(hex(request.subarray(icmp + 4)));
      }),
    );
  });

  it("frees everything else, whatever it is and wherever it ends", () => {
    const before = pool.availCount();
    const not = (request: Uint8Array, ...changes: [at: number, value: number][]) => {
      const wrong = Uint8Array.from(request);
      for (const [at, value] of changes) wrong[at] = value;
      return wrong;
    };
    const request = echo({});
    const others = [
      not(request, [12, 0x86], [13, 0xdd]), // IPv6
      not(request, [14, 0x65]), // version 6
      not(request, [14, 0x44]), // header of 16 bytes
      not(request, [14, 0x4f], [23, 17]), // UDP
      not(request, [20, 0x20]), // a first fragment
      not(request, [21, 1]), // a later one
      not(request, [34, 0]), // an echo reply: two echoing ports would talk for ever
      not(request, [35, 1]), // code 1
      not(request, [26, 224]), // from a multicast address
      not(arp(), [21, 2]), // an ARP reply
      not(arp(), [15, 6]), // not Ethernet
      echo({ tags: 3 }),
    ];
    for (let length = 1; length < 42; length++) others.push(request.subarray(0, length), arp().subarray(0, length));
    for (let i = 0; i < others.length; i += 32) expect(answers(others.slice(i, i + 32))).toEqual([]);
    expect(pool.availCount()).toBe(before);
  });

  it("keeps the order of the answers, and leaks nothing on random bytes", () => {
    const before = pool.availCount();
    fc.assert(
      fc.property(fc.array(fc.oneof(packet, fc.constant(null)), { minLength: 1, maxLength: 32 }), (list) => {
        let id = 0;
        const packets = list.map((bytes) => bytes ?? echo({ payload: Uint8Array.of(id++) }));
        const ids = answers(packets).map((text) => Number.parseInt(text.slice(-2), 16));
        expect(ids.length).toBeGreaterThanOrEqual(id);
        if (ids.length === id) expect(ids).toEqual(Array.from({ length: id }, (_, i) => i));
      }),
    );
    expect(pool.availCount()).toBe(before);
  });

  it("answers a request that goes on in further segments", () => {
    const before = pool.availCount();
    const request = echo({ payload: new Uint8Array(600).fill(7) });
    const head = mbufFrom(pool, MAIN, request.subarray(0, 100));
    mbufChain(arena, head, mbufFrom(pool, MAIN, request.subarray(100)));
    arena.u32[pkts >>> 2] = head;
    expect(kernels.fwd_icmpecho(MAIN, pkts, 1, macs)).toBe(1);
    const [text] = take([head]);
    expect(checksum(Uint8Array.from(Buffer.from(text!, "hex")).subarray(34))).toBe(0);
    expect(pool.availCount()).toBe(before);
  });
});

describe("txonly", () => {
  /** Lays a stream's record out. */
  function stream(segments: readonly number[]): { off: number; head: Uint8Array } {
    const off = streamOff;
    const total = segments.reduce((sum, length) => sum + length, 0);
    const head = makeHead(MAC, MAC, total);
    arena.u32[(off + STREAM_SEGS) >>> 2] = segments.length;
    arena.u16.set(segments, (off + STREAM_SEG_LEN) >>> 1);
    arena.u32[(off + STREAM_HEAD_LEN) >>> 2] = head.length;
    arena.u8.set(head, off + STREAM_HEAD);
    return { off, head };
  }
  let streamOff: number;
  beforeAll(() => {
    streamOff = arena.memzoneReserve("stream", STREAM_BYTES).off;
  });

  it("makes packets of the head and zeros in the segments asked for, never of what mbufs held", () => {
    const before = pool.availCount();
    // Every buffer of the pool has been somebody's packet.
    const dirty = Array.from({ length: 900 }, () => mbufFrom(pool, MAIN, new Uint8Array(2000).fill(0xee)));
    for (const mbuf of dirty) mbufFree(arena, MAIN, mbuf);
    const first = fc.integer({ min: 42, max: 2048 });
    const rest = fc.array(fc.integer({ min: 1, max: 2048 }), { maxLength: 7 });
    fc.assert(
      fc.property(first, rest, fc.integer({ min: 1, max: 16 }), (length, more, n) => {
        const segments = [length, ...more];
        const { off, head } = stream(segments);
        expect(kernels.fwd_txonly(off, pool.off, MAIN, n)).toBe(n);
        const total = segments.reduce((sum, bytes) => sum + bytes, 0);
        const model = hex(head) + "00".repeat(total - head.length);
        const mbufs = [...arena.u32.subarray((off + STREAM_PKTS) >>> 2, ((off + STREAM_PKTS) >>> 2) + n)];
        expect(take(mbufs)).toEqual(new Array(n).fill(model));
      }),
      { numRuns: 50 },
    );
    expect(pool.availCount()).toBe(before);
  });

  it("writes no zeros where the pool has them, whichever segment a buffer was before", () => {
    const clean = Mempool.createPktmbuf(arena, "zeros", { n: 300, cacheSize: 100 });
    const segments = fc.array(fc.integer({ min: 42, max: 2048 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(segments, fc.integer({ min: 1, max: 16 }), (lengths, n) => {
        const { off, head } = stream(lengths);
        arena.u32[(off + STREAM_ZEROS) >>> 2] = 1;
        expect(kernels.fwd_txonly(off, clean.off, MAIN, n)).toBe(n);
        arena.u32[(off + STREAM_ZEROS) >>> 2] = 0;
        const total = lengths.reduce((sum, bytes) => sum + bytes, 0);
        const mbufs = [...arena.u32.subarray((off + STREAM_PKTS) >>> 2, ((off + STREAM_PKTS) >>> 2) + n)];
        expect(take(mbufs)).toEqual(new Array(n).fill(hex(head) + "00".repeat(total - head.length)));
      }),
      { numRuns: 50 },
    );
    expect(clean.availCount()).toBe(300);
  });

  it("makes all or nothing when mbufs run out, at any segment", () => {
    const before = pool.availCount();
    const { off } = stream([64, 64, 64]);
    for (const left of [10, 32, 50, 80]) {
      const held = Array.from({ length: pool.availCount() - left }, () => mbufFrom(pool, MAIN, Uint8Array.of(1)));
      expect(kernels.fwd_txonly(off, pool.off, MAIN, 32)).toBe(0);
      expect(pool.availCount()).toBe(left);
      for (const mbuf of held) mbufFree(arena, MAIN, mbuf);
    }
    expect(pool.availCount()).toBe(before);
  });
});
