// virtchnl without a device: every operation is answered with its right status, whatever was granted and whatever the driver
// sends, and nothing that is refused changes anything.
import {
  capsCodec,
  decode,
  encode,
  irqMapCodec,
  VIRTCHNL_OP as OP,
  opName,
  type QueuePairInfo,
  queueSelectCodec,
  RSS_HENA_ALL,
  rssHenaCodec,
  rssKeyCodec,
  rssLutCodec,
  VF_CAP,
  versionCodec,
  vfResourceCodec,
  vsiQueueConfigCodec,
} from "@emudev/avf";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { Counters } from "../src/control/counters.ts";
import { newVf } from "../src/control/vf.ts";
import type { VirtchnlContext } from "../src/control/virtchnl/context.ts";
import { dispatch } from "../src/control/virtchnl/dispatch.ts";
import { macs, u32 } from "./support/guest-driver.ts";

const ALL = 0xffff_ffff;
const EMPTY = new Uint8Array(0);
let log: string[];
let context: VirtchnlContext;
let counters: Counters;

function makeContext(pairs = 4): VirtchnlContext {
  const vf = newVf(pairs);
  const stats = new Uint8Array(96);
  return {
    vf,
    pairsMax: 4,
    vectors: 5,
    frameMax: 9728,
    mac: () => Uint8Array.of(2, 0, 0, 0, 0, 1),
    stats: () => stats,
    setAttr: async (name, value) => void log.push(`${name}=${value}`),
    queuesEnabled: async (numbers) => void log.push(`enabled ${numbers}`),
    queuesDisabled: async (numbers) => void log.push(`disabled ${numbers}`),
    clearTails: (numbers) => void log.push(`tails ${numbers}`),
    introduced: () => void log.push("introduced"),
    queuesChanged: () => void log.push("changed"),
    resetVf: () => void log.push("reset"),
    changePairs: async (n) => void log.push(`pairs ${n}`),
    vectorsMapped: () => void log.push("mapped"),
  };
}

beforeEach(async () => {
  log = [];
  context = makeContext();
  counters = new Counters();
});

const send = (op: number, data: Uint8Array = EMPTY) => dispatch(context, op, data, counters);
const hello = (caps = ALL) => send(OP.GET_VF_RESOURCES, u32(caps));
const pair = (queueId: number): QueuePairInfo => ({
  tx: { vsiId: 1, queueId, ringLen: 512, headwbEnabled: 0, ringAddr: 0x1000n, headwbAddr: 0n },
  rx: {
    ...{ vsiId: 1, queueId, ringLen: 512, hdrSize: 0, splithdrEnabled: 0, dataBufferSize: 2048, maxPktSize: 1518 },
    ...{ crcDisable: 0, rxdid: 1, flags: 0, ringAddr: 0x2000n, splitPos: 0 },
  },
});
const config = (...queues: number[]) => encode(vsiQueueConfigCodec, { vsiId: 1, pairs: queues.map(pair) });
const select = (rxQueues: number, txQueues: number, vsiId = 1) =>
  encode(queueSelectCodec, { vsiId, rxQueues, txQueues });

describe("negotiation", () => {
  test("the version is at most 1.1, and 1.0 for a driver of that age", async () => {
    for (const [asked, answered] of [
      ["1.0", "1.0"],
      ["1.1", "1.1"],
      ["1.7", "1.1"],
      ["2.0", "1.1"],
    ] as const) {
      const [major, minor] = asked.split(".").map(Number) as [number, number];
      const reply = await send(OP.VERSION, encode(versionCodec, { major, minor }));
      const version = decode(versionCodec, reply!.data!)!;
      expect(`${version.major}.${version.minor}`).toBe(answered);
    }
  });

  test("what is granted was asked for, and is one of six", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: ALL }), async (asked) => {
        const granted = decode(vfResourceCodec, (await hello(asked))!.data!)!.caps;
        expect(granted & ~asked).toBe(0);
        expect(granted & ~0x900e1).toBe(0);
        expect(granted).toBe((asked & 0x900e1) >>> 0);
      }),
    );
  });

  test("a driver of 1.0 sends no capabilities and gets L2 and VLAN", async () => {
    const reply = await send(OP.GET_VF_RESOURCES);
    expect(decode(vfResourceCodec, reply!.data!)!.caps).toBe(VF_CAP.L2 | VF_CAP.VLAN);
    expect((await send(OP.CONFIG_RSS_KEY))!.status).toBe(-64);
  });

  test("before it, only what leads there is served", async () => {
    expect((await send(OP.ENABLE_QUEUES, select(1, 1)))!.status).toBe(-5);
    expect((await send(OP.GET_STATS, select(0, 0)))!.status).toBe(-5);
    expect(await send(OP.RESET_VF)).toBeNull();
    expect(log).toEqual(["reset"]);
  });
});

