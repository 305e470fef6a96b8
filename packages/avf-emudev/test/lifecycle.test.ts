// Devices and clients that come and go: devargs, clients that leave in the middle of anything, what is left behind (nothing),
// and the two doorbell modes.
import { readFileSync } from "node:fs";
import {
  AQ_LEN_ENABLE,
  encode,
  VIRTCHNL_OP as OP,
  type QueuePairInfo,
  queueSelectCodec,
  REG,
  vsiQueueConfigCodec,
} from "@emudev/avf";
import { emuGetDbInfo, emuGetQueueInfo } from "@emudev/emudev";
import { eventfdRead, eventfdWrite, fdCount, mapAnywhere, PROT } from "@emudev/linux";
import { closeIoFds } from "@emudev/vfio-user";
import { afterAll, describe, expect, test } from "vitest";
import { RESET_MS } from "../src/control/states.ts";
import { show } from "../src/index.ts";
import { eal, endEal, FakeBackend, Guest, makeRig, type Rig, socketPath } from "./support/device-rig.ts";
import { until } from "./support/guest-driver.ts";

afterAll(endEal);

const pair: QueuePairInfo = {
  tx: { vsiId: 1, queueId: 0, ringLen: 512, headwbEnabled: 0, ringAddr: 0x1_0009_0000n, headwbAddr: 0n },
  rx: {
    ...{ vsiId: 1, queueId: 0, ringLen: 512, hdrSize: 0, splithdrEnabled: 0, dataBufferSize: 2048, maxPktSize: 1534 },
    ...{ crcDisable: 0, rxdid: 1, flags: 0, ringAddr: 0x1_0009_4000n, splitPos: 0 },
  },
};
const CONFIG = encode(vsiQueueConfigCodec, { vsiId: 1, pairs: [pair] });
const BOTH = encode(queueSelectCodec, { vsiId: 1, rxQueues: 1, txQueues: 1 });

/** What this process holds; of its mappings those of memfds, since V8 maps and unmaps memory of its own. */
const held = () => ({
  fds: fdCount(),
  mappings: readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => line.includes("/memfd:")).length,
  windows: eal.arena.windows().length,
  memzones: eal.arena.memzones().length,
});

const gone = (rig: Rig) => until(() => rig.device.attributes.get("client") === null, "the client is not gone");

async function up(guest: Guest): Promise<void> {
  await guest.driver.initQueues();
  await guest.driver.hello(0x900e1);
  await guest.driver.ask(OP.CONFIG_VSI_QUEUES, CONFIG);
  await guest.driver.ask(OP.ENABLE_QUEUES, BOTH);
}

