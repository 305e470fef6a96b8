// net_iavf and a server that goes away and comes back, by a scripted device on a real socket: one that keeps its state and one
// that forgets it, and what an application may want of the port meanwhile. The same with real processes is in
// apps/testpmd/test/reconnect.test.ts.
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { VIRTCHNL_OP as OP, opName } from "@emudev/avf";
import { fdCount } from "@emudev/linux";
import { mbufBytes, mbufFree, mbufFrom } from "@emudev/shm";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { eal, endEal, lines, makeRig, pkts, pool, type Rig, startPort, until } from "./driver-rig.ts";
import type { FakeOptions } from "./fake-avf.ts";

const BOTH = [
  ["that keeps its state", true],
  ["that forgets", false],
] as const;
const KINDS = [
  ["mapped doorbells", {}],
  ["ioeventfds", { doorbells: false, ioeventfds: 1 }],
  ["forwarded doorbells", { doorbells: false }],
] as const;

const memfdMappings = () => readFileSync("/proc/self/maps", "utf8").split("memfd:").length;
const left = () => ({ fds: fdCount(), maps: memfdMappings(), zones: eal.arena.memzones().length });
let before: ReturnType<typeof left>;
let rig: Rig | null = null;

async function make(options: FakeOptions = {}, devargs = ""): Promise<Rig> {
  rig = await makeRig(options, devargs);
  return rig;
}
async function started(options: FakeOptions = {}): Promise<Rig> {
  const made = await make(options);
  await startPort(made.dev, 1, 64);
  await until("the link", () => made.dev.linkGet().up);
  made.events.length = 0;
  return made;
}
const state = ({ dev }: Rig) => dev.connectionGet()!.split(" ")[0];
const xstat = ({ dev }: Rig, name: string) => dev.xstatsGet().find((stat) => stat.name === name)!.value;
const back = (of: Rig) => until("the device to be back", () => state(of) === "connected");
const away = (of: Rig) => until("the loss", () => state(of) === "reconnecting");

async function send({ open }: Rig, from: number, n: number): Promise<void> {
  const { tx } = await open();
  const mbufs = Array.from({ length: n }, (_, i) => mbufFrom(pool, 0, new Uint8Array(60).fill(from + i)));
  eal.arena.u32.set(mbufs, pkts >>> 2);
  expect(tx[0]!.burst(pkts, n)).toBe(n);
}

/** First bytes of the frames that come until there are `n`. */
async function receive({ open, fake }: Rig, n: number): Promise<number[]> {
  const { rx } = await open();
  const got: number[] = [];
  await until(`${n} frames`, () => {
    fake.loop();
    const count = rx[0]!.burst(pkts, 64);
    for (const mbuf of eal.arena.u32.slice(pkts >>> 2, (pkts >>> 2) + count)) {
      got.push(mbufBytes(eal.arena, mbuf)[0]!);
      mbufFree(eal.arena, 0, mbuf);
    }
    return got.length >= n;
  });
  return got;
}
const range = (from: number, n: number) => Array.from({ length: n }, (_, i) => from + i);

beforeEach(() => {
  before = left();
});
afterEach(async () => {
  await rig?.end();
  rig = null;
  expect(left()).toEqual(before);
  expect(pool.inUseCount()).toBe(0);
});
afterAll(endEal);

