// Packet buffers: what alloc resets, where freed segments go, and that data survives chaining, reading and growing.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  MBUF_BUF,
  MBUF_BUF_LEN,
  MBUF_DATA_LEN,
  MBUF_DATA_OFF,
  MBUF_HEADROOM,
  MBUF_NB_SEGS,
  MBUF_PKT_LEN,
  MBUF_POOL,
  MBUF_PORT,
  MBUF_REFCNT,
  MBUF_SIZE,
  Mempool,
  mbufAlloc,
  mbufAppend,
  mbufBytes,
  mbufChain,
  mbufData,
  mbufFree,
  mbufFrom,
  mbufPrepend,
  mbufRefcntUpdate,
  mbufSegments,
  mbufTailroom,
  shmKernels,
} from "../src/index.ts";
import { makeArena, readObjs, writeObjs } from "./support.ts";

const { arena, objs } = makeArena();
const kernels = shmKernels(arena);
const LCORE = 2;
const half = (mbuf: number, field: number) => arena.u16[(mbuf + field) >>> 1]!;
const word = (mbuf: number, field: number) => arena.u32[(mbuf + field) >>> 2]!;

describe("alloc", () => {
  test.each(["one", "bulk"])("resets every field of a used mbuf (%s)", (how) => {
    const pool = Mempool.createPktmbuf(arena, `reset ${how}`, { n: 1, cacheSize: 0, dataRoomSize: 512 });
    arena.u8.fill(0xff, pool.objs.off, pool.objs.off + pool.eltSize);
    if (how === "one") expect(mbufAlloc(pool, LCORE)).toBe(pool.objs.off);
    else expect(kernels.pktmbuf_alloc_bulk(pool.off, LCORE, objs, 1)).toBe(1);
    const mbuf = pool.objs.off;
    const expected = new Uint8Array(MBUF_SIZE);
    const view = new DataView(expected.buffer);
    view.setUint32(MBUF_BUF, mbuf + MBUF_SIZE, true);
    view.setUint16(MBUF_DATA_OFF, MBUF_HEADROOM, true);
    view.setUint16(MBUF_REFCNT, 1, true);
    view.setUint16(MBUF_NB_SEGS, 1, true);
    view.setUint16(MBUF_PORT, 0xffff, true);
    view.setUint16(MBUF_BUF_LEN, 512, true);
    view.setUint32(MBUF_POOL, pool.off, true);
    expect([...arena.u8.subarray(mbuf, mbuf + MBUF_SIZE)]).toEqual([...expected]);
    expect(arena.u8[mbuf + MBUF_SIZE]).toBe(0xff);
    pool.free();
  });

  test("gives nothing from an empty pool and counts it", () => {
    const pool = Mempool.createPktmbuf(arena, "dry", { n: 2, cacheSize: 0 });
    const first = mbufAlloc(pool, LCORE);
    expect(kernels.pktmbuf_alloc_bulk(pool.off, LCORE, objs, 2)).toBe(0);
    expect(mbufAlloc(pool, LCORE)).not.toBe(0);
    expect(mbufAlloc(pool, LCORE)).toBe(0);
    expect(mbufFrom(pool, LCORE, new Uint8Array(10))).toBe(0);
    expect(pool.exhausted()).toBe(4);
    mbufFree(arena, LCORE, first);
    expect(mbufAlloc(pool, LCORE)).toBe(first);
    pool.free();
  });
});

