// Faults on the device itself, as its driver meets them through registers, admin queue and eventfds, and the two ways to ask for
// them. What they do to a driver under traffic is in apps/testpmd/test/fault.test.ts.
import { encode, VIRTCHNL_OP as OP, type QueuePairInfo, queueSelectCodec, vsiQueueConfigCodec } from "@emudev/avf";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { injectFault, show } from "../src/index.ts";
import { eal, endEal, FakeBackend, Guest, makeRig, type Rig } from "./support/device-rig.ts";
import { until } from "./support/guest-driver.ts";

const pair: QueuePairInfo = {
  tx: { vsiId: 1, queueId: 0, ringLen: 512, headwbEnabled: 0, ringAddr: 0x1_0009_0000n, headwbAddr: 0n },
  rx: {
    ...{ vsiId: 1, queueId: 0, ringLen: 512, hdrSize: 0, splithdrEnabled: 0, dataBufferSize: 2048, maxPktSize: 1534 },
    ...{ crcDisable: 0, rxdid: 1, flags: 0, ringAddr: 0x1_0009_4000n, splitPos: 0 },
  },
};
const CONFIG = encode(vsiQueueConfigCodec, { vsiId: 1, pairs: [pair] });
const BOTH = encode(queueSelectCodec, { vsiId: 1, rxQueues: 1, txQueues: 1 });
const ADMIN_INTERRUPT = 1;
const ARMED = 0x19; // INTENA, no ITR index

let rig: Rig;
let backend: FakeBackend;
let guest: Guest;

const fault = (words: string) => injectFault(rig.vdev.name, words.split(" "));
const faults = () => show(rig.vdev.name)!.faults;

beforeEach(async () => {
  rig = await makeRig();
  backend = await FakeBackend.attach(rig.dev.id);
  guest = await Guest.connect(rig.path);
  await guest.bindVectors(5);
  await guest.driver.initQueues();
  await guest.driver.hello(0x900e1);
  backend.take();
});

afterEach(async () => {
  guest.close();
  await until(() => rig.device.attributes.get("client") === null, "the client is not gone");
  await backend.detach();
  await rig.end();
});

afterAll(endEal);

test("a message that is dropped is not carried out; one that is refused is answered and not carried out", async () => {
  await guest.driver.ask(OP.CONFIG_VSI_QUEUES, CONFIG);
  await fault("drop ENABLE_QUEUES 1");
  await guest.driver.done(await guest.driver.send(OP.ENABLE_QUEUES, BOTH));
  await fault("refuse 8 ERR_NO_MEMORY 1");
  expect(await guest.driver.request(OP.ENABLE_QUEUES, BOTH)).toMatchObject({ status: -18 }); // the only answer
  expect(backend.take()).not.toContain("QUEUE_ENABLE 0");
  expect(faults()).toEqual([]);
  await guest.driver.ask(OP.ENABLE_QUEUES, BOTH);
  expect(backend.take()).toContain("QUEUE_ENABLE 0");
});

test("a reply that is late is not given to the driver that comes after a reset", async () => {
  await fault("delay GET_RSS_HENA_CAPS 30 1");
  await guest.driver.send(OP.GET_RSS_HENA_CAPS);
  await guest.client.reset();
  await new Promise((resolve) => setTimeout(resolve, 40));
  await guest.driver.initQueues();
  await guest.driver.hello(0x900e1); // fails on any answer but its own
});

test("a queue that stands still is kept from the backend, whatever the driver does, and given to it at the end", async () => {
  await guest.driver.ask(OP.CONFIG_VSI_QUEUES, CONFIG);
  expect(await fault("stall rx0")).toEqual(["stall rx0"]);
  await guest.driver.ask(OP.ENABLE_QUEUES, BOTH);
  await guest.driver.ask(OP.DISABLE_QUEUES, BOTH);
  await guest.driver.ask(OP.ENABLE_QUEUES, BOTH);
  expect(backend.take().filter((event) => event.startsWith("QUEUE_ENABLE"))).toEqual([
    "QUEUE_ENABLE 1",
    "QUEUE_ENABLE 1",
  ]);
  await fault("clear");
  await until(() => backend.events.includes("QUEUE_ENABLE 0"), "the queue is not given back");
});

test("interrupts that are lost do not come later, others do; spurious ones have no cause", async () => {
  await guest.driver.write("VFINT_ICR0_ENA1", 1 << 30);
  await guest.driver.write("VFINT_DYN_CTL01", ARMED);
  await fault("mute 0");
  await guest.driver.ask(OP.CONFIG_VSI_QUEUES, CONFIG); // its answer is found by looking
  expect(guest.interrupts(0)).toBe(0);
  await fault("clear");
  expect(guest.interrupts(0)).toBe(0);
  await guest.driver.write("VFINT_DYN_CTL01", ARMED);
  await guest.driver.ask(OP.CONFIG_VSI_QUEUES, CONFIG);
  expect(guest.interrupts(0)).toBe(ADMIN_INTERRUPT);
  await fault("spurious 3 2");
  expect([1, 2, 3, 4].map((vector) => guest.interrupts(vector))).toEqual([0, 0, 2, 0]);
});

test("a dead device reads as ones, and comes back as it was", async () => {
  const len = await guest.driver.read("VF_ARQLEN1");
  await fault("dead");
  await guest.driver.write("VF_ARQLEN1", 0);
  expect(await guest.driver.read("VF_ARQLEN1")).toBe(0xffffffff);
  expect([...(await guest.client.regionRead(7, 0, 4))]).toEqual([255, 255, 255, 255]);
  await fault("clear");
  expect(await guest.driver.read("VF_ARQLEN1")).toBe(len);
});

test("a reset is announced, and comes when it was said", async () => {
  await fault("reset 30");
  expect(faults()).toEqual(["reset, for 30 ms"]);
  await until(() => rig.device.resets.state === "resetting", "no reset");
  await until(() => rig.device.resets.state === "active", "no end of it");
  expect(rig.device.counters).toMatchObject({ resets: 1 });
});

test("by telemetry: injected, listed, refused", () => {
  const ask = (text: string) => eal.telemetry.call(`/emu_iavf/fault,${rig.vdev.name}${text}`)["/emu_iavf/fault"];
  expect(ask(",drop,ENABLE_QUEUES,2")).toEqual({ faults: ["drop ENABLE_QUEUES, 2 to come"] });
  expect(ask("")).toEqual({ faults: ["drop ENABLE_QUEUES, 2 to come"] });
  expect(ask(",explode")).toEqual({ error: expect.stringMatching(/'explode' is no fault; there are drop, delay/) });
  expect(ask(",clear")).toEqual({ faults: [] });
  expect(eal.telemetry.call("/emu_iavf/fault,nobody")).toEqual({ "/emu_iavf/fault": null });
});
