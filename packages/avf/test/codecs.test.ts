// Every codec: what is written is read back, whatever the values; every truncation is refused; what lies behind a message is
// neither read nor needed; the values a device must refuse are refused with a reason.
import fc, { type Arbitrary } from "fast-check";
import { describe, expect, test } from "vitest";
import { aqDescriptor, aqDescriptorCodec } from "../src/admin-queue.ts";
import { type Codec, decode, encode } from "../src/codec.ts";
import { pfEventCodec } from "../src/virtchnl/event.ts";
import { ethAddrListCodec, promiscCodec, vlanListCodec } from "../src/virtchnl/filters.ts";
import { irqMapCodec } from "../src/virtchnl/irq-map.ts";
import * as large from "../src/virtchnl/large.ts";
import { vsiQueueConfigCodec } from "../src/virtchnl/queue-config.ts";
import { queueSelectCodec } from "../src/virtchnl/queue-select.ts";
import { capsCodec, requestQueuesCodec, versionCodec, vfResourceCodec } from "../src/virtchnl/resources.ts";
import { rssHenaCodec, rssHfuncCodec, rssKeyCodec, rssLutCodec } from "../src/virtchnl/rss.ts";
import { ETH_STATS_FIELDS, ethStatsCodec } from "../src/virtchnl/stats.ts";
import { vlanListV2Codec, vlanSettingCodec, vlanV2CapsCodec } from "../src/virtchnl/vlan-v2.ts";

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const s32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
const mac = fc.uint8Array({ minLength: 6, maxLength: 6 });
const rec = fc.record;
const list = <T>(item: Arbitrary<T>) => fc.array(item, { maxLength: 20 });
const tag = rec({ tci: u16, mask: u16, tpid: u16 });
const txq = rec({ vsiId: u16, queueId: u16, ringLen: u16, headwbEnabled: u16, ringAddr: u64, headwbAddr: u64 });
const rxq = rec({
  ...{ vsiId: u16, queueId: u16, ringLen: u32, hdrSize: u16, splithdrEnabled: u16, dataBufferSize: u32 },
  ...{ maxPktSize: u32, crcDisable: u8, rxdid: u8, flags: u8, ringAddr: u64, splitPos: s32 },
});
const vsi = rec({ vsiId: u16, numQueuePairs: u16, vsiType: s32, qsetHandle: u16, mac });

