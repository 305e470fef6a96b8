// The bring-up scripts of Linux and of DPDK against the whole device, over a real socket, with real shared memory: tails before
// the configuration, base addresses after enabling, one element more in every list, one queue a message.
import {
  type Codec,
  encode,
  ICR0_ADMINQ,
  irqMapCodec,
  VIRTCHNL_OP as OP,
  promiscCodec,
  type QueuePairInfo,
  queueSelectCodec,
  REG,
  requestQueuesCodec,
  rssHenaCodec,
  rssKeyCodec,
  rssLutCodec,
  VF_CAP,
  vlanListCodec,
  vsiQueueConfigCodec,
} from "@emudev/avf";
import { emuGetAttr, emuGetDbInfo, emuGetIrqInfo, emuGetQueueInfo, emuRegionMap, emuSetAttr } from "@emudev/emudev";
import { closeFd, mapAnywhere, PROT } from "@emudev/linux";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { eal, endEal, FakeBackend, Guest, makeRig, RAM_BASE, type Rig } from "./support/device-rig.ts";
import { type GuestDriver, macs, until } from "./support/guest-driver.ts";

const LINUX_CAPS = 0x1abd80f9; // as Linux 6.1 asks
const DPDK_CAPS = VF_CAP.L2 | VF_CAP.VLAN | VF_CAP.RSS_PF | VF_CAP.WB_ON_ITR | VF_CAP.RX_FLEX_DESC | VF_CAP.REQ_QUEUES;
const GRANT = VF_CAP.L2 | VF_CAP.VLAN | VF_CAP.RSS_PF | VF_CAP.WB_ON_ITR | VF_CAP.ADV_LINK_SPEED | VF_CAP.REQ_QUEUES;

let rig: Rig;
let backend: FakeBackend;
let guest: Guest;
let driver: GuestDriver;

beforeEach(async () => {
  rig = await makeRig(",queues=4,mac=02:00:00:00:18:89,speed=25000");
  backend = await FakeBackend.attach(rig.dev.id);
  guest = await Guest.connect(rig.path);
  driver = guest.driver;
  await guest.bindVectors(5);
});
afterEach(async () => {
  guest.close();
  await until(() => rig.device.attributes.get("client") === null, "the client is not gone");
  await backend.detach();
  await rig.end();
});
afterAll(endEal);

const pair = (queue: number, rx: Partial<QueuePairInfo["rx"]> = {}): QueuePairInfo => ({
  tx: { vsiId: 1, queueId: queue, ringLen: 512, headwbEnabled: 0, ringAddr: 0x1_0009_0000n, headwbAddr: 0n },
  rx: {
    ...{ vsiId: 1, queueId: queue, ringLen: 512, hdrSize: 0, splithdrEnabled: 0, dataBufferSize: 2048 },
    ...{ maxPktSize: 1534, crcDisable: 0, rxdid: 1, flags: 0, ringAddr: 0x1_0009_4000n, splitPos: 0 },
    ...rx,
  },
});
const config = (...pairs: QueuePairInfo[]) => encode(vsiQueueConfigCodec, { vsiId: 1, pairs });
const select = (rxQueues: number, txQueues: number) => encode(queueSelectCodec, { vsiId: 1, rxQueues, txQueues });
const bytes = <T>(codec: Codec<T>, msg: T) => encode(codec, msg);
const mapOf = (pairs: number) =>
  bytes(irqMapCodec, {
    vectors: [
      ...Array.from({ length: pairs }, (_, q) => ({
        ...{ vsiId: 1, vectorId: q + 1, rxqMap: 1 << q, txqMap: 1 << q, rxitrIdx: 0, txitrIdx: 1 },
      })),
      { vsiId: 1, vectorId: 0, rxqMap: 0, txqMap: 0, rxitrIdx: 0, txitrIdx: 0 },
    ],
  });