describe.each(KINDS)("with %s, a server that comes back", (_kind, options) => {
  it("and has kept the device: every frame goes through once, in order", async () => {
    const made = await started({ ...options, keep: true });
    const { fake, dev, events } = made;
    await dev.macAddrAdd(Uint8Array.of(2, 0, 0, 0, 0, 9));
    fake.ops.length = 0;
    for (let round = 0; round < 4; round++) {
      // Some went through, some lie in the receive ring, some in the transmit ring.
      await send(made, 1, 10);
      expect(await receive(made, 10)).toEqual(range(1, 10));
      await send(made, 11, 12);
      await until("them in the ring", () => fake.loop() > 0);
      await send(made, 23, 7);
      const { rx, tx } = await made.open();
      await fake.away();
      await away(made);
      expect(rx[0]!.burst(pkts, 32)).toBe(0);
      expect(tx[0]!.burst(pkts, 1)).toBe(0);
      fake.comeBack();
      await back(made);
      expect(await receive(made, 19)).toEqual(range(11, 19));
    }
    expect(fake.ops.map(opName)).toEqual(Array(4).fill("ENABLE_QUEUES"));
    expect(events).toEqual(Array(4).fill(["lsc", "lsc"]).flat());
    expect(dev.linkGet().up).toBe(true);
    expect(xstat(made, "reconnects_resumed")).toBe(4);
    expect(dev.statsGet()).toMatchObject({ ipackets: 4 * 29, opackets: 4 * 29 });
  });

  it("and has lost the device: it is configured as it was, and goes on", async () => {
    const made = await started(options);
    const { fake, dev, events } = made;
    await dev.macAddrAdd(Uint8Array.of(2, 0, 0, 0, 0, 9));
    await dev.promiscuousEnable();
    await dev.vlanOffloadSet("strip", true);
    await dev.vlanFilterSet(100, true);
    await send(made, 1, 12);
    await until("some in the receive ring", () => fake.loop() > 0);
    await send(made, 20, 5);
    fake.macs = [];
    fake.ops.length = 0;
    await fake.away();
    await away(made);
    fake.comeBack();
    await until("its link", () => dev.linkGet().up);
    expect(events).toEqual(["lsc", "errRecovering", "recoverySuccess", "lsc"]);
    expect(fake.ops.map(opName)).toEqual([
      "VERSION",
      "GET_VF_RESOURCES",
      "CONFIG_RSS_KEY",
      "CONFIG_RSS_LUT",
      "GET_RSS_HENA_CAPS",
      "SET_RSS_HENA",
      "ENABLE_VLAN_STRIPPING",
      "ADD_VLAN",
      "CONFIG_PROMISCUOUS_MODE",
      "ADD_ETH_ADDR",
      "CONFIG_VSI_QUEUES",
      "CONFIG_IRQ_MAP",
      "ENABLE_QUEUES",
    ]);
    expect(fake.macs).toHaveLength(2);
    await send(made, 30, 20);
    expect(await receive(made, 20)).toEqual(range(30, 20));
    expect(xstat(made, "rx_recovery_dropped")).toBe(12);
    expect(xstat(made, "tx_recovery_dropped")).toBe(17);
    expect(xstat(made, "reconnects_recovered")).toBe(1);
  });
});

