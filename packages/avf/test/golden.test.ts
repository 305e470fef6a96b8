// Messages as a Linux guest's iavf driver and a server that it accepted exchanged them, byte for byte, and hand-made ones
// from the layout tables where no trace has them.
import { expect, test } from "vitest";
import { aqDescriptor, aqDescriptorCodec, aqRcName } from "../src/admin-queue.ts";
import { type Codec, decode, encode } from "../src/codec.ts";
import { linkSpeedBit, linkSpeedOfBit, pfEventCodec } from "../src/virtchnl/event.ts";
import { ethAddrListCodec, promiscCodec, vlanListCodec } from "../src/virtchnl/filters.ts";
import { irqMapCodec } from "../src/virtchnl/irq-map.ts";
import { capName, opName, statusName, VF_CAP } from "../src/virtchnl/ops.ts";
import { vsiQueueConfigCodec } from "../src/virtchnl/queue-config.ts";
import { queueSelectCodec } from "../src/virtchnl/queue-select.ts";
import { capsCodec, requestQueuesCodec, versionCodec, vfResourceCodec } from "../src/virtchnl/resources.ts";
import { RSS_HENA_ALL, rssKeyCodec, rssLutCodec } from "../src/virtchnl/rss.ts";
import { ETH_STATS_FIELDS, ethStatsCodec } from "../src/virtchnl/stats.ts";

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replace(/\s/g, ""), "hex"));
const mac = (text: string) => bytes(text.replace(/:/g, ""));

function golden<T>(codec: Codec<T>, hex: string, msg: T): void {
  expect(Buffer.from(encode(codec, msg)).toString("hex")).toBe(hex.replace(/\s/g, ""));
  expect(decode(codec, bytes(hex))).toEqual(msg);
}

test("VERSION and the capabilities asked for", () => {
  golden(versionCodec, "01000000 01000000", { major: 1, minor: 1 });
  golden(capsCodec, "f980bd1a", 0x1abd80f9);
  golden(requestQueuesCodec, "0400", 4);
});

test("GET_VF_RESOURCES: 36 bytes with one VSI", () => {
  golden(vfResourceCodec, "0100 0400 0500 dc05 a1000900 34000000 40000000 0100 0400 06000000 0000 020000001889", {
    numQueuePairs: 4,
    maxVectors: 5,
    maxMtu: 1500,
    caps: VF_CAP.L2 | VF_CAP.WB_ON_ITR | VF_CAP.ADV_LINK_SPEED | VF_CAP.RSS_PF | VF_CAP.VLAN,
    rssKeySize: 52,
    rssLutSize: 64,
    vsis: [{ vsiId: 1, numQueuePairs: 4, vsiType: 6, qsetHandle: 0, mac: mac("02:00:00:00:18:89") }],
  });
});

test("CONFIG_IRQ_MAP: 14 + 12 n bytes", () => {
  golden(irqMapCodec, "0200 0100 0100 0100 0100 0000 0100 0100 0000 0000 0000 0000 0000 000000000000000000000000", {
    vectors: [
      { vsiId: 1, vectorId: 1, rxqMap: 1, txqMap: 1, rxitrIdx: 0, txitrIdx: 1 },
      { vsiId: 1, vectorId: 0, rxqMap: 0, txqMap: 0, rxitrIdx: 0, txitrIdx: 0 },
    ],
  });
});

test("ADD_ETH_ADDR and DEL_ETH_ADDR: one entry more than counted", () => {
  golden(ethAddrListCodec, "0100 0200 020000001889 01 00 333300000001 02 00 0000000000000000", {
    vsiId: 1,
    list: [
      { addr: mac("02:00:00:00:18:89"), type: 1 },
      { addr: mac("33:33:00:00:00:01"), type: 2 },
    ],
  });
});

test("the other lists: VLAN ids, RSS key and table", () => {
  golden(vlanListCodec, "0100 0200 6400 c800 0000", { vsiId: 1, ids: [100, 200] });
  const key = bytes(
    "1bbb659830189362eb3da6579e755a656db2b1355a6a456c2573ad99fbf2f7ab3059d8cdaa974f71de384ddeebdf184ab5024680",
  );
  golden(rssKeyCodec, `0100 3400 ${Buffer.from(key).toString("hex")} 00`, { vsiId: 1, bytes: key });
  golden(rssLutCodec, `0100 4000 ${"00".repeat(64)} 00`, { vsiId: 1, bytes: new Uint8Array(64) });
});