test("every operation that is not granted is answered -64 with no effect", async () => {
  await hello(VF_CAP.L2);
  const served = [1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 15];
  for (let op = 0; op < 256; op++) {
    if (served.includes(op)) continue;
    expect((await send(op, new Uint8Array(64)))!.status, opName(op)).toBe(-64);
  }
  for (const op of [0xffff_ffff, 0x8000_0000]) expect((await send(op))!.status).toBe(-64);
  expect(log).toEqual([]);
  expect(counters.vcNotSupported).toBe(counters.vcMessages - 1);
});

test("every truncation of every operation that carries data is answered -5 with no effect", async () => {
  await hello();
  const messages: [number, Uint8Array, number][] = [
    [OP.CONFIG_VSI_QUEUES, config(0, 1), 64],
    [
      OP.CONFIG_IRQ_MAP,
      encode(irqMapCodec, { vectors: [{ vsiId: 1, vectorId: 1, rxqMap: 1, txqMap: 1, rxitrIdx: 0, txitrIdx: 1 }] }),
      12,
    ],
    [OP.ENABLE_QUEUES, select(1, 1), 0],
    [OP.DISABLE_QUEUES, select(1, 1), 0],
    [OP.ADD_ETH_ADDR, macs([1, 1]), 8],
    [OP.DEL_ETH_ADDR, macs([1, 1]), 8],
    [OP.ADD_VLAN, Uint8Array.of(1, 0, 1, 0, 5, 0, 0, 0), 2],
    [OP.DEL_VLAN, Uint8Array.of(1, 0, 1, 0, 5, 0, 0, 0), 2],
    [OP.CONFIG_PROMISCUOUS_MODE, Uint8Array.of(1, 0, 3, 0), 0],
    [OP.CONFIG_RSS_KEY, encode(rssKeyCodec, { vsiId: 1, bytes: new Uint8Array(52) }), 1],
    [OP.CONFIG_RSS_LUT, encode(rssLutCodec, { vsiId: 1, bytes: new Uint8Array(64) }), 1],
    [OP.SET_RSS_HENA, new Uint8Array(8), 0],
    [OP.REQUEST_QUEUES, Uint8Array.of(2, 0), 0],
    [OP.VERSION, u32(1, 1), 0],
  ];
  for (const [op, data, extra] of messages)
    for (let n = 0; n < data.length - extra; n++)
      expect((await send(op, data.subarray(0, n)))!.status, `${opName(op)} of ${n} bytes`).toBe(-5);
  expect(log).toEqual([]);
});

describe("queues", () => {
  beforeEach(async () => {
    await hello();
    log = [];
  });

  test("enabling what was not configured, or what there is not, is refused whole", async () => {
    await send(OP.CONFIG_VSI_QUEUES, config(0));
    for (const data of [
      select(2, 0),
      select(3, 1),
      select(0x10, 0),
      select(0, 0x8000_0000),
      select(0, 0),
      select(1, 1, 2),
    ])
      expect((await send(OP.ENABLE_QUEUES, data))!.status).toBe(-5);
    expect(log.filter((entry) => entry.startsWith("enabled"))).toEqual([]);
  });

  test("enabling and disabling twice tells the backend once", async () => {
    await send(OP.CONFIG_VSI_QUEUES, config(0, 1));
    log = [];
    for (const op of [OP.ENABLE_QUEUES, OP.ENABLE_QUEUES, OP.DISABLE_QUEUES, OP.DISABLE_QUEUES])
      expect((await send(op, select(3, 1)))!.status).toBe(0);
    expect(log.filter((entry) => !entry.startsWith("tails"))).toEqual([
      "enabled 0,1,2",
      "enabled ",
      "disabled 0,1,2",
      "disabled ",
    ]);
  });

  test("a running queue is taken back before it is configured anew, and its tail stays", async () => {
    await send(OP.CONFIG_VSI_QUEUES, config(0));
    await send(OP.ENABLE_QUEUES, select(1, 1));
    log = [];
    expect((await send(OP.CONFIG_VSI_QUEUES, config(0)))!.status).toBe(0);
    expect(log).toEqual(["disabled 0,1"]);
    expect(context.vf.rx[0]!.enabled).toBe(false);
  });

  test("queue 4 of 4, and a pair with no half used, are refused", async () => {
    expect((await send(OP.CONFIG_VSI_QUEUES, config(0, 4)))!.status).toBe(-5);
    const nothing = { tx: { ...pair(0).tx, ringLen: 0 }, rx: { ...pair(0).rx, ringLen: 0 } };
    expect(
      (await send(OP.CONFIG_VSI_QUEUES, encode(vsiQueueConfigCodec, { vsiId: 1, pairs: [nothing] })))!.status,
    ).toBe(-5);
    expect(context.vf.rx[0]!.info).toBeNull();
  });

  test("a frame longer than the function's is cut to it", async () => {
    context = { ...context, frameMax: 1526 };
    await send(
      OP.CONFIG_VSI_QUEUES,
      encode(vsiQueueConfigCodec, { vsiId: 1, pairs: [{ ...pair(0), rx: { ...pair(0).rx, maxPktSize: 9728 } }] }),
    );
    expect(context.vf.rx[0]!.info!.maxPktSize).toBe(1526);
  });

  test("vector maps: beyond the last vector, or for queues that there are not, are refused", async () => {
    const map = (vectorId: number, rxqMap: number, vsiId = 1) =>
      encode(irqMapCodec, { vectors: [{ vsiId, vectorId, rxqMap, txqMap: 0, rxitrIdx: 2, txitrIdx: 3 }] });
    for (const data of [map(5, 1), map(1, 0x10), map(1, 1, 2), map(0, 1)])
      expect((await send(OP.CONFIG_IRQ_MAP, data))!.status).toBe(-5);
    expect((await send(OP.CONFIG_IRQ_MAP, map(4, 8)))!.status).toBe(0);
    expect(context.vf.rx[3]).toMatchObject({ vector: 4, itr: 2 });
    expect(log).toEqual(["mapped"]);
  });
});