describe("free", () => {
  // A packet is a list of segments, each from one of three pools, with a number of references.
  const packet = fc.record({
    segments: fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 4 }),
    references: fc.constantFrom(1, 1, 1, 2, 3),
    empty: fc.constantFrom(false, false, false, true),
  });

  test("returns each segment to its own pool when its last reference goes, in bulk or one by one", () => {
    fc.assert(
      fc.property(
        fc.array(packet, { maxLength: 40 }),
        fc.constantFrom(0, 4, 32),
        fc.boolean(),
        (packets, cacheSize, bulk) => {
          const pools = [0, 1, 2].map((i) =>
            Mempool.createPktmbuf(arena, `free${i}`, { n: 400, cacheSize, dataRoomSize: 192 }),
          );
          const heads = packets.map(({ segments, references, empty }) => {
            if (empty) return 0;
            const [head, ...rest] = segments.map((pool) => mbufAlloc(pools[pool]!, LCORE));
            for (const segment of rest) mbufChain(arena, head!, segment);
            writeObjs(arena, objs, [head!]);
            if (bulk) kernels.pktmbuf_refer_bulk(objs, 1, references - 1);
            else mbufRefcntUpdate(arena, head!, references - 1);
            return head!;
          });
          for (let round = 1; round <= 3; round++) {
            const alive = heads.map((head, i) => (packets[i]!.references >= round ? head : 0));
            writeObjs(arena, objs, alive);
            if (bulk) kernels.pktmbuf_free_bulk(LCORE, objs, alive.length);
            else for (const head of alive) mbufFree(arena, LCORE, head);
            for (const [i, pool] of pools.entries()) {
              const held = packets.filter(({ references, empty }) => !empty && references > round);
              expect(pool.inUseCount()).toBe(held.flatMap(({ segments }) => segments).filter((s) => s === i).length);
            }
          }
          for (const pool of pools) {
            const n = kernels.pktmbuf_alloc_bulk(pool.off, LCORE, objs, 400);
            expect(new Set(readObjs(arena, objs, n)).size).toBe(400);
            pool.free();
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("a bulk larger than the cache goes through it to the ring", () => {
    const pool = Mempool.createPktmbuf(arena, "through", { n: 300, cacheSize: 32, dataRoomSize: 128 });
    expect(kernels.pktmbuf_alloc_bulk(pool.off, LCORE, objs, 250)).toBe(250);
    kernels.pktmbuf_free_bulk(LCORE, objs, 250);
    expect(pool.inUseCount()).toBe(0);
    expect(kernels.pktmbuf_alloc_bulk(pool.off, LCORE + 1, objs, 250)).toBe(250);
    kernels.pktmbuf_free_bulk(LCORE + 1, objs, 250);
    pool.free();
  });
});

describe("data", () => {
  test("a packet of any length comes back byte for byte, over as many segments as it takes", () => {
    const pool = Mempool.createPktmbuf(arena, "bytes", { n: 64, cacheSize: 0, dataRoomSize: 228 });
    const out = arena.memzoneReserve("bytes out", 4096).off;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 900 }), fc.nat({ max: 950 }), fc.nat({ max: 950 }), (bytes, from, n) => {
        const mbuf = mbufFrom(pool, LCORE, bytes);
        expect(mbufSegments(arena, mbuf)).toHaveLength(Math.max(1, Math.ceil(bytes.length / 100)));
        expect(half(mbuf, MBUF_NB_SEGS)).toBe(mbufSegments(arena, mbuf).length);
        expect(word(mbuf, MBUF_PKT_LEN)).toBe(bytes.length);
        expect(mbufBytes(arena, mbuf)).toEqual(bytes);
        const part = bytes.subarray(from, from + n);
        arena.u8.fill(0xee, out, out + 1024);
        expect(kernels.pktmbuf_read(mbuf, from, n, out)).toBe(part.length);
        expect([...arena.u8.subarray(out, out + part.length)]).toEqual([...part]);
        expect(arena.u8[out + part.length]).toBe(0xee);
        mbufFree(arena, LCORE, mbuf);
      }),
    );
    expect(pool.inUseCount()).toBe(0);
    arena.memzoneFree("bytes out");
    pool.free();
  });

  test("append and prepend stay inside the buffer and refuse what does not fit", () => {
    const pool = Mempool.createPktmbuf(arena, "room", { n: 2, cacheSize: 0, dataRoomSize: 256 });
    const mbuf = mbufAlloc(pool, LCORE);
    expect(mbufTailroom(arena, mbuf)).toBe(128);
    expect(mbufAppend(arena, mbuf, 129)).toBe(0);
    expect(mbufAppend(arena, mbuf, 128)).toBe(mbuf + MBUF_SIZE + MBUF_HEADROOM);
    expect(mbufAppend(arena, mbuf, 1)).toBe(0);
    expect(mbufPrepend(arena, mbuf, 129)).toBe(0);
    expect(mbufPrepend(arena, mbuf, 14)).toBe(mbuf + MBUF_SIZE + 114);
    expect([half(mbuf, MBUF_DATA_OFF), half(mbuf, MBUF_DATA_LEN), word(mbuf, MBUF_PKT_LEN)]).toEqual([114, 142, 142]);
    expect(mbufData(arena, mbuf)).toHaveLength(142);
    mbufFree(arena, LCORE, mbuf);
    pool.free();
  });
});
