// iavf_tx_burst against its model: random packets with segments and offloads, right and wrong ones, a device that completes
// what it is given in order, and one that reports at random.
import { QSTATS_BYTES, QSTATS_ERRORS, QSTATS_PACKETS } from "@emudev/ethdev";
import * as S from "@emudev/shm";
import { mbufAlloc, mbufFree } from "@emudev/shm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as T from "../src/layout/tx-queue.ts";
import {
  arena,
  feed,
  kernels,
  LCORE,
  pkts,
  qword,
  type Rig,
  setQword,
  setWord,
  starve,
  tailWord,
  txRig,
  word,
} from "./kernel-rig.ts";
import { type ModelMbuf, TxModel } from "./tx-model.ts";

const SIZE = 64;
const POOL = 220;
const MAX_PKT = 2000;

interface Packet extends Omit<ModelMbuf, "segments" | "nbSegs" | "pktLen"> {
  lengths: number[];
  /** Falsifies nb_segs and pkt_len. */
  liar: [number, number];
}

type Step =
  | { do: "send"; packets: Packet[] }
  | { do: "complete"; n: number }
  | { do: "scribble"; at: number }
  | { do: "starve"; n: number }
  | { do: "feed"; n: number };

const plain: fc.Arbitrary<Packet> = fc
  .integer({ min: 1, max: 256 })
  .map((length) => ({ lengths: [length], liar: [0, 0], flags: 0, l2: 0, l3: 0, l4: 0, mss: 0, tci: 0 }));
const flags = fc
  .tuple(
    fc.constantFrom(0, S.TX_VLAN),
    fc.constantFrom(0, S.TX_IPV4, S.TX_IPV4 | S.TX_IP_CKSUM, S.TX_IPV6),
    fc.constantFrom(0, S.TX_TCP_CKSUM, S.TX_UDP_CKSUM, S.TX_SCTP_CKSUM, S.TX_TCP_SEG | S.TX_TCP_CKSUM),
  )
  .map(([vlan, ip, l4]) => vlan | ip | l4);
const rich: fc.Arbitrary<Packet> = fc.record({
  lengths: fc.array(
    fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 256 }) }, { weight: 1, arbitrary: fc.constant(0) }),
    { minLength: 1, maxLength: 12 },
  ),
  liar: fc.oneof(
    { weight: 9, arbitrary: fc.constant<[number, number]>([0, 0]) },
    { weight: 1, arbitrary: fc.constantFrom<[number, number]>([1, 0], [0, 5], [0, -1]) },
  ),
  flags,
  l2: fc.constantFrom(14, 14, 14, 18, 15),
  l3: fc.constantFrom(20, 20, 40, 22, 512),
  l4: fc.constantFrom(20, 20, 32, 8, 22),
  mss: fc.constantFrom(64, 64, 500, 1448, 63, 9700),
  tci: fc.integer({ min: 0, max: 0xffff }),
});
const EIGHT = new Array<number>(8).fill(MAX_PKT / 8);
const EIGHT_AND_ONE = [...EIGHT.slice(1), MAX_PKT / 8 + 1];
/** What just fits, or just does not. */
const edge: fc.Arbitrary<Packet> = fc
  .record({
    lengths: fc.constantFrom([54], [55], [54, 1], [14, 20, 20], EIGHT, EIGHT_AND_ONE, [1, 1, 1]),
    extra: fc.constantFrom(0, 1, 2),
    flags: fc.constantFrom(0, S.TX_IPV4 | S.TX_TCP_SEG),
    mss: fc.constantFrom(64, MAX_PKT - 54, MAX_PKT - 53),
  })
  .map(({ lengths, extra, flags, mss }) => {
    const all = [...lengths, ...new Array<number>(extra).fill(1)];
    return { lengths: all, liar: [0, 0], flags, l2: 14, l3: 20, l4: 20, mss, tci: 0 };
  });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("send" as const),
    packets: fc.oneof(
      fc.array(plain, { maxLength: 64 }),
      fc.array(fc.oneof(plain, rich, edge), { maxLength: 32 }),
      fc.array(edge, { maxLength: 16 }),
    ),
  }),
  fc.record({ do: fc.constant("complete" as const), n: fc.integer({ min: 1, max: SIZE / 2 }) }),
  fc.record({ do: fc.constantFrom("starve" as const, "feed" as const), n: fc.integer({ min: 1, max: 60 }) }),
);
const hostileStep: fc.Arbitrary<Step> = fc.oneof(
  step,
  fc.record({ do: fc.constant("scribble" as const), at: fc.integer({ min: 0, max: SIZE - 1 }) }),
);