describe("filters and RSS", () => {
  beforeEach(async () => {
    await hello();
    log = [];
  });

  test("64 addresses and no more; a list that does not fit is refused whole", async () => {
    const many = (from: number, to: number) =>
      macs(...Array.from({ length: to - from }, (_, i) => [from + i, 2] as [number, number]));
    expect((await send(OP.ADD_ETH_ADDR, many(0, 60)))!.status).toBe(0);
    expect((await send(OP.ADD_ETH_ADDR, many(58, 65)))!.status).toBe(-18);
    expect(context.vf.macs.size).toBe(60);
    expect((await send(OP.ADD_ETH_ADDR, many(58, 64)))!.status).toBe(0);
    expect((await send(OP.DEL_ETH_ADDR, many(0, 64)))!.status).toBe(0);
    expect(context.vf.macs.size).toBe(0);
  });

  test("a multicast address cannot be the driver's own", async () => {
    const list = macs([1, 1]);
    list[4] = 0x01;
    expect((await send(OP.ADD_ETH_ADDR, list))!.status).toBe(-5);
    list[10] = 2;
    expect((await send(OP.ADD_ETH_ADDR, list))!.status).toBe(0);
  });

  test("a table that names a queue there is not, and packet classes that are not offered, are refused", async () => {
    const lut = (queue: number) => encode(rssLutCodec, { vsiId: 1, bytes: new Uint8Array(64).fill(queue) });
    expect((await send(OP.CONFIG_RSS_LUT, lut(3)))!.status).toBe(0);
    expect((await send(OP.CONFIG_RSS_LUT, lut(4)))!.status).toBe(-5);
    const offered = decode(rssHenaCodec, (await send(OP.GET_RSS_HENA_CAPS))!.data!)!;
    expect(offered).toBe(RSS_HENA_ALL);
    expect((await send(OP.SET_RSS_HENA, encode(rssHenaCodec, offered)))!.status).toBe(0);
    expect((await send(OP.SET_RSS_HENA, encode(rssHenaCodec, 1n)))!.status).toBe(-5);
  });
});

test("whatever a driver sends, it gets one answer of its op and nothing throws", async () => {
  const op = fc.oneof(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: ALL }));
  const message = fc.record({ op, data: fc.uint8Array({ maxLength: 300 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 20 }), fc.boolean(), async (messages, negotiated) => {
      context = makeContext();
      if (negotiated) await hello();
      for (const { op: number, data } of messages) {
        const reply = await send(number, data);
        if (reply === null) expect([OP.RESET_VF, OP.REQUEST_QUEUES]).toContain(number);
        else expect([0, -5, -18, -64]).toContain(reply.status);
      }
      expect(context.vf.macs.size).toBeLessThanOrEqual(64);
      for (const queue of [...context.vf.rx, ...context.vf.tx]) if (queue.enabled) expect(queue.info).not.toBeNull();
    }),
    { numRuns: 300 },
  );
  expect(decode(capsCodec, u32(7))).toBe(7);
});
