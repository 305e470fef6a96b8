// iavf_rx_burst against its model on random descriptors, honest and hostile, with the pool starved now and then.
import * as A from "@emudev/avf";
import { QSTATS_BYTES, QSTATS_ERRORS, QSTATS_NOMBUF, QSTATS_PACKETS } from "@emudev/ethdev";
import * as S from "@emudev/shm";
import { mbufFree, mbufSegments } from "@emudev/shm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KICK_DIRTY, KICK_IDLE } from "../src/layout/doorbell.ts";
import * as R from "../src/layout/rx-queue.ts";
import {
  arena,
  BUF_SIZE,
  feed,
  hoarded,
  kernels,
  kick,
  LCORE,
  PORT,
  pkts,
  qword,
  type Rig,
  rxRig,
  setQword,
  setWord,
  starve,
  tailWord,
  takePkts,
  word,
} from "./kernel-rig.ts";
import { type ModelPacket, RxModel } from "./rx-model.ts";

const SIZE = 96;
const POOL = 200;
const MAX_PKT = 2 * BUF_SIZE + 50;
const u16 = (off: number) => arena.u16[off >>> 1]!;

interface WriteBack {
  length: number;
  eof: boolean;
  error: number;
  status: number;
  ptype: number;
  word0: bigint;
}

type Step =
  | { do: "device"; backs: WriteBack[] }
  | { do: "scribble"; at: number; word1: bigint }
  | { do: "burst"; n: number; keep: boolean }
  | { do: "starve"; n: number }
  | { do: "feed"; n: number };

const status = fc
  .tuple(fc.boolean(), fc.boolean(), fc.constantFrom(0, 1, 3))
  .map(
    ([vlan, checked, filter]) =>
      (vlan ? A.RX_STATUS_L2TAG1P : 0) | (checked ? A.RX_STATUS_L3L4P : 0) | (filter << A.RX_STATUS_FLTSTAT_SHIFT),
  );
const writeBack: fc.Arbitrary<WriteBack> = fc.record({
  length: fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: BUF_SIZE }) },
    { weight: 3, arbitrary: fc.constantFrom(1, 49, 50, 51, BUF_SIZE - 1, BUF_SIZE) },
    { weight: 1, arbitrary: fc.constantFrom(0, BUF_SIZE + 1, 16383) },
  ),
  eof: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, { weight: 2, arbitrary: fc.constant(false) }),
  error: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.integer({ min: 0, max: 255 }) }),
  status,
  ptype: fc.oneof(fc.constantFrom(1, 11, 22, 23, 24, 26, 27, 28, 88, 92, 94), fc.integer({ min: 0, max: 255 })),
  word0: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
});
const honest: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("device" as const), backs: fc.array(writeBack, { maxLength: 40 }) }),
  fc.record({ do: fc.constant("burst" as const), n: fc.constantFrom(1, 7, 32, 64, 128), keep: fc.boolean() }),
  fc.record({ do: fc.constantFrom("starve" as const, "feed" as const), n: fc.integer({ min: 1, max: 100 }) }),
);
const hostile: fc.Arbitrary<Step> = fc.oneof(
  honest,
  fc.record({
    do: fc.constant("scribble" as const),
    at: fc.integer({ min: 0, max: SIZE - 1 }),
    word1: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  }),
);

const word1Of = (b: WriteBack) =>
  BigInt(A.RX_STATUS_DD | (b.eof ? A.RX_STATUS_EOF : 0) | b.status) |
  (BigInt(b.error) << BigInt(A.RX_ERROR_SHIFT)) |
  (BigInt(b.ptype) << BigInt(A.RX_PTYPE_SHIFT)) |
  (BigInt(b.length) << BigInt(A.RX_LENGTH_SHIFT));

function packetOf(head: number): ModelPacket {
  const mbufs = mbufSegments(arena, head);
  return {
    mbufs,
    lengths: mbufs.map((mbuf) => u16(mbuf + S.MBUF_DATA_LEN)),
    packetType: word(head, S.MBUF_PACKET_TYPE),
    flags: word(head, S.MBUF_OL_RX),
    rss: word(head, S.MBUF_RSS),
    tci: u16(head + S.MBUF_VLAN_TCI),
  };
}

function run(steps: Step[]): void {
  const rig = rxRig(SIZE, POOL, MAX_PKT);
  const { q } = rig;
  const swRing = (i: number) => word(word(q.off, R.RXQ_SW_RING), 4 * i);
  setWord(q.off, R.RXQ_RUN, 1);
  expect(kernels.iavf_rx_fill(q.off, LCORE)).toBe(SIZE);
  const model = new RxModel(q.ringOff, SIZE, MAX_PKT, swRing);
  let head = 0;
  let partial = 0;
  for (const step of steps) {
    if (step.do === "starve") starve(rig, step.n);
    else if (step.do === "feed") feed(rig, step.n);
    else if (step.do === "scribble") setQword(q.ringOff + step.at * 32 + 8, step.word1);
    else if (step.do === "device") {
      for (const back of step.backs) {
        if (head === tailWord()) break;
        setQword(q.ringOff + head * 32, back.word0);
        setQword(q.ringOff + head * 32 + 8, word1Of(back));
        head = (head + 1) % SIZE;
      }
    } else {
      const expected = model.burst(step.n, rig.pool.availCount());
      const got = takePkts(kernels.iavf_rx_burst(q.off, LCORE, pkts, step.n));
      expect(got.map(packetOf)).toEqual(expected);
      for (const mbuf of got) {
        expect(u16(mbuf + S.MBUF_PORT)).toBe(PORT);
        expect(u16(mbuf + S.MBUF_NB_SEGS)).toBe(mbufSegments(arena, mbuf).length);
        if (step.keep) rig.hoard.push(mbuf);
        else mbufFree(arena, LCORE, mbuf);
      }
      partial = model.partial?.mbufs.length ?? 0;
    }
    check(rig, model, swRing, partial);
  }
  kernels.iavf_rx_release(q.off, LCORE);
  expect(rig.pool.inUseCount()).toBe(hoarded(rig));
  rig.end();
}

