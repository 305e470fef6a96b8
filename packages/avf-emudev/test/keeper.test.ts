// A device with state=: its client leaves and comes back, or another does, or the device is taken away and made anew from its
// file. What the driver had configured is there, queues go on where they stood, and a reset forgets it all.
import { existsSync, rmSync } from "node:fs";
import { VIRTCHNL_OP as OP } from "@emudev/avf";
import { emuGetQueueInfo } from "@emudev/emudev";
import { PCI_REGION } from "@emudev/vfio-user";
import { afterAll, afterEach, expect, test } from "vitest";
import { EmuIavfError } from "../src/index.ts";
import { both, bringUp, resume } from "./support/bring-up.ts";
import { eal, endEal, FakeBackend, Guest, lines, makeRig, type Rig, socketPath } from "./support/device-rig.ts";
import { u32, until } from "./support/guest-driver.ts";

const ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(endEal);

const VECTORS = 3;
async function rigOf(file: string, devargs = ",queues=2"): Promise<Rig> {
  const rig = await makeRig(`${devargs},state=${file}`);
  ends.push(() => (eal.vdev.find(rig.vdev.name) === undefined ? undefined : rig.end()));
  return rig;
}

async function guestOf(rig: Rig): Promise<Guest> {
  const guest = await Guest.connect(rig.path);
  ends.push(() => guest.close());
  await guest.bindVectors(VECTORS);
  return guest;
}

/** The backend that has worked on the queues meanwhile. */
function moved(rig: Rig): void {
  rig.device.positions.set(0, 33);
  rig.device.positions.set(1, 5);
}
const places = (rig: Rig): number[] => [rig.device.positions.get(0), rig.device.positions.get(1)];

test("a client that comes back finds the device as it was, and its queues go on", async () => {
  const rig = await rigOf(socketPath());
  const backend = await FakeBackend.attach(rig.dev.id);
  ends.push(() => backend.detach());
  const before = await guestOf(rig);
  await bringUp(before);
  moved(rig);
  await rig.device.backend.setAttr("client", null);
  backend.take();
  before.close();
  ends.pop();
  await until(() => backend.events.includes("CLIENT_DOWN"), "the client has not left");
  expect(backend.take().filter((event) => !event.startsWith("ATTR"))).toEqual([
    "QUEUE_DISABLE 0",
    "QUEUE_DISABLE 1",
    "CLIENT_DOWN",
  ]);
  expect(emuGetQueueInfo(rig.dev.id, 0)).toBeNull();

  const after = await guestOf(rig);
  expect(await after.client.regionRead(PCI_REGION.CONFIG, 4, 2)).toEqual(Uint8Array.of(6, 0));
  expect(await after.driver.read("QTX_TAIL1")).toBe(17);
  expect(await resume(after)).toBe(true);
  expect(backend.take().filter((event) => event.startsWith("QUEUE"))).toEqual(["QUEUE_ENABLE 0", "QUEUE_ENABLE 1"]);
  expect(emuGetQueueInfo(rig.dev.id, 0)).toMatchObject({ base: 0x1_0009_8000n, size: 96, irqVector: 1 });
  expect(emuGetQueueInfo(rig.dev.id, 0)!.position!.durable).toBe(true);
  expect(places(rig)).toEqual([33, 5]);
  expect(after.interrupts(1)).toBe(1);
  await until(async () => (await after.driver.takeEvents()).length === 1, "the link was not told again");
  expect([...rig.device.vf.macs.keys()]).toHaveLength(1);
  await after.driver.ask(OP.DISABLE_QUEUES, both);
  await after.driver.ask(OP.ENABLE_QUEUES, both);
  expect(places(rig)).toEqual([0, 0]);
  await after.driver.ask(OP.GET_STATS, u32(0));
});

test("a vector that is armed fires once, one that is not is signalled once", async () => {
  const rig = await rigOf(socketPath());
  const before = await guestOf(rig);
  await bringUp(before);
  await before.driver.write("VFINT_DYN_CTLN1", 1, 0);
  await before.driver.read("VFGEN_RSTAT");
  before.close();
  ends.pop();
  const after = await guestOf(rig);
  expect(rig.device.interrupts.vectors[1]!.armed).toBe(true);
  expect(await resume(after)).toBe(true);
  expect(rig.device.interrupts.vectors[1]!.armed).toBe(false);
  expect(after.interrupts(1)).toBe(1);
  expect(after.interrupts(2)).toBe(0); // no queue's
});