// codec, values, bytes of the extra trailing element
type Case = [codec: Codec<never>, values: Arbitrary<unknown>, extra: number];
const of = <T>(codec: Codec<T>, values: Arbitrary<T>, extra = 0): Case => [codec as never, values, extra];
const CASES: Case[] = [
  of(
    aqDescriptorCodec,
    rec({
      ...{ flags: u16, opcode: u16, datalen: u16, retval: u16, cookieHigh: u32, cookieLow: s32 },
      ...{ param0: u32, param1: u32, address: u64 },
    }),
  ),
  of(versionCodec, rec({ major: u32, minor: u32 })),
  of(capsCodec, u32),
  of(requestQueuesCodec, u16),
  of(
    vfResourceCodec,
    rec({
      ...{ numQueuePairs: u16, maxVectors: u16, maxMtu: u16, caps: u32, rssKeySize: u32, rssLutSize: u32 },
      vsis: list(vsi),
    }),
  ),
  of(vsiQueueConfigCodec, rec({ vsiId: u16, pairs: list(rec({ tx: txq, rx: rxq })) }), 64),
  of(
    irqMapCodec,
    rec({
      vectors: list(rec({ vsiId: u16, vectorId: u16, rxqMap: u16, txqMap: u16, rxitrIdx: u16, txitrIdx: u16 })),
    }),
    12,
  ),
  of(queueSelectCodec, rec({ vsiId: u16, rxQueues: u32, txQueues: u32 })),
  of(ethAddrListCodec, rec({ vsiId: u16, list: list(rec({ addr: mac, type: u8 })) }), 8),
  of(vlanListCodec, rec({ vsiId: u16, ids: list(u16) }), 2),
  of(promiscCodec, rec({ vsiId: u16, flags: u16 })),
  of(rssKeyCodec, rec({ vsiId: u16, bytes: fc.uint8Array({ maxLength: 80 }) }), 1),
  of(rssLutCodec, rec({ vsiId: u16, bytes: fc.uint8Array({ maxLength: 80 }) }), 1),
  of(rssHenaCodec, u64),
  of(rssHfuncCodec, rec({ vsiId: u16, algorithm: u16 })),
  of(ethStatsCodec, rec(Object.fromEntries(ETH_STATS_FIELDS.map((f) => [f, u64])) as never)),
  of(pfEventCodec, rec({ event: s32, linkSpeed: u32, linkUp: fc.boolean(), severity: s32 })),
  of(
    vlanV2CapsCodec,
    rec({
      ...{ filterOuter: u32, filterInner: u32, filterEthertypeInit: u32, maxFilters: u16, stripOuter: u32 },
      ...{ stripInner: u32, insertOuter: u32, insertInner: u32, offloadEthertypeInit: u32, ethertypeMatch: u8 },
    }),
  ),
  of(vlanListV2Codec, rec({ vportId: u16, filters: list(rec({ inner: tag, outer: tag })) }), 32),
  of(vlanSettingCodec, rec({ outer: u32, inner: u32, vportId: u16 })),
  of(
    large.queuesV2Codec,
    rec({
      vportId: u16,
      chunks: fc.array(rec({ type: s32, startQueueId: u16, numQueues: u16 }), { minLength: 1, maxLength: 20 }),
    }),
  ),
  of(
    large.queueVectorMapsCodec,
    rec({
      vportId: u16,
      maps: fc.array(rec({ queueId: u16, vectorId: u16, itrIdx: s32, queueType: s32 }), {
        minLength: 1,
        maxLength: 20,
      }),
    }),
  ),
  of(large.rssQregionCodec, rec({ vportId: u16, qregionWidth: u16 })),
  of(large.rxdidsCodec, u64),
  of(
    large.ptpCapsCodec,
    rec({
      ...{ clockHi: u32, clockLo: u32, bar: u8, caps: u32, maxAdj: s32, txTimestampIdx: u8, extTs: u8 },
      ...{ perOut: u8, pins: u8, txTimestampFormat: u8 },
    }),
  ),
  of(large.phcTimeCodec, u64),
];

describe.each(CASES.map((c) => [c[0].name, c] as const))("%s", (_name, [codec, values, extra]) => {
  test("round trip, with dirt behind and before it", () => {
    fc.assert(
      fc.property(values as Arbitrary<never>, u8, (msg, dirt) => {
        const bytes = new Uint8Array(codec.size(msg) + 16).fill(dirt);
        const view = new DataView(bytes.buffer);
        expect(codec.encodeInto(view, 8, msg)).toBe(codec.size(msg));
        expect(codec.decode(view, 8, codec.size(msg))).toEqual(msg);
        expect(codec.decode(view, 8, codec.size(msg) + 8)).toEqual(msg);
        expect([...bytes.subarray(0, 8), ...bytes.subarray(-8)]).toEqual(Array(16).fill(dirt));
        const clean = encode(codec, msg);
        expect(bytes.subarray(8, -8)).toEqual(clean);
      }),
      { numRuns: 60 },
    );
  });

  test("every truncation is refused; the extra element may be missing", () => {
    fc.assert(
      fc.property(values as Arbitrary<never>, (msg) => {
        const bytes = encode(codec, msg);
        const exact = bytes.length - extra;
        for (let n = 0; n < exact; n++) expect(decode(codec, bytes.subarray(0, n))).toBeNull();
        expect(decode(codec, bytes.subarray(0, exact))).toEqual(msg);
      }),
      { numRuns: 10 },
    );
  });

  test("no bytes at all make decode or invalid throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const msg = decode(codec, bytes);
        if (msg !== null) expect(codec.invalid(msg) ?? "").toBeTypeOf("string");
      }),
      { numRuns: 200 },
    );
  });
});