describe("devargs", () => {
  test.each([
    ["", /'path='.*required/],
    ["path=/tmp/x,queue=4", /unknown key 'queue'; allowed are path, .*doorbell/],
    ["path=/tmp/x,fd=3", /'path=' and 'fd=' exclude/],
    ["fd=1", /'fd=1'.*from 3/],
    ["fd=1000", /fd 1000 cannot be served.*EBADF/],
    ["path=/tmp/x,queues=17", /'queues=17'.*from 1 to 16/],
    ["path=/tmp/x,queues=0", /'queues=0'.*from 1 to 16/],
    ["path=/tmp/x,mtu=9703", /'mtu=9703'.*9702/],
    ["path=/tmp/x,mac=01:00:5e:00:00:01", /'mac=.*unicast/],
    ["path=/tmp/x,doorbell=poll", /'doorbell=poll'.*mem, fd/],
    ["path=/tmp/x,speed=fast", /'speed=fast'/],
  ])("emu_iavf9,%s", async (args, complaint) => {
    await expect(eal.vdev.attach(args === "" ? "emu_iavf9" : `emu_iavf9,${args}`)).rejects.toThrow(complaint);
  });

  test("an id or a socket that is taken is an error that names it, and nothing stays behind", async () => {
    const rig = await makeRig(",id=77");
    const zones = eal.arena.memzones().length;
    await expect(eal.vdev.attach(`emu_iavf9,path=${socketPath()},id=77`)).rejects.toThrow(/77/);
    await expect(eal.vdev.attach(`emu_iavf9,path=${rig.path}`)).rejects.toThrow(rig.path);
    expect(eal.arena.memzones().length).toBe(zones);
    expect(rig.dev.id).toBe(77);
    await rig.end();
  });

  test("without mac= each device has an address of its own", async () => {
    const [a, b] = [await makeRig(), await makeRig()];
    expect([...a.device.attributes.get("mac")]).not.toEqual([...b.device.attributes.get("mac")]);
    await a.end();
    await b.end();
  });
});

test("200 clients, each leaving at another point, leave no fd, no mapping and no memory behind", async () => {
  const rig = await makeRig();
  const backend = await FakeBackend.attach(rig.dev.id);
  const visit = async (step: number): Promise<void> => {
    const guest = await Guest.connect(rig.path);
    if (step > 0) await guest.bindVectors(5);
    if (step > 1) await guest.client.getRegionInfo(1);
    if (step > 2) await guest.driver.initQueues();
    if (step > 3) await guest.driver.send(OP.VERSION, new Uint8Array(8));
    if (step > 4) await up(guest);
    if (step > 5) void guest.driver.send(OP.RESET_VF).catch(() => {});
    if (step > 6) void guest.client.reset().catch(() => {});
    guest.close();
    await gone(rig);
  };
  for (let i = 0; i < 16; i++) await visit(i % 8);
  const before = held();
  for (let i = 0; i < 200; i++) await visit(i % 8);
  expect(held()).toEqual(before);
  expect(rig.device.resets.state).toBe("active");
  await backend.detach();
  await rig.end();
});

test("a device that is detached gives back everything", async () => {
  const visit = async (): Promise<void> => {
    const rig = await makeRig(",doorbell=fd,queues=16");
    const guest = await Guest.connect(rig.path);
    await up(guest);
    await rig.end();
    guest.close();
  };
  await visit();
  const before = held();
  for (let i = 0; i < 5; i++) await visit();
  expect(held()).toEqual(before);
});

test("nobody is answered before the backend has let go: DISABLE_QUEUES, DEVICE_RESET", async () => {
  const rig = await makeRig();
  const backend = await FakeBackend.attach(rig.dev.id);
  const guest = await Guest.connect(rig.path);
  await up(guest);
  let letGo = (): void => {};
  const hold = (event: string): void => {
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    backend.onEvent = (name) => (name === event ? held : undefined);
  };
  hold("QUEUE_DISABLE 0");
  backend.take();
  await guest.driver.send(OP.DISABLE_QUEUES, BOTH);
  await until(() => backend.events.includes("QUEUE_DISABLE 0"), "not told");
  expect(emuGetQueueInfo(rig.dev.id, 0)).toBeNull();
  expect((await guest.driver.takeEvents()).map(({ linkUp }) => linkUp)).toEqual([false]);
  letGo();
  expect(await guest.driver.answer()).toMatchObject({ op: OP.DISABLE_QUEUES, status: 0 });

  hold("RESET");
  let answered = false;
  const reset = guest.client.reset().then(() => {
    answered = true;
  });
  await until(() => backend.events.includes("RESET"), "not told");
  await new Promise((resolve) => setTimeout(resolve, 3 * RESET_MS));
  expect(answered).toBe(false);
  letGo();
  await reset;
  guest.close();
  await gone(rig);
  await backend.detach();
  await rig.end();
});

test("a client that dies while the backend is slow: the next one finds a clean device", async () => {
  const rig = await makeRig();
  const backend = await FakeBackend.attach(rig.dev.id);
  const guest = await Guest.connect(rig.path);
  await guest.driver.initQueues();
  await guest.driver.hello(0x900e1);
  await guest.driver.ask(OP.CONFIG_VSI_QUEUES, CONFIG);
  let letGo = (): void => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  backend.onEvent = (event) => (event === "QUEUE_ENABLE 0" ? held : undefined);
  await guest.driver.send(OP.ENABLE_QUEUES, BOTH);
  await until(() => backend.events.includes("QUEUE_ENABLE 0"), "not told");
  guest.close();
  const waiting = Guest.connect(rig.path);
  await new Promise((resolve) => setTimeout(resolve, 20));
  letGo();
  const next = await waiting;
  expect(await next.driver.read("VF_ATQLEN1")).toBe(0);
  expect(await next.driver.read("VFGEN_RSTAT")).toBe(2);
  expect(emuGetQueueInfo(rig.dev.id, 0)).toBeNull();
  await up(next);
  expect(emuGetQueueInfo(rig.dev.id, 0)).not.toBeNull();
  next.close();
  await gone(rig);
  await backend.detach();
  await rig.end();
});

test("a Function Level Reset is a reset of the device, and the write is answered at its end", async () => {
  const rig = await makeRig();
  const backend = await FakeBackend.attach(rig.dev.id);
  const guest = await Guest.connect(rig.path);
  await up(guest);
  expect((await guest.driver.read("VF_ARQLEN1")) & AQ_LEN_ENABLE).not.toBe(0);
  backend.take();
  const control = await guest.client.regionRead(7, 0xa8, 2);
  await guest.client.regionWrite(7, 0xa8, Uint8Array.of(control[0]!, control[1]! | 0x80));
  expect(await guest.driver.read("VF_ARQLEN1")).toBe(0);
  expect(await guest.driver.read("VF_ATQH1")).toBe(0);
  expect(backend.take()).toContain("RESET");
  guest.close();
  await gone(rig);
  await backend.detach();
  await rig.end();
});

test("doorbell=fd: nothing is mapped, a trapped write is stored and signalled on the queue's eventfd", async () => {
  const rig = await makeRig(",doorbell=fd,queues=2");
  const guest = await Guest.connect(rig.path);
  expect((await guest.client.getRegionInfo(0)).areas).toEqual([]);
  const rx1 = emuGetDbInfo(rig.dev.id, 2)!;
  const tx1 = emuGetDbInfo(rig.dev.id, 3)!;
  expect([rx1.flag, rx1.mem]).toEqual([1, undefined]);
  await guest.driver.write("QTX_TAIL1", 9, 1);
  expect(await guest.driver.read("QTX_TAIL1", 1)).toBe(9);
  expect([eventfdRead(tx1.fd!), eventfdRead(rx1.fd!)]).toEqual([1, 0]);
  expect(eal.arena.u32[tx1.priv.off >>> 2]).toBe(9);
  expect(emuGetDbInfo(rig.dev.id, 4)).toBeNull();
  guest.close();
  await gone(rig);
  await rig.end();
});

test("doorbell=fd: an ioeventfd a queue, with the tail's word as shadow memory; new ones for every client", async () => {
  const rig = await makeRig(",doorbell=fd,queues=2");
  const guest = await Guest.connect(rig.path);
  const ioFds = await guest.client.getRegionIoFds(0);
  const { QRX_TAIL1: rx, QTX_TAIL1: tx } = REG;
  expect(ioFds.map(({ offset, size, type, flags, shadow }) => [offset, size, type, flags, shadow?.offset])).toEqual(
    [rx.offset, tx.offset, rx.offset + 4, tx.offset + 4].map((at) => [at, 4, "shadow", 0, at]),
  );
  const tx1 = emuGetDbInfo(rig.dev.id, 3)!;
  const memory = mapAnywhere(0x3000, PROT.READ | PROT.WRITE, ioFds[3]!.shadow!.fd, 0);
  new Uint32Array(memory.buffer)[ioFds[3]!.offset / 4] = 77;
  eventfdWrite(ioFds[3]!.fd);
  expect([eal.arena.u32[tx1.priv.off >>> 2], eventfdRead(tx1.fd!)]).toEqual([77, 1]);
  expect(await guest.driver.read("QTX_TAIL1", 1)).toBe(77);
  guest.close();
  await gone(rig);
  const next = await Guest.connect(rig.path);
  const again = emuGetDbInfo(rig.dev.id, 3)!;
  eventfdWrite(ioFds[3]!.fd);
  new Uint32Array(memory.buffer)[ioFds[3]!.offset / 4] = 78;
  expect([eal.arena.u32[again.priv.off >>> 2], eventfdRead(again.fd!)]).toEqual([0, 0]);
  memory.unmap();
  closeIoFds(ioFds);
  next.close();
  await gone(rig);
  await rig.end();
});

test("doorbell=mem: pages are mapped, and there are no ioeventfds", async () => {
  const rig = await makeRig();
  const guest = await Guest.connect(rig.path);
  expect(await guest.client.getRegionIoFds(0)).toEqual([]);
  guest.close();
  await gone(rig);
  await rig.end();
});

test("doorbell pages are new for every client: the one that left cannot ring", async () => {
  const rig = await makeRig();
  const first = await Guest.connect(rig.path);
  await first.driver.write("QRX_TAIL1", 5, 0);
  const offThen = emuGetDbInfo(rig.dev.id, 0)!.priv.off;
  first.close();
  await gone(rig);
  expect(eal.arena.windows().some(({ off, bytes }) => offThen >= off && offThen < off + bytes)).toBe(false);
  const second = await Guest.connect(rig.path);
  expect(await second.driver.read("QRX_TAIL1", 0)).toBe(0);
  second.close();
  await gone(rig);
  await rig.end();
});

test("telemetry shows the state and the counters", async () => {
  const rig = await makeRig();
  const guest = await Guest.connect(rig.path);
  await up(guest);
  expect(show(rig.vdev.name)).toMatchObject({
    ...{ name: rig.vdev.name, client: `pid ${process.pid}`, state: "active", queues: 2, link: "down" },
    granted: "L2|WB_ON_ITR|REQ_QUEUES|ADV_LINK_SPEED|VLAN|RSS_PF",
    counters: { vcMessages: 4, vcInvalid: 0 },
  });
  expect(eal.telemetry.call("/emu_iavf/list")).toEqual({ "/emu_iavf/list": [rig.vdev.name] });
  expect(show("emu_iavf99")).toBeNull();
  guest.close();
  await gone(rig);
  await rig.end();
});