/** As far as `ip link up`, without the events. */
async function linuxUp(pairs = 4): Promise<void> {
  await driver.initQueues();
  await driver.hello(LINUX_CAPS);
  await driver.write("VFINT_DYN_CTL01", 0x19);
  await driver.write("VFINT_ICR0_ENA1", ICR0_ADMINQ);
  await driver.ask(OP.CONFIG_IRQ_MAP, mapOf(pairs));
  await driver.ask(OP.CONFIG_RSS_KEY, bytes(rssKeyCodec, { vsiId: 1, bytes: new Uint8Array(52).fill(7) }));
  await driver.ask(
    OP.CONFIG_RSS_LUT,
    bytes(rssLutCodec, { vsiId: 1, bytes: new Uint8Array(64).map((_, i) => i % pairs) }),
  );
  for (let q = 0; q < pairs; q++) {
    await driver.write("VFINT_DYN_CTLN1", 0x19, q);
    await driver.write("QRX_TAIL1", 0x1ff, q);
  }
  await driver.ask(OP.ADD_ETH_ADDR, macs([0x89, 1], [0x33, 2]));
  await driver.ask(OP.CONFIG_VSI_QUEUES, config(...Array.from({ length: pairs }, (_, q) => pair(q))));
  await driver.ask(OP.ENABLE_QUEUES, select((1 << pairs) - 1, (1 << pairs) - 1));
}

test("Linux: up, with the link told after the queues, down, and up again", async () => {
  await emuSetAttr(rig.dev.id, "link_up", true);
  expect(await driver.read("VFGEN_RSTAT")).toBe(2);
  await driver.initQueues();
  const resources = await driver.hello(LINUX_CAPS);
  expect(resources).toMatchObject({ numQueuePairs: 4, maxVectors: 5, rssKeySize: 52, rssLutSize: 64 });
  expect(resources.caps).toBe((LINUX_CAPS & GRANT) >>> 0);
  expect([...resources.vsis[0]!.mac]).toEqual([2, 0, 0, 0, 0x18, 0x89]);
  await linuxUp();
  await rig.device.admin.idle();
  expect((await driver.takeEvents()).at(-1)).toEqual({ event: 1, linkSpeed: 25_000, linkUp: true, severity: 0 });
  expect(backend.take().filter((event) => event.startsWith("QUEUE_ENABLE"))).toHaveLength(8);
  expect(emuGetQueueInfo(rig.dev.id, 6)).toMatchObject({
    base: 0x1_0009_4000n,
    size: 512,
    doorbellId: 6,
    irqVector: 4,
    priv: {
      ...{ kind: "rx", queue: 3, ringLen: 512, dataBufferSize: 2048, maxPktSize: 1534 },
      crcDisable: false,
      rxdid: 1,
    },
  });
  expect(emuGetQueueInfo(rig.dev.id, 7)).toMatchObject({ doorbellId: 7, irqVector: 4, priv: { kind: "tx", queue: 3 } });
  // The tail was written before the configuration, and is still there.
  const doorbell = emuGetDbInfo(rig.dev.id, 0)!;
  expect(eal.arena.u32[doorbell.priv.off >>> 2]).toBe(0x1ff);
  expect(emuGetAttr(rig.dev.id, "mac_filters").map((mac) => mac[5])).toEqual([0x89, 0x33]);

  await driver.ask(OP.DISABLE_QUEUES, select(0xf, 0xf));
  expect(backend.take().filter((event) => event.startsWith("QUEUE_DISABLE"))).toHaveLength(8);
  expect(emuGetQueueInfo(rig.dev.id, 6)).toBeNull();
  expect(eal.arena.u32[doorbell.priv.off >>> 2]).toBe(0);
  await driver.ask(OP.DEL_ETH_ADDR, macs([0x89, 1], [0x33, 2]));
  expect(emuGetAttr(rig.dev.id, "mac_filters")).toEqual([]);
  await driver.takeEvents();
  await driver.ask(OP.CONFIG_VSI_QUEUES, config(pair(0)));
  await driver.ask(OP.ENABLE_QUEUES, select(1, 1));
  await rig.device.admin.idle();
  expect(await driver.takeEvents()).toMatchObject([{ linkUp: true }]);
});