describe.each(BOTH)("a device %s, when its server goes away", (_what, keep) => {
  it("gets the request that was not answered again, and those that came meanwhile", async () => {
    const made = await started({ keep });
    const { fake, dev } = made;
    fake.script.set(OP.CONFIG_PROMISCUOUS_MODE, () => null);
    const asked = dev.promiscuousEnable();
    await until("the request", () => fake.ops.at(-1) === OP.CONFIG_PROMISCUOUS_MODE);
    await fake.away();
    await away(made);
    fake.script.clear();
    const added = dev.macAddrAdd(Uint8Array.of(2, 0, 0, 0, 0, 8));
    fake.ops.length = 0;
    fake.comeBack();
    await Promise.all([asked, added]);
    expect(fake.ops.slice(-2).map(opName)).toEqual(["CONFIG_PROMISCUOUS_MODE", "ADD_ETH_ADDR"]);
    expect(dev.promiscuousGet()).toBe(true);
  });

  it.each([OP.ADD_ETH_ADDR, OP.CONFIG_VSI_QUEUES, OP.CONFIG_IRQ_MAP, OP.ENABLE_QUEUES])(
    "in the middle of a start (at %i), is started when it is back",
    async (op) => {
      const made = await make({ keep });
      const { fake, dev } = made;
      fake.script.set(op, () => null);
      const start = startPort(dev, 1, 64);
      await until("the request", () => fake.ops.at(-1) === op);
      await fake.away();
      await away(made);
      fake.script.clear();
      fake.comeBack();
      await start;
      expect(fake.enabled).toEqual({ rx: 1, tx: 1 });
      await send(made, 1, 20);
      expect(await receive(made, 20)).toEqual(range(1, 20));
    },
  );

  it("is found stopped when the port was stopped meanwhile, and starts again", async () => {
    const made = await started({ keep });
    const { fake, dev } = made;
    await send(made, 1, 10);
    await fake.away();
    await away(made);
    await dev.stop();
    expect(pool.inUseCount()).toBe(0);
    fake.ops.length = 0;
    fake.comeBack();
    await back(made);
    expect(fake.enabled).toEqual({ rx: 0, tx: 0 });
    if (keep) expect(fake.ops.map(opName)).toEqual(["DISABLE_QUEUES", "DEL_ETH_ADDR"]);
    await dev.start();
    await send(made, 40, 10);
    expect(await receive(made, 10)).toEqual(range(40, 10));
  });

  it("in the middle of a stop, does not hold it up", async () => {
    const made = await started({ keep });
    const { fake, dev } = made;
    fake.script.set(OP.DISABLE_QUEUES, () => null);
    const stop = dev.stop();
    await until("the request", () => fake.ops.at(-1) === OP.DISABLE_QUEUES);
    await fake.away();
    await stop;
    expect(state(made)).toBe("reconnecting");
    fake.script.clear();
    fake.comeBack();
    await back(made);
    await dev.start();
    await send(made, 40, 10);
    expect(await receive(made, 10)).toEqual(range(40, 10));
  });

  it("is stopped, configured otherwise and started while it is away", async () => {
    const made = await started({ keep });
    const { fake, dev } = made;
    await fake.away();
    await away(made);
    await dev.stop();
    const again = startPort(dev, 2, 128);
    fake.comeBack();
    await again;
    expect(fake.enabled).toEqual({ rx: 3, tx: 3 });
    await send(made, 1, 100);
    expect(await receive(made, 100)).toEqual(range(1, 100));
  });

  it("is reset when the port was reset meanwhile", async () => {
    const made = await started({ keep });
    const { fake, dev } = made;
    await fake.away();
    await away(made);
    const reset = dev.reset();
    fake.comeBack();
    await reset;
    await startPort(dev, 1, 64);
    await send(made, 1, 10);
    expect(await receive(made, 10)).toEqual(range(1, 10));
    if (keep) expect(fake.resets).toContain("reset");
  });

  it("again and again while it is taken up, is taken up in the end", async () => {
    const made = await started({ keep });
    const { fake } = made;
    const nth = keep ? OP.ENABLE_QUEUES : OP.CONFIG_VSI_QUEUES;
    let left = 3;
    fake.script.set(nth, () => {
      if (left-- === 0) fake.script.clear();
      fake.server.dropClient("just so");
      return null;
    });
    await send(made, 1, 10);
    fake.server.dropClient("just so");
    await until("it to be back", () => left < 0 && state(made) === "connected");
    await send(made, 11, 10);
    expect(await receive(made, keep ? 20 : 10)).toEqual(keep ? range(1, 20) : range(11, 10));
    expect(made.events.filter((event) => event === "errRecovering")).toHaveLength(keep ? 0 : 1);
  });
});

