// The device's state as data: one device is stopped and saved, another takes it, and the driver goes on where it was with
// registers, admin queues, virtchnl, vectors and positions. What is no whole and valid state is refused and harms nothing.
import {
  decode,
  encode,
  irqMapCodec,
  VIRTCHNL_OP as OP,
  queueSelectCodec,
  VF_CAP,
  vsiQueueConfigCodec,
} from "@emudev/avf";
import { emuGetQueueInfo } from "@emudev/emudev";
import fc from "fast-check";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { type AvfState, decodeState, encodeState, invalidState } from "../src/control/state/avf-state.ts";
import { takeState } from "../src/control/state/snapshot.ts";
import { endEal, FakeBackend, Guest, makeRig, type Rig } from "./support/device-rig.ts";
import { macs, u32 } from "./support/guest-driver.ts";

const SEED = Number(process.env.EMUDEV_SEED ?? 7);
let a: Rig;
let b: Rig;

beforeEach(async () => {
  a = await makeRig(",queues=2");
  b = await makeRig(",queues=2");
});
afterEach(async () => {
  await a.end();
  await b.end();
});
afterAll(endEal);

const queueConfig = encode(vsiQueueConfigCodec, {
  vsiId: 1,
  pairs: [
    {
      tx: { vsiId: 1, queueId: 0, ringLen: 64, headwbEnabled: 0, ringAddr: 0x1_0009_0000n, headwbAddr: 0n },
      rx: {
        vsiId: 1,
        queueId: 0,
        ringLen: 96,
        hdrSize: 0,
        splithdrEnabled: 0,
        dataBufferSize: 2048,
        maxPktSize: 1518,
        crcDisable: 0,
        rxdid: 1,
        flags: 0,
        ringAddr: 0x1_0009_8000n,
        splitPos: 0,
      },
    },
  ],
});

/** A driver that uses the device: queue pair 0 enabled, an address, VLANs, a pending interrupt, tails. */
async function bringUp(guest: Guest): Promise<void> {
  const { driver } = guest;
  await guest.bindVectors(3);
  await driver.initQueues();
  await driver.hello(VF_CAP.L2 | VF_CAP.VLAN | VF_CAP.RSS_PF);
  await driver.ask(OP.ADD_ETH_ADDR, macs([9, 1], [10, 2]));
  await driver.ask(OP.CONFIG_VSI_QUEUES, queueConfig);
  const map = { vsiId: 1, vectorId: 1, rxqMap: 1, txqMap: 1, rxitrIdx: 0, txitrIdx: 1 };
  await driver.ask(OP.CONFIG_IRQ_MAP, encode(irqMapCodec, { vectors: [map] }));
  await driver.ask(OP.ENABLE_QUEUES, encode(queueSelectCodec, { vsiId: 1, rxQueues: 1, txQueues: 1 }));
  await driver.write("QRX_TAIL1", 95);
  await driver.write("QTX_TAIL1", 17);
  await driver.read("VFGEN_RSTAT"); // posted writes are taken by now
}

/** The state of a device whose driver runs, and the driver's memory and place in the admin queues. */
async function saved(rig: Rig): Promise<{ bytes: Uint8Array; guest: Guest }> {
  const guest = await Guest.connect(rig.path);
  await bringUp(guest);
  await rig.device.migration.setState("stop");
  rig.device.positions.set(0, 33);
  rig.device.positions.set(1, 5);
  rig.device.interrupts.vectors[1]!.setArmed(true);
  rig.device.interrupts.vectors[1]!.raise();
  await rig.device.migration.setState("stopCopy");
  const parts: Uint8Array[] = [];
  for (let part = rig.device.migration.save(100); part.length > 0; part = rig.device.migration.save(100))
    parts.push(part);
  return { bytes: Buffer.concat(parts), guest };
}