test("DPDK: one queue a message, transmit first, one half of a pair unused, link told once", async () => {
  await emuSetAttr(rig.dev.id, "link_up", true);
  await driver.initQueues();
  const resources = await driver.hello(DPDK_CAPS);
  expect(resources.caps).toBe(VF_CAP.L2 | VF_CAP.VLAN | VF_CAP.RSS_PF | VF_CAP.WB_ON_ITR | VF_CAP.REQ_QUEUES);
  await rig.device.admin.idle();
  // Without ADV_LINK_SPEED the speed is a bit.
  expect(await driver.takeEvents()).toMatchObject([{ linkUp: true, linkSpeed: 0x40 }]);
  await driver.ask(OP.GET_RSS_HENA_CAPS);
  await driver.ask(OP.SET_RSS_HENA, bytes(rssHenaCodec, 1n << 33n));
  await driver.ask(OP.DISABLE_VLAN_STRIPPING);
  const unused = { ...pair(1).tx, ringLen: 0, ringAddr: 0n };
  await driver.ask(OP.CONFIG_VSI_QUEUES, config(pair(0), { ...pair(1), tx: unused }));
  await driver.ask(OP.CONFIG_IRQ_MAP, mapOf(1));
  await driver.write("QRX_TAIL1", 511, 0);
  await driver.write("QRX_TAIL1", 511, 1);
  for (const [rx, tx] of [
    [0, 1],
    [1, 0],
    [2, 0],
  ] as const)
    await driver.ask(OP.ENABLE_QUEUES, select(rx, tx));
  expect(backend.take().filter((event) => event.startsWith("QUEUE"))).toEqual([
    "QUEUE_ENABLE 1",
    "QUEUE_ENABLE 0",
    "QUEUE_ENABLE 2",
  ]);
  await rig.device.admin.idle();
  expect(await driver.takeEvents()).toMatchObject([{ linkUp: true, linkSpeed: 0x40 }]);
  expect(emuGetQueueInfo(rig.dev.id, 2)?.irqVector).toBe(-1);
  expect(emuGetQueueInfo(rig.dev.id, 3)).toBeNull();
});

test.each([{ mode: "file" }, { mode: "message" }, { mode: "message", twinSocket: true }] as const)(
  "the same over memory that is not mapped: %j",
  async (options) => {
    guest.close();
    guest = await Guest.connect(rig.path, options);
    expect(rig.device.memory.isMapped(RAM_BASE, 1)).toBe(false);
    driver = guest.driver;
    await guest.bindVectors(5);
    await linuxUp(2);
    expect(backend.take().filter((event) => event.startsWith("QUEUE_ENABLE"))).toHaveLength(4);
  },
);

test("the link follows the backend: told when it changes, not when it repeats itself, down when it leaves", async () => {
  await linuxUp(1);
  await rig.device.admin.idle();
  expect(await driver.takeEvents()).toMatchObject([{ linkUp: false, linkSpeed: 0 }]);
  const told = async () => {
    await rig.device.admin.idle();
    return (await driver.takeEvents()).map(({ linkUp, linkSpeed }) => (linkUp ? linkSpeed : "down"));
  };
  await emuSetAttr(rig.dev.id, "link_up", true);
  await emuSetAttr(rig.dev.id, "link_up", true);
  await emuSetAttr(rig.dev.id, "link_speed", 25_000);
  expect(await told()).toEqual([25_000]);
  await emuSetAttr(rig.dev.id, "link_speed", 40_000);
  expect(await told()).toEqual([40_000]);
  await backend.detach();
  expect(await told()).toEqual(["down"]);
  expect(emuGetAttr(rig.dev.id, "link_up")).toBe(false);
  backend = await FakeBackend.attach(rig.dev.id);
});