describe("while its server is away, a port", () => {
  it("is closed at once, and what waits for the device rejects", async () => {
    const made = await started({ keep: true });
    const { fake, dev } = made;
    await fake.away();
    await away(made);
    const waits = dev.promiscuousEnable();
    await dev.stop();
    const starts = dev.start();
    const ends = Promise.all([
      expect(waits).rejects.toMatchObject({ code: "GONE" }),
      expect(starts).rejects.toMatchObject({ code: "GONE" }),
    ]);
    await dev.close();
    await ends;
  });

  it("is closed in the middle of a try to connect", async () => {
    const made = await started({ keep: true });
    const { fake, device } = made;
    const path = fake.server.sockAddr;
    await fake.away();
    await away(made);
    // Somebody who takes connections and says nothing.
    const sockets = new Set<{ destroy(): void }>();
    const mute = createServer((socket) => sockets.add(socket)).listen(path);
    await until("a connection", () => sockets.size > 0);
    await eal.vdev.detach(device.name);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => mute.close(resolve));
  });

  it("is closed in the middle of taking the device up", async () => {
    const made = await started({ keep: true });
    const { fake, device } = made;
    await fake.away();
    await away(made);
    let asked = false;
    fake.script.set(OP.ENABLE_QUEUES, () => {
      asked = true;
      return null;
    });
    fake.comeBack();
    await until("the request", () => asked);
    await eal.vdev.detach(device.name);
  });

  it("says so, and each kind of failure once", async () => {
    const made = await started({ keep: true });
    const { fake, dev } = made;
    lines.length = 0;
    await fake.away();
    await until("some tries", () => /[5-9] attempts; .*ENOENT/.test(dev.connectionGet()!));
    expect(dev.connectionGet()).toMatch(/^reconnecting for \d+\.\d s, \d+ attempts; cannot connect/);
    expect(lines.filter((line) => line.includes("trying again"))).toHaveLength(1);
    expect(dev.linkGet().up).toBe(false);
    fake.comeBack();
    await back(made);
  });

  it("refuses to migrate, and to change its MTU while it is started", async () => {
    const made = await started({ keep: true });
    await made.fake.away();
    await away(made);
    await expect(made.dev.migrate("/x")).rejects.toThrow(/cannot migrate while reconnecting/);
    await expect(made.dev.mtuSet(1400)).rejects.toThrow(/stop the port/);
  });
});

describe("a device that comes back as another one", () => {
  it("with fewer queues: the recovery fails, and the port says so", async () => {
    const made = await make({ pairs: 2 });
    await startPort(made.dev, 2);
    await made.fake.away();
    await away(made);
    made.fake.comeBack(1);
    await until("the verdict", () => made.events.includes("recoveryFailed"));
    expect(made.events.slice(-2)).toEqual(["errRecovering", "recoveryFailed"]);
    expect((await made.open()).rx[0]!.burst(pkts, 32)).toBe(0);
    await made.dev.reset();
    await startPort(made.dev, 1);
    await send(made, 1, 10);
    expect(await receive(made, 10)).toEqual(range(1, 10));
  });

  it("that will not go on where it was: it is reset and configured anew", async () => {
    const made = await started({ keep: true });
    const { fake } = made;
    let refusals = 1;
    fake.script.set(OP.ENABLE_QUEUES, () => {
      if (--refusals === 0) fake.script.clear();
      return { status: -5, bytes: new Uint8Array(0) };
    });
    await fake.away();
    await away(made);
    fake.comeBack();
    await back(made);
    expect(made.events).toContain("recoverySuccess");
    await send(made, 1, 10);
    expect(await receive(made, 10)).toEqual(range(1, 10));
  });

  it("left by a client that died: it is reset before it is used", async () => {
    const first = await started({ keep: true });
    const { fake } = first;
    fake.resets.length = 0;
    const path = fake.server.sockAddr;
    // Another process's driver would find the admin queues set up.
    await fake.away();
    await away(first);
    await eal.vdev.detach(first.device.name);
    fake.comeBack();
    await eal.vdev.attach(`net_iavf99,path=${path}`);
    expect(fake.resets).toContain("reset");
    await eal.vdev.detach("net_iavf99");
  });
});