function check(rig: Rig, model: RxModel, swRing: (i: number) => number, partial: number): void {
  const { q, pool } = rig;
  const counter = (field: number) => arena.counter(q.off + field);
  expect(word(q.off, R.RXQ_NEXT)).toBe(model.next);
  expect(word(q.off, R.RXQ_HELD)).toBe(model.held);
  expect(tailWord()).toBe(model.tail);
  expect(counter(QSTATS_PACKETS)).toBe(model.packets);
  expect(counter(QSTATS_BYTES)).toBe(model.bytes);
  expect(counter(QSTATS_ERRORS)).toBe(model.errors);
  expect(counter(QSTATS_NOMBUF)).toBe(model.nombuf);
  // Every mbuf is in the pool, in the ring, part of a packet that has begun, or the test's.
  expect(pool.availCount() + (SIZE - model.held) + partial + hoarded(rig)).toBe(POOL);
  const inRing = new Set<number>();
  for (let i = 0; i < SIZE - model.held; i++) inRing.add(swRing((model.next + i) % SIZE));
  expect(inRing.size).toBe(SIZE - model.held);
}

describe("iavf_rx_burst", () => {
  it("does what the model does on any write-back of the device", () => {
    fc.assert(fc.property(fc.array(honest, { maxLength: 40 }), run), { numRuns: 100 });
  });

  it("does what the model does when the device writes anywhere in the ring", () => {
    fc.assert(fc.property(fc.array(hostile, { maxLength: 40 }), run), { numRuns: 150 });
  });

  it("gives the device 64-bit addresses behind the headroom, and owns all but one descriptor", () => {
    const rig = rxRig(SIZE, POOL, MAX_PKT);
    kernels.iavf_rx_fill(rig.q.off, LCORE);
    const mbuf = word(word(rig.q.off, R.RXQ_SW_RING), 4 * 5);
    expect(qword(rig.q.ringOff + 5 * 32)).toBe((1n << 32n) + BigInt(mbuf + S.MBUF_SIZE + S.MBUF_HEADROOM));
    expect(tailWord()).toBe(SIZE - 1);
    kernels.iavf_rx_release(rig.q.off, LCORE);
    rig.end();
  });

  it("returns nothing and touches nothing while the queue may not run", () => {
    const rig = rxRig(SIZE, POOL, MAX_PKT);
    kernels.iavf_rx_fill(rig.q.off, LCORE);
    setQword(rig.q.ringOff + 8, word1Of({ length: 64, eof: true, error: 0, status: 0, ptype: 1, word0: 0n }));
    expect(kernels.iavf_rx_burst(rig.q.off, LCORE, pkts, 32)).toBe(0);
    expect(word(rig.q.off, R.RXQ_NEXT)).toBe(0);
    kernels.iavf_rx_release(rig.q.off, LCORE);
    rig.end();
  });

  it.each([0, 32, 64])("takes no descriptor for new that it could not refill, and recovers (from %d)", (first) => {
    const rig = rxRig(SIZE, POOL, MAX_PKT);
    const { off, ringOff } = rig.q;
    setWord(off, R.RXQ_RUN, 1);
    kernels.iavf_rx_fill(off, LCORE);
    const back = { length: 64, eof: true, error: 0, status: 0, ptype: 1, word0: 0n };
    const write = (n: number) => {
      for (let i = 0; i < n; i++) setQword(ringOff + i * 32 + 8, word1Of(back));
    };
    const burst = (n: number) => kernels.iavf_rx_burst(off, LCORE, pkts, n);
    const keep = (n: number) => rig.hoard.push(...takePkts(n));
    write(first);
    keep(burst(first));
    starve(rig, POOL);
    write(SIZE);
    expect(burst(2 * SIZE)).toBe(SIZE);
    keep(SIZE);
    // Every descriptor still says DD, and none holds a buffer.
    expect(burst(32)).toBe(0);
    expect(tailWord()).toBe((first + SIZE - 1) % SIZE);
    expect(arena.counter(off + QSTATS_NOMBUF)).toBe(2 * R.RXQ_FREE_THRESH);
    feed(rig, POOL);
    expect(burst(32)).toBe(0);
    expect(word(off, R.RXQ_HELD)).toBe(0);
    const addresses = new Set<bigint>();
    for (let i = 0; i < SIZE; i++) {
      expect(qword(ringOff + i * 32 + 8)).toBe(0n);
      addresses.add(qword(ringOff + i * 32));
    }
    expect(addresses.size).toBe(SIZE);
    kernels.iavf_rx_release(off, LCORE);
    expect(rig.pool.inUseCount()).toBe(hoarded(rig));
    rig.end();
  });

  it("marks the kick word when the tail moves, for tails that are not mapped", () => {
    const rig = rxRig(SIZE, POOL, MAX_PKT);
    setWord(kick, 0, KICK_IDLE);
    kernels.iavf_rx_fill(rig.q.off, LCORE);
    expect(word(kick)).toBe(KICK_DIRTY);
    kernels.iavf_rx_release(rig.q.off, LCORE);
    rig.end();
  });

  it("fills nothing when the pool is too small for the ring", () => {
    const rig = rxRig(SIZE, 50, MAX_PKT);
    expect(kernels.iavf_rx_fill(rig.q.off, LCORE)).toBe(0);
    expect(rig.pool.inUseCount()).toBe(0);
    rig.end();
  });
});