/** Builds the packet of mbufs; null when the pool is empty. */
function build(rig: Rig, packet: Packet): { head: number; model: ModelMbuf } | null {
  const mbufs = packet.lengths.map(() => mbufAlloc(rig.pool, LCORE));
  if (mbufs.includes(0)) {
    for (const mbuf of mbufs) mbufFree(arena, LCORE, mbuf);
    return null;
  }
  const segments = mbufs.map((mbuf, i) => {
    const length = packet.lengths[i]!;
    arena.u16[(mbuf + S.MBUF_DATA_LEN) >>> 1] = length;
    setWord(mbuf, S.MBUF_NEXT, mbufs[i + 1] ?? 0);
    return { address: (1n << 32n) + BigInt(mbuf + S.MBUF_SIZE + S.MBUF_HEADROOM), length };
  });
  const head = mbufs[0]!;
  const { liar, flags, l2, l3, l4, mss, tci } = packet;
  const nbSegs = mbufs.length + liar[0];
  const pktLen = packet.lengths.reduce((a, b) => a + b) + liar[1];
  arena.u16[(head + S.MBUF_NB_SEGS) >>> 1] = nbSegs;
  setWord(head, S.MBUF_PKT_LEN, pktLen);
  setWord(head, S.MBUF_OL_TX, flags);
  arena.u8[head + S.MBUF_L2_LEN] = l2;
  arena.u16[(head + S.MBUF_L3_LEN) >>> 1] = l3;
  arena.u8[head + S.MBUF_L4_LEN] = l4;
  arena.u16[(head + S.MBUF_TSO_SEGSZ) >>> 1] = mss;
  arena.u16[(head + S.MBUF_VLAN_TCI) >>> 1] = tci;
  return { head, model: { segments, nbSegs, pktLen: pktLen >>> 0, flags, l2, l3, l4, mss, tci } };
}

function run(steps: Step[]): void {
  const rig = txRig(SIZE, POOL, MAX_PKT);
  const { q } = rig;
  setWord(q.off, T.TXQ_RUN, 1);
  const model = new TxModel(q.ringOff, SIZE, MAX_PKT);
  let head = 0;
  for (const step of steps) {
    if (step.do === "starve") starve(rig, step.n);
    else if (step.do === "feed") feed(rig, step.n);
    else if (step.do === "scribble") setQword(q.ringOff + step.at * 16 + 8, 0xfn);
    else if (step.do === "complete") {
      for (let i = 0; i < step.n && head !== model.tail; i++, head = (head + 1) % SIZE) {
        const at = q.ringOff + head * 16 + 8;
        if ((qword(at) & 0x20n) !== 0n) setQword(at, qword(at) | 0xfn);
      }
    } else {
      const built = step.packets.map((packet) => build(rig, packet)).filter((packet) => packet !== null);
      arena.u32.set(
        built.map(({ head }) => head),
        pkts >>> 2,
      );
      const before = model.tail;
      const expected = model.burst(built.map((packet) => packet.model));
      expect(kernels.iavf_tx_burst(q.off, LCORE, pkts, built.length)).toBe(expected);
      for (const { head } of built.slice(expected)) mbufFree(arena, LCORE, head);
      for (let i = before; i !== model.tail; i = (i + 1) % SIZE)
        expect([qword(q.ringOff + i * 16), qword(q.ringOff + i * 16 + 8)]).toEqual(model.live.get(i));
      if (model.tail !== before) expect(tailWord()).toBe(model.tail);
    }
    check(rig, model);
  }
  kernels.iavf_tx_release(q.off, LCORE);
  expect(rig.pool.inUseCount()).toBe(rig.hoard.length);
  expect(word(q.off, T.TXQ_FREE)).toBe(SIZE - 1);
  rig.end();
}

function check({ q, pool, hoard }: Rig, model: TxModel): void {
  const counter = (field: number) => arena.counter(q.off + field);
  expect(counter(QSTATS_PACKETS)).toBe(model.packets);
  expect(counter(QSTATS_BYTES)).toBe(model.bytes);
  expect(counter(QSTATS_ERRORS)).toBe(model.errors);
  expect(word(q.off, T.TXQ_TAIL)).toBe(model.tail);
  expect(word(q.off, T.TXQ_FREE)).toBe(model.free);
  expect(pool.inUseCount()).toBe(model.held + hoard.length);
}

describe("iavf_tx_burst", () => {
  it("does what the model does for any packets, whatever the device has completed", () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 40 }), run), { numRuns: 300 });
  });

  it("does what the model does when the device reports at random", () => {
    fc.assert(fc.property(fc.array(hostileStep, { maxLength: 40 }), run), { numRuns: 100 });
  });

  it("never gives the device the last free descriptor", () => {
    const rig = txRig(SIZE, POOL, MAX_PKT);
    setWord(rig.q.off, T.TXQ_RUN, 1);
    const heads = Array.from({ length: 100 }, () => {
      const head = mbufAlloc(rig.pool, LCORE);
      arena.u16[(head + S.MBUF_DATA_LEN) >>> 1] = 60;
      setWord(head, S.MBUF_PKT_LEN, 60);
      return head;
    });
    arena.u32.set(heads, pkts >>> 2);
    expect(kernels.iavf_tx_burst(rig.q.off, LCORE, pkts, 100)).toBe(SIZE - 1);
    expect(tailWord()).toBe(SIZE - 1);
    expect(arena.counter(rig.q.off + T.TXQ_FULL)).toBe(100 - SIZE + 1);
    for (const head of heads.slice(SIZE - 1)) mbufFree(arena, LCORE, head);
    kernels.iavf_tx_release(rig.q.off, LCORE);
    expect(rig.pool.inUseCount()).toBe(0);
    rig.end();
  });
});
