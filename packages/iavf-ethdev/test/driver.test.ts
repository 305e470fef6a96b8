// net_iavf against a scripted device on a real vfio-user socket: the order of its bring-up, packets both ways, and every way
// in which a device can let it down.

import { readFileSync } from "node:fs";
import { DYN_CTL_INTENA, DYN_CTL_WB_ON_ITR, VIRTCHNL_OP as OP, opName, REG, VIRTCHNL_EVENT } from "@emudev/avf";
import { eventfdRead, fdCount } from "@emudev/linux";
import { mbufBytes, mbufFree, mbufFrom } from "@emudev/shm";
import { afterAll, describe, expect, it } from "vitest";
import { eal, endEal, lines, makeRig, pkts, pool, type Rig, socketPath, startPort, until } from "./driver-rig.ts";
import { FAKE_MAC, FakeAvf } from "./fake-avf.ts";

afterAll(endEal);

/** Mappings of memfds: the arena, doorbell pages, what the fake device maps. */
const memfdMappings = () => readFileSync("/proc/self/maps", "utf8").split("memfd:").length;
const frames = (n: number, bytes = 60) => Array.from({ length: n }, (_, i) => new Uint8Array(bytes).fill(i + 1));

/** Sends frames on queue 0, has the device loop them, and returns what comes back. */
async function roundTrip({ fake, open }: Rig, sent: Uint8Array[]): Promise<Uint8Array[]> {
  const { rx, tx } = await open();
  const mbufs = sent.map((frame) => mbufFrom(pool, 0, frame));
  eal.arena.u32.set(mbufs, pkts >>> 2);
  expect(tx[0]!.burst(pkts, mbufs.length)).toBe(mbufs.length);
  const received: Uint8Array[] = [];
  await until("frames to come back", () => {
    fake.loop();
    const n = rx[0]!.burst(pkts, 64);
    for (const mbuf of eal.arena.u32.slice(pkts >>> 2, (pkts >>> 2) + n)) {
      received.push(Uint8Array.from(mbufBytes(eal.arena, mbuf)));
      mbufFree(eal.arena, 0, mbuf);
    }
    return received.length >= sent.length;
  });
  return received;
}