test("interrupts: vector 0 once until re-armed, with its cause; queue vectors by SWINT_TRIG", async () => {
  await linuxUp(1);
  await rig.device.admin.idle();
  const first = guest.interrupts(0);
  expect(first).toBe(1);
  expect((await driver.read("VFINT_DYN_CTL01")) & 1).toBe(0);
  expect(await driver.read("VFINT_ICR01")).toBe(ICR0_ADMINQ);
  expect(await driver.read("VFINT_ICR01")).toBe(0);
  // What came meanwhile fires when the vector is armed again.
  await driver.ask(OP.GET_STATS, select(0, 0));
  expect(guest.interrupts(0)).toBe(0);
  await driver.write("VFINT_DYN_CTL01", 0x19);
  await until(() => guest.interrupts(0) === 1, "the pending interrupt did not fire");
  await driver.write("VFINT_DYN_CTLN1", 0x1d | (1 << 24), 0);
  await until(() => guest.interrupts(1) === 1, "SWINT_TRIG did not fire");
  const irq = emuGetIrqInfo(rig.dev.id, 1)!;
  expect(irq.vector).toBe(1);
  expect(irq.fd).toBeGreaterThan(0);
});

test("the interval of a DYN_CTL write lands in the ITR register, which lcores read", async () => {
  await linuxUp(1);
  await driver.write("VFINT_DYN_CTLN1", 0x7e9, 0); // index 1, interval 63
  expect(await driver.read("VFINT_ITRN1", 16)).toBe(63);
  await driver.write("VFINT_ITRN1", 25, 0);
  expect(await driver.read("VFINT_ITRN1", 0)).toBe(25);
});

test("RESET_VF at unbind: ATQH stays at the tail, so the driver asks once and polls for nothing", async () => {
  await linuxUp(2);
  backend.take();
  const index = await driver.send(OP.RESET_VF);
  await driver.done(index);
  expect(await driver.read("VFGEN_RSTAT")).toBe(0);
  expect(await driver.read("VF_ARQLEN1")).toBe(0);
  expect(await driver.read("VF_ATQLEN1")).toBe(0);
  await until(async () => (await driver.read("VFGEN_RSTAT")) === 2, "no end of the reset");
  expect(await driver.read("VF_ATQH1")).toBe(driver.ntu);
  expect(await driver.read("VF_ARQLEN1")).toBe(0);
  expect(backend.take()[0]).toBe("RESET");
  expect(emuGetQueueInfo(rig.dev.id, 0)).toBeNull();
  await driver.shutdownQueues();
  await linuxUp(2);
  expect(backend.take().filter((event) => event.startsWith("QUEUE_ENABLE"))).toHaveLength(4);
});

test("the guest's own address survives RESET_VF, not a reset of the device", async () => {
  await linuxUp(1);
  await driver.ask(OP.ADD_ETH_ADDR, macs([0x55, 1]));
  expect(emuGetAttr(rig.dev.id, "mac")[5]).toBe(0x55);
  await driver.resetVf();
  await driver.initQueues();
  expect((await driver.hello(LINUX_CAPS)).vsis[0]!.mac[5]).toBe(0x55);
  await guest.client.reset();
  await driver.initQueues();
  expect((await driver.hello(LINUX_CAPS)).vsis[0]!.mac[5]).toBe(0x89);
});

test("REQUEST_QUEUES: too many are answered, fewer are taken with a warning and a reset", async () => {
  await driver.initQueues();
  await driver.hello(LINUX_CAPS);
  const ask = (pairs: number) => driver.request(OP.REQUEST_QUEUES, bytes(requestQueuesCodec, pairs));
  expect([...(await ask(16)).data]).toEqual([4, 0]);
  expect([...(await ask(4)).data]).toEqual([4, 0]);
  expect((await ask(0)).status).toBe(-5);
  await driver.send(OP.REQUEST_QUEUES, bytes(requestQueuesCodec, 2));
  await driver.awaitReset();
  const impending = await driver.receive();
  expect(impending?.op).toBe(OP.EVENT);
  expect(impending?.data[0]).toBe(2);
  await driver.initQueues();
  expect((await driver.hello(LINUX_CAPS)).numQueuePairs).toBe(2);
  expect((await driver.request(OP.ENABLE_QUEUES, select(4, 0))).status).toBe(-5);
  await guest.client.reset();
  await driver.initQueues();
  expect((await driver.hello(LINUX_CAPS)).numQueuePairs).toBe(4);
});