test("what was migrated into a device is kept as if it had been made there", async () => {
  const [from, to] = [await rigOf(socketPath()), await rigOf(socketPath())];
  const source = await guestOf(from);
  await bringUp(source);
  moved(from);
  await from.device.migration.setState("stop");
  await from.device.migration.setState("stopCopy");
  await to.device.migration.setState("stop");
  await to.device.migration.setState("resuming");
  to.device.migration.load(from.device.migration.save(1 << 20));
  await to.device.migration.setState("stop");
  await to.device.migration.setState("running");
  await to.end();
  const again = await rigOf(to.device.params.state!);
  expect(await resume(await guestOf(again))).toBe(true);
  expect(places(again)).toEqual([33, 5]);
});

test("the device is taken away and made anew: nothing is different", async () => {
  const file = socketPath();
  const first = await rigOf(file);
  const before = await guestOf(first);
  await bringUp(before);
  moved(first);
  await first.end();
  const second = await rigOf(file);
  const after = await guestOf(second);
  expect(await resume(after)).toBe(true);
  expect(places(second)).toEqual([33, 5]);
  expect(emuGetQueueInfo(second.dev.id, 1)).toMatchObject({ base: 0x1_0009_0000n, size: 64 });
});

test.each(["DEVICE_RESET", "FLR", "RESET_VF"])("%s forgets what was kept", async (kind) => {
  const file = socketPath();
  const first = await rigOf(file);
  const before = await guestOf(first);
  await bringUp(before);
  moved(first);
  await first.end();
  const second = await rigOf(file);
  const other = await guestOf(second);
  if (kind === "DEVICE_RESET") await other.client.reset();
  else if (kind === "FLR") await other.client.regionWrite(PCI_REGION.CONFIG, 0xa0 + 8 + 1, Uint8Array.of(0x80));
  else {
    await other.driver.initQueues();
    await other.driver.resetVf();
  }
  expect(await resume(other)).toBe(false);
  await second.end();
  const third = await rigOf(file);
  const guest = await guestOf(third);
  expect(await resume(guest)).toBe(false);
  await bringUp(guest);
  expect(places(third)).toEqual([0, 0]);
});

test("without state= a client that leaves resets the device", async () => {
  const rig = await makeRig(",queues=2");
  ends.push(() => rig.end());
  const before = await guestOf(rig);
  await bringUp(before);
  before.close();
  ends.pop();
  expect(await resume(await guestOf(rig))).toBe(false);
});

test("other arguments, another device, a file that is gone", async () => {
  const file = socketPath();
  const first = await rigOf(file, ",queues=2,mtu=1500");
  const guest = await guestOf(first);
  await bringUp(guest);
  const why = async (devargs: string): Promise<unknown> =>
    rigOf(file, devargs).then(
      () => null,
      (error: Error) => (error instanceof EmuIavfError ? error : error.cause),
    );
  expect(await why(",queues=2,mtu=1500")).toMatchObject({
    code: "STATE_LOCKED",
    message: expect.stringContaining(file),
  });
  await first.end();
  for (const [devargs, what] of [
    [",queues=3,mtu=1500", "queues=2"],
    [",queues=2,mtu=1400", "mtu=1500"],
  ] as const)
    expect(await why(devargs)).toMatchObject({ code: "STATE_MISFIT", message: expect.stringContaining(what) });
  const again = await rigOf(file, ",queues=2,mtu=1500"); // none of them has touched it
  const back = await guestOf(again);
  expect(await resume(back)).toBe(true);
  rmSync(file);
  await again.end();
  expect(existsSync(file)).toBe(false);
  expect(lines.some((line) => line.includes(`${file} was removed`))).toBe(true);
  const fresh = await rigOf(file, ",queues=4");
  expect(await resume(await guestOf(fresh))).toBe(false);
});