describe("net_iavf", () => {
  it("brings the device up in the order of Linux", async () => {
    const rig = await makeRig();
    expect(rig.fake.ops.map(opName)).toEqual(["VERSION", "GET_VF_RESOURCES"]);
    const send = ["VF_ATQH1", "VF_ATQT1", "VF_ATQLEN1", "VF_ATQBAL1", "VF_ATQBAH1"];
    const receive = ["VF_ARQH1", "VF_ARQT1", "VF_ARQLEN1", "VF_ARQBAL1", "VF_ARQBAH1", "VF_ARQT1"];
    expect(rig.fake.writes.slice(0, 11)).toEqual([...send, ...receive]);
    // Memory and bus mastering, MSI-X.
    expect(rig.fake.config[4]! & 0x6).toBe(0x6);
    expect(rig.fake.config[0x73]! & 0x80).toBe(0x80);
    await startPort(rig.dev, 2);
    expect(rig.fake.ops.slice(2).map(opName)).toEqual([
      "CONFIG_RSS_KEY",
      "CONFIG_RSS_LUT",
      "GET_RSS_HENA_CAPS",
      "SET_RSS_HENA",
      "DISABLE_VLAN_STRIPPING",
      "ADD_ETH_ADDR",
      "CONFIG_VSI_QUEUES",
      "CONFIG_IRQ_MAP",
      "ENABLE_QUEUES",
    ]);
    expect(rig.fake.enabled).toEqual({ rx: 3, tx: 3 });
    expect(rig.fake.macs).toEqual([Buffer.from(FAKE_MAC).toString("hex")]);
    await rig.end();
    expect(rig.fake.ops.at(-1)).toBe(OP.RESET_VF);
  });

  it("brings the link up by the event, at its speed, and down at stop", async () => {
    const rig = await makeRig();
    expect(rig.dev.linkGet().up).toBe(false);
    await startPort(rig.dev);
    await until("the link", () => rig.dev.linkGet().up);
    expect(rig.dev.linkGet()).toMatchObject({ up: true, speedMbps: 10000 });
    rig.fake.event({ linkUp: false });
    await until("the link to go", () => !rig.dev.linkGet().up);
    rig.fake.event({ linkSpeed: 40000 });
    await until("the new link", () => rig.dev.linkGet().speedMbps === 40000);
    await rig.dev.stop();
    expect(rig.dev.linkGet().up).toBe(false);
    expect(rig.events).toEqual(["lsc", "lsc", "lsc", "lsc"]);
    expect(rig.fake.enabled).toEqual({ rx: 0, tx: 0 });
    await rig.end();
  });

  it.each([true, false])("passes packets both ways, doorbells mapped: %s", async (doorbells) => {
    const rig = await makeRig({ doorbells });
    await startPort(rig.dev, 1, 64);
    for (let round = 0; round < 10; round++) expect(await roundTrip(rig, frames(32))).toEqual(frames(32));
    expect(rig.dev.statsGet()).toMatchObject({ ipackets: 320, opackets: 320, ibytes: 320 * 60, obytes: 320 * 60 });
    // A packet longer than a buffer, out in one segment and back in two.
    await rig.dev.stop();
    await rig.dev.configure(1, 1, { mtu: 4000 });
    await rig.dev.rxQueueSetup(0, 64, pool);
    await rig.dev.txQueueSetup(0, 64);
    await rig.dev.start();
    expect(await roundTrip(rig, frames(3, 3000))).toEqual(frames(3, 3000));
    await rig.end();
    expect(pool.inUseCount()).toBe(0);
  });

  it("rings by ioeventfd: the tail in shadow memory, one signal a burst, and no message", async () => {
    const rig = await makeRig({ doorbells: false, ioeventfds: 2 });
    await startPort(rig.dev, 2, 64);
    const [rx0, tx0, rx1, tx1] = rig.fake.bells.map((fd) => eventfdRead(fd));
    expect([rx0, tx0, rx1, tx1]).toEqual([1, 1, 1, 1]);
    for (let round = 0; round < 5; round++) {
      expect(await roundTrip(rig, frames(32))).toEqual(frames(32));
      expect(rig.fake.bells.map((fd) => eventfdRead(fd))).toEqual([1, 1, 0, 0]);
    }
    expect(rig.fake.writes.filter((name) => name.includes("TAIL"))).toEqual([]);
    await rig.dev.stop();
    await rig.dev.start();
    expect(rig.fake.loop()).toBe(0);
    expect(await roundTrip(rig, frames(20))).toEqual(frames(20));
    await rig.end();
    expect(pool.inUseCount()).toBe(0);
  });

  it("sends the tails of queues that have no ioeventfd", async () => {
    const rig = await makeRig({ doorbells: false, ioeventfds: 1, pairs: 2 });
    await startPort(rig.dev, 2, 64);
    const { tx } = await rig.open();
    for (const q of [0, 1]) {
      eal.arena.u32.set([mbufFrom(pool, 0, new Uint8Array(60))], pkts >>> 2);
      expect(tx[q]!.burst(pkts, 1)).toBe(1);
    }
    await until("the forwarded tail", () => rig.fake.registers[REG.QTX_TAIL1.offset / 4 + 1] === 1);
    expect(rig.fake.registers[REG.QTX_TAIL1.offset / 4]).toBe(0);
    expect(new Set(rig.fake.writes.filter((name) => name.includes("TAIL")))).toEqual(
      new Set(["QRX_TAIL1", "QTX_TAIL1"].map((name) => `${name}(1)`)),
    );
    await rig.end();
  });

  it("leaves the queue vector alone, and needs no vector at all", async () => {
    const rig = await makeRig({ vectors: 0 });
    await startPort(rig.dev);
    await until("the link, by the alarm", () => rig.dev.linkGet().up);
    // Write-backs without interrupts; never enabled.
    const control = rig.fake.registers[REG.VFINT_DYN_CTLN1.offset / 4]!;
    expect(control & (DYN_CTL_INTENA | DYN_CTL_WB_ON_ITR)).toBe(DYN_CTL_WB_ON_ITR);
    await rig.end();
  });

  it.each([{}, { doorbells: false }, { doorbells: false, ioeventfds: 2 }])(
    "can be stopped, started again with other queues, and leaks nothing (%j)",
    async (options) => {
      const rig = await makeRig(options);
      await startPort(rig.dev);
      await rig.end();
      const [fds, maps] = [fdCount(), memfdMappings()];
      const zones = eal.arena.memzones().length;
      for (let i = 0; i < 3; i++) {
        const again = await makeRig(options);
        await startPort(again.dev, 1);
        await again.dev.stop();
        await startPort(again.dev, 2);
        await again.end();
      }
      expect(fdCount()).toBe(fds);
      expect(memfdMappings()).toBe(maps);
      expect(eal.arena.memzones().length).toBe(zones);
      expect(pool.inUseCount()).toBe(0);
    },
  );

  it("uses the address and the number of queues of its devargs", async () => {
    const rig = await makeRig({ pairs: 2 }, ",mac=02:11:22:33:44:55,queues=1");
    expect(rig.dev.infoGet()).toMatchObject({ maxRxQueues: 1, maxTxQueues: 1 });
    await startPort(rig.dev);
    expect(rig.fake.macs).toEqual(["021122334455"]);
    await rig.end();
  });
});