test("values that a device refuses, each with its reason", () => {
  const address = new Uint8Array([2, 0, 0, 0, 0, 1]);
  expect(ethAddrListCodec.invalid({ vsiId: 1, list: [{ addr: address, type: 1 }] })).toBeNull();
  expect(ethAddrListCodec.invalid({ vsiId: 1, list: [{ addr: new Uint8Array(6), type: 1 }] })).toContain("00:00");
  expect(ethAddrListCodec.invalid({ vsiId: 1, list: Array(65).fill({ addr: address, type: 2 }) })).toContain("64");
  expect(vlanListCodec.invalid({ vsiId: 1, ids: [4096] })).toContain("4096");
  expect(queueSelectCodec.invalid({ vsiId: 1, rxQueues: 0x10000, txQueues: 0 })).toContain("0x10000");
  expect(queueSelectCodec.invalid({ vsiId: 1, rxQueues: 0, txQueues: 0 })).not.toBeNull();
  expect(promiscCodec.invalid({ vsiId: 1, flags: 4 })).not.toBeNull();
  expect(rssKeyCodec.invalid({ vsiId: 1, bytes: new Uint8Array(40) })).toContain("52");
  expect(aqDescriptorCodec.invalid(aqDescriptor({ flags: 0x1000, datalen: 4097, address: 4096n }))).toContain("4097");
  expect(
    vfResourceCodec.invalid({
      ...{ numQueuePairs: 1, maxVectors: 2, maxMtu: 0, caps: 1 },
      rssKeySize: 52,
      rssLutSize: 64,
      vsis: [],
    }),
  ).toContain("VSI");
});

test("CONFIG_VSI_QUEUES: ring length and place, buffer, frame", () => {
  const tx = { vsiId: 1, queueId: 0, ringLen: 512, headwbEnabled: 0, ringAddr: 0x1000n, headwbAddr: 0n };
  const rx = {
    ...{ vsiId: 1, queueId: 0, ringLen: 512, hdrSize: 0, splithdrEnabled: 0, dataBufferSize: 2048 },
    ...{ maxPktSize: 1518, crcDisable: 0, rxdid: 1, flags: 0, ringAddr: 0x2000n, splitPos: 0 },
  };
  const why = (t: Partial<typeof tx>, r: Partial<typeof rx>) =>
    vsiQueueConfigCodec.invalid({ vsiId: 1, pairs: [{ tx: { ...tx, ...t }, rx: { ...rx, ...r } }] });
  expect(why({}, {})).toBeNull();
  expect(why({ ringLen: 0, ringAddr: 0n }, {})).toBeNull();
  expect(why({}, { ringLen: 0, ringAddr: 0n, dataBufferSize: 0 })).toBeNull();
  for (const ringLen of [32, 100, 8192, 65535]) expect(why({ ringLen }, {})).toContain("transmit queue 0");
  for (const ringAddr of [0n, 0x1040n, 1n]) expect(why({}, { ringAddr })).toContain("receive queue 0");
  for (const dataBufferSize of [0, 1023, 16257]) expect(why({}, { dataBufferSize })).toContain("buffers");
  for (const maxPktSize of [0, 63, 9729]) expect(why({}, { maxPktSize })).toContain("packets");
  expect(why({ headwbEnabled: 1 }, {})).not.toBeNull();
  expect(why({}, { splithdrEnabled: 1 })).not.toBeNull();
  expect(why({}, { rxdid: 22 })).not.toBeNull();
  expect(why({ queueId: 1 }, {})).not.toBeNull();
  expect(why({ vsiId: 2 }, {})).not.toBeNull();
  expect(vsiQueueConfigCodec.invalid({ vsiId: 1, pairs: [] })).not.toBeNull();
});