test("filters, promiscuous mode and stripping reach the backend before they are answered", async () => {
  await linuxUp(1);
  backend.take();
  const ids = (...list: number[]) => bytes(vlanListCodec, { vsiId: 1, ids: list });
  await driver.ask(OP.ADD_VLAN, ids(100, 7));
  expect(backend.take()).toEqual(["ATTR_CHANGE vlan_filters"]);
  expect(emuGetAttr(rig.dev.id, "vlan_filters")).toEqual([7, 100]);
  await driver.ask(OP.DEL_VLAN, ids(7));
  expect(emuGetAttr(rig.dev.id, "vlan_filters")).toEqual([100]);
  await driver.ask(OP.CONFIG_PROMISCUOUS_MODE, bytes(promiscCodec, { vsiId: 1, flags: 3 }));
  await driver.ask(OP.ENABLE_VLAN_STRIPPING);
  expect([emuGetAttr(rig.dev.id, "promisc_unicast"), emuGetAttr(rig.dev.id, "vlan_strip")]).toEqual([true, true]);
  await driver.resetVf();
  expect([emuGetAttr(rig.dev.id, "promisc_unicast"), emuGetAttr(rig.dev.id, "vlan_strip")]).toEqual([false, false]);
  expect(emuGetAttr(rig.dev.id, "vlan_filters")).toEqual([]);
});

test("GET_STATS answers from the counters that the backend lends", async () => {
  await linuxUp(1);
  expect([...(await driver.ask(OP.GET_STATS, select(0, 0)))]).toEqual(Array(96).fill(0));
  const zone = eal.arena.memzoneReserve("lent", 96);
  emuRegionMap(rig.dev.id, "eth_stats", 96, zone.off);
  for (let i = 0; i < 12; i++) eal.arena.u64[(zone.off >>> 3) + i] = BigInt(i + 1) << 32n;
  const stats = new DataView((await driver.ask(OP.GET_STATS, select(0, 0))).buffer);
  expect(Array.from({ length: 12 }, (_, i) => stats.getBigUint64(8 * i, true) >> 32n)).toEqual(
    Array.from({ length: 12 }, (_, i) => BigInt(i + 1)),
  );
  emuRegionMap(rig.dev.id, "eth_stats", 96, null);
  eal.arena.memzoneFree("lent");
});

test("doorbells through the mapped pages: the lcores' word is the guest's, trapped writes land in the same", async () => {
  const info = await guest.client.getRegionInfo(0);
  expect(info.areas).toEqual([
    { offset: 0, size: 4096 },
    { offset: 0x2000, size: 4096 },
  ]);
  const page = mapAnywhere(4096, PROT.READ | PROT.WRITE, info.fd, 0x2000);
  const off = emuGetDbInfo(rig.dev.id, 4)!.priv.off;
  new Uint32Array(page.buffer)[2] = 77;
  expect(eal.arena.u32[off >>> 2]).toBe(77);
  await driver.write("QRX_TAIL1", 78, 2);
  expect(await driver.read("QRX_TAIL1", 2)).toBe(78);
  expect(new Uint32Array(page.buffer)[2]).toBe(78);
  page.unmap();
  closeFd(info.fd);
});

test("PCI: identity, capabilities, and what registers that do not exist read", async () => {
  const config = new DataView((await guest.client.regionRead(7, 0, 4096)).slice().buffer);
  expect(config.getUint32(0, true)).toBe(0x1889_8086);
  expect(config.getUint32(8, true) >>> 8).toBe(0x020000);
  expect(config.getUint8(0x3d)).toBe(0);
  expect(config.getUint16(0x72, true) & 0x7ff).toBe(4);
  expect(await guest.bus.read(0x9000)).toBe(0xdead_beef);
  expect(rig.device.counters.unknownReads).toBe(1);
  expect(await driver.read("VF_ATQLEN1")).toBe(0);
  await driver.write("VFQF_HKEY", 0x1234, 12);
  expect(await driver.read("VFQF_HKEY", 12)).toBe(0x1234);
  await guest.bus.write(REG.VFGEN_RSTAT.offset, 0);
  expect(await driver.read("VFGEN_RSTAT")).toBe(2);
});