describe("net_iavf and a device that lets it down", () => {
  it("takes the server's death with reconnect=off: link down, bursts return 0, closing does not hang", async () => {
    const rig = await makeRig({}, ",reconnect=off");
    await startPort(rig.dev);
    await until("the link", () => rig.dev.linkGet().up);
    const { rx, tx } = await rig.open();
    await rig.fake.stop();
    await until("the loss to be seen", () => rig.events.includes("rmv"));
    expect(rig.dev.linkGet().up).toBe(false);
    expect(rx[0]!.burst(pkts, 32)).toBe(0);
    expect(tx[0]!.burst(pkts, 1)).toBe(0);
    expect(lines.some((line) => line.includes("the server closed the connection"))).toBe(true);
    await rig.dev.stop();
    await eal.vdev.detach(rig.device.name);
    expect(pool.inUseCount()).toBe(0);
  });

  it("finds a device that reset itself, says so, and comes back by a reset of the port", async () => {
    const rig = await makeRig();
    await startPort(rig.dev);
    rig.fake.resetItself();
    await until("the watchdog", () => rig.events.includes("reset"));
    expect(rig.dev.linkGet().up).toBe(false);
    await rig.dev.reset();
    expect(rig.fake.resets).toEqual(["reset"]);
    await startPort(rig.dev);
    await until("the link", () => rig.dev.linkGet().up);
    expect(await roundTrip(rig, frames(4))).toEqual(frames(4));
    await rig.end();
  });

  it("treats an announced reset as one", async () => {
    const rig = await makeRig();
    await startPort(rig.dev);
    rig.fake.event({ event: VIRTCHNL_EVENT.RESET_IMPENDING });
    await until("the event", () => rig.events.includes("reset"));
    await rig.end();
    expect(pool.inUseCount()).toBe(0);
  });

  it.each([
    ["no AVF", { deviceId: 0x1234 }, /8086:1234, not an AVF/],
    ["an RSS key that no message holds", { rssKeySize: 100_000 }, /RSS key of 100000 bytes/],
    ["a device that grants what nobody asked for", { caps: 0x4000001 }, /granted RX_FLEX_DESC/],
  ])("refuses %s", async (_what, options, message) => {
    const path = socketPath();
    const fake = new FakeAvf(path, options);
    const zones = eal.arena.memzones().length;
    await expect(eal.vdev.attach(`net_iavf9,path=${path}`)).rejects.toThrow(message);
    expect(eal.arena.memzones().length).toBe(zones);
    await fake.stop();
  });

  it("refuses a socket that is not there", async () => {
    await expect(eal.vdev.attach("net_iavf9,path=/nonexistent/x.sock")).rejects.toThrow(/\/nonexistent\/x\.sock/);
  });

  it("refuses a virtchnl version above its own", async () => {
    const path = socketPath();
    const fake = new FakeAvf(path);
    fake.script.set(OP.VERSION, () => ({ status: 0, bytes: Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0) }));
    await expect(eal.vdev.attach(`net_iavf9,path=${path}`)).rejects.toThrow(/answered by 2\.0/);
    await fake.stop();
  });

  it("gives up on a device that does not answer, or answers nonsense, and says which request", async () => {
    const rig = await makeRig();
    rig.fake.script.set(OP.CONFIG_VSI_QUEUES, () => null);
    await expect(startPort(rig.dev)).rejects.toThrow(/did not answer CONFIG_VSI_QUEUES within 2000 ms/);
    rig.fake.script.set(OP.CONFIG_VSI_QUEUES, () => ({ status: -5, bytes: new Uint8Array(0) }));
    await expect(rig.dev.start()).rejects.toThrow(/CONFIG_VSI_QUEUES with ERR_PARAM/);
    expect(pool.inUseCount()).toBe(0);
    rig.fake.script.clear();
    await rig.dev.start();
    await rig.end();
  });

  it("takes a device's word that there is nothing to disable after a start that failed", async () => {
    const rig = await makeRig();
    const refusal = () => ({ status: -5, bytes: new Uint8Array(0) });
    rig.fake.script.set(OP.CONFIG_VSI_QUEUES, refusal);
    rig.fake.script.set(OP.DISABLE_QUEUES, refusal);
    await expect(startPort(rig.dev)).rejects.toThrow(/CONFIG_VSI_QUEUES with ERR_PARAM/);
    expect(rig.fake.resets).toEqual([]);
    rig.fake.script.clear();
    await rig.dev.start();
    await until("the link", () => rig.dev.linkGet().up);
    await rig.end();
  });

  it.each([true, false])("starts with tails of its own, whatever the device kept; mapped: %s", async (doorbells) => {
    const rig = await makeRig({ doorbells });
    await startPort(rig.dev, 1, 64);
    expect(await roundTrip(rig, frames(20))).toEqual(frames(20));
    await rig.dev.stop();
    if (!doorbells) rig.fake.registers.fill(0, REG.QTX_TAIL1.offset / 4, REG.VFINT_ITRN1.offset / 4);
    await rig.dev.start();
    expect(rig.fake.loop()).toBe(0);
    expect(await roundTrip(rig, frames(20))).toEqual(frames(20));
    await rig.end();
  });

  it("serves a storm of interrupts one after another", async () => {
    const rig = await makeRig();
    await startPort(rig.dev);
    let reads = 0;
    const { regionRead } = rig.fake;
    rig.fake.regionRead = (index, offset, into) => {
      if (index === 0 && offset === REG.VFINT_ICR01.offset) reads++;
      regionRead.call(rig.fake, index, offset, into);
    };
    for (let i = 0; i < 100; i++) {
      rig.fake.interrupt();
      await new Promise((resolve) => setImmediate(resolve));
    }
    rig.fake.event({ linkUp: false });
    await until("the event behind the storm", () => !rig.dev.linkGet().up);
    expect(reads).toBeLessThanOrEqual(102);
    await rig.end();
  });

  it("resets a device that does not stop, so that its buffers are free", async () => {
    const rig = await makeRig();
    await startPort(rig.dev);
    rig.fake.script.set(OP.DISABLE_QUEUES, () => null);
    await rig.dev.stop();
    expect(rig.fake.resets).toEqual(["reset"]);
    expect(pool.inUseCount()).toBe(0);
    await rig.end();
  });

  it("survives messages that make no sense", async () => {
    const rig = await makeRig();
    await startPort(rig.dev);
    await until("the link", () => rig.dev.linkGet().up);
    rig.fake.post(OP.EVENT, { status: 0, bytes: Uint8Array.of(1) });
    rig.fake.post(0xdeadbeef, { status: 7, bytes: new Uint8Array(4096) });
    rig.fake.post(OP.VERSION, { status: 0, bytes: new Uint8Array(0) });
    rig.fake.event({ linkUp: false });
    await until("the event behind them", () => !rig.dev.linkGet().up);
    await rig.end();
  });
});