test("another device takes the state, and the driver goes on with it", async () => {
  const events = await FakeBackend.attach(a.dev.id);
  const { bytes, guest: before } = await saved(a);
  expect(events.take().filter((event) => event.startsWith("QUEUE"))).toEqual([
    "QUEUE_ENABLE 0",
    "QUEUE_ENABLE 1",
    "QUEUE_DISABLE 0",
    "QUEUE_DISABLE 1",
  ]);
  expect(before.interrupts(1)).toBe(0); // it stands still
  const backend = await FakeBackend.attach(b.dev.id);
  const after = await Guest.connect(b.path);
  await after.bindVectors(3);
  after.memory.set(before.memory);
  Object.assign(after.driver, { ntu: before.driver.ntu, ntc: before.driver.ntc });

  const { migration } = b.device;
  await migration.setState("stop");
  await migration.setState("resuming");
  for (let at = 0; at < bytes.length; at += 64) migration.load(bytes.slice(at, at + 64));
  await migration.setState("stop");
  expect(backend.take().filter((event) => event.startsWith("QUEUE"))).toEqual([]);
  expect(takeState(b.device)).toEqual(takeState(a.device));
  await migration.setState("running");
  expect(backend.take().filter((event) => event.startsWith("QUEUE"))).toEqual(["QUEUE_ENABLE 0", "QUEUE_ENABLE 1"]);
  expect(after.interrupts(1)).toBe(1); // what was pending fires there
  expect(emuGetQueueInfo(b.dev.id, 0)).toMatchObject({ base: 0x1_0009_8000n, size: 96, irqVector: 1 });
  expect(b.device.positions.get(0)).toBe(33);
  expect(await after.driver.read("QTX_TAIL1")).toBe(17);
  expect((await after.driver.request(OP.GET_STATS, u32(0))).status).toBe(0); // the admin queues go on, too
  const twice = await after.driver.request(
    OP.DISABLE_QUEUES,
    encode(queueSelectCodec, { vsiId: 1, rxQueues: 1, txQueues: 1 }),
  );
  expect(twice.status).toBe(0);
  before.close();
  after.close();
  await events.detach();
  await backend.detach();
});

test("stopped and started again, nothing has changed", async () => {
  const { guest } = await saved(a);
  const state = takeState(a.device);
  await a.device.migration.setState("stop");
  await guest.driver.send(OP.GET_STATS, u32(0)); // waits until the device runs
  await a.device.migration.setState("running");
  expect((await guest.driver.answer()).status).toBe(0);
  expect({ ...takeState(a.device), atq: 0, arq: 0, vectors: 0 }).toEqual({ ...state, atq: 0, arq: 0, vectors: 0 });
  expect(guest.interrupts(1)).toBe(1);
  guest.close();
});

test("a stream that is torn or damaged is refused", async () => {
  const { bytes, guest } = await saved(a);
  expect(decodeState(bytes)).toHaveProperty("state");
  for (let length = 0; length < bytes.length; length += 13)
    expect(decodeState(bytes.subarray(0, length))).toHaveProperty("wrong");
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
      const bad = Uint8Array.from(bytes);
      bad[at]! ^= bits;
      expect(decodeState(bad)).toHaveProperty("wrong");
    }),
    { seed: SEED, numRuns: 200 },
  );
  guest.close();
});

test("a state that is whole and makes no sense is refused, or does no harm", async () => {
  const { bytes, guest } = await saved(a);
  guest.close();
  const good = decodeState(bytes) as { state: AvfState };
  const json = JSON.parse(JSON.stringify(good.state));
  const paths = leaves(json);
  const value = fc.oneof(
    fc.integer({ min: -5, max: 5 }),
    fc.constantFrom<unknown>(
      null,
      true,
      "",
      "00",
      "0x1",
      "-0x1",
      1e9,
      0xffffffff,
      2 ** 53,
      1.5,
      [],
      {},
      [[1, 2]],
      "zz",
    ),
    fc.string({ maxLength: 8 }),
    fc.jsonValue({ maxDepth: 2 }),
  );
  const after = await Guest.connect(b.path);
  const { migration } = b.device;
  await migration.setState("stop");
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(...paths), value), { minLength: 1, maxLength: 3 }),
      async (edits) => {
        const state = structuredClone(json);
        for (const [path, to] of edits) put(state, path, to);
        const why = invalidState(state);
        const encoded = encodeState(state as AvfState);
        await migration.setState("resuming");
        migration.load(encoded);
        const refused = await migration.setState("stop").then(
          () => null,
          (error: Error) => error,
        );
        if (why !== null) expect(refused?.message).toContain(why);
        if (refused !== null) {
          await b.device.reset("reset"); // as the client would
          await migration.setState("stop");
          return;
        }
        taken++;
        await migration.setState("running"); // with whatever it has been told
        await migration.setState("stop");
      },
    ),
    { seed: SEED, numRuns: 150 },
  );
  expect(taken).toBeGreaterThan(0);
  await b.device.reset("reset");
  await bringUp(after); // a driver finds the device as new
  expect(decode(vsiQueueConfigCodec, queueConfig)).not.toBeNull();
  after.close();
});

/** Where values stand in a tree. */
function leaves(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [path];
  const items = Array.isArray(value) ? value.map((item, i) => [i, item] as const) : Object.entries(value);
  return [...(path.length > 0 ? [path] : []), ...items.flatMap(([name, item]) => leaves(item, [...path, name]))];
}

function put(tree: unknown, path: readonly (string | number)[], value: unknown): void {
  let at = tree as Record<string | number, unknown>;
  for (const name of path.slice(0, -1)) {
    const next = at[name];
    if (typeof next !== "object" || next === null) return;
    at = next as Record<string | number, unknown>;
  }
  at[path.at(-1)!] = value;
}