test("queue select, promiscuous mode, link event", () => {
  golden(queueSelectCodec, "01000000 01000000 01000000", { vsiId: 1, rxQueues: 1, txQueues: 1 });
  golden(promiscCodec, "0100 0300", { vsiId: 1, flags: 3 });
  golden(pfEventCodec, "01000000 10270000 01000000 00000000", {
    event: 1,
    linkSpeed: 10000,
    linkUp: true,
    severity: 0,
  });
});

test("CONFIG_VSI_QUEUES: 72 + 64 n bytes, tx at 0, rx at 24 of each pair", () => {
  const tx = "0100 0000 0002 0000 0010000000000000 0000000000000000";
  const rx = "0100 0000 00020000 0000 0000 00060000 fe050000 00 01 00 00 0020000000000000 00000000 00000000";
  golden(vsiQueueConfigCodec, `0100 0100 00000000 ${tx} ${rx} ${"00".repeat(64)}`, {
    vsiId: 1,
    pairs: [
      {
        tx: { vsiId: 1, queueId: 0, ringLen: 512, headwbEnabled: 0, ringAddr: 0x1000n, headwbAddr: 0n },
        rx: {
          vsiId: 1,
          queueId: 0,
          ringLen: 512,
          hdrSize: 0,
          splithdrEnabled: 0,
          dataBufferSize: 1536,
          maxPktSize: 1534,
          crcDisable: 0,
          rxdid: 1,
          flags: 0,
          ringAddr: 0x2000n,
          splitPos: 0,
        },
      },
    ],
  });
});

test("GET_STATS: 12 u64 in the order of the wire", () => {
  const hex = ETH_STATS_FIELDS.map((_, i) => `${(i + 1).toString(16).padStart(2, "0")}00000000000000`).join("");
  expect(decode(ethStatsCodec, bytes(hex))?.rxBytes).toBe(1n);
  expect(decode(ethStatsCodec, bytes(hex))?.txErrors).toBe(12n);
});

test("an admin queue descriptor: addresses are high word first", () => {
  golden(
    aqDescriptorCodec,
    "0034 0108 0800 0000 01000000 00000000 00000000 00000000 02000000 0070ea1f",
    aqDescriptor({ flags: 0x3400, opcode: 0x0801, datalen: 8, cookieHigh: 1, address: 0x2_1fea_7000n }),
  );
  const refused = aqDescriptor({ cookieLow: -64 });
  expect(Buffer.from(encode(aqDescriptorCodec, refused)).readInt32LE(12)).toBe(-64);
});

test("names", () => {
  expect(opName(8)).toBe("ENABLE_QUEUES");
  expect(opName(99)).toBe("op 99");
  expect(statusName(-64)).toBe("ERR_NOT_SUPPORTED");
  expect(statusName(-7)).toBe("status -7");
  expect(capName(VF_CAP.L2 | VF_CAP.PTP)).toBe("L2|PTP");
  expect(capName(1 << 13)).toBe("bit 13");
  expect(capName(0)).toBe("none");
  expect(aqRcName(3)).toBe("ESRCH");
  expect(aqRcName(22)).toBe("EFBIG");
});

test("link speeds as bits, for drivers without ADV_LINK_SPEED", () => {
  expect(linkSpeedBit(10000)).toBe(0x08);
  expect(linkSpeedBit(100000)).toBe(0x10);
  expect(linkSpeedBit(10)).toBe(0);
  expect(linkSpeedOfBit(0x40)).toBe(25000);
});

test("HENA offers the legacy packet classes", () => {
  const bits = Array.from({ length: 64 }, (_, i) => i).filter((i) => (RSS_HENA_ALL >> BigInt(i)) & 1n);
  expect(bits).toEqual([29, 30, 31, 33, 34, 35, 36, 39, 40, 41, 43, 44, 45, 46, 63]);
});
