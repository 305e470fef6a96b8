// A client that means harm, against the whole device over its socket: any access to any register, message and memory, with
// lcores' memory next to it. The device counts, answers, and works for the next driver.
import {
  AQ_LEN_ENABLE,
  BAR0_BYTES,
  encode,
  VIRTCHNL_OP as OP,
  type QueuePairInfo,
  queueSelectCodec,
  REGISTERS,
  vsiQueueConfigCodec,
} from "@emudev/avf";
import { emuGetAttr, emuGetMemTable, emuGetQueueInfo } from "@emudev/emudev";
import { PROT } from "@emudev/linux";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { endEal, FakeBackend, Guest, makeRig, RAM_BASE, type Rig } from "./support/device-rig.ts";
import { until } from "./support/guest-driver.ts";

let rig: Rig;
let backend: FakeBackend;

beforeAll(async () => {
  rig = await makeRig();
  backend = await FakeBackend.attach(rig.dev.id);
});
afterAll(async () => {
  await backend.detach();
  await rig.end();
  await endEal();
});

/** The next client brings the device up as if nothing had been. */
async function worksForTheNext(): Promise<void> {
  await until(() => emuGetAttr(rig.dev.id, "client") === null, "the client is not gone");
  const guest = await Guest.connect(rig.path);
  await guest.driver.initQueues();
  expect((await guest.driver.hello(0x900e1)).numQueuePairs).toBe(4);
  guest.close();
  await until(() => emuGetAttr(rig.dev.id, "client") === null, "the client is not gone");
}

const word = fc.oneof(
  fc.constantFrom(
    0,
    1,
    0x1f,
    0x20,
    0xffff_ffff,
    0x8000_03ff,
    (AQ_LEN_ENABLE | 32) >>> 0,
    Number(RAM_BASE & 0xffff_f000n),
  ),
  fc.integer({ min: 0, max: 0xffff_ffff }),
);
const register = fc
  .constantFrom(...REGISTERS)
  .chain((reg) => fc.integer({ min: 0, max: reg.count - 1 }).map((index) => reg.offset + index * reg.stride));
const offset = fc.oneof(register, fc.integer({ min: 0, max: BAR0_BYTES - 8 }));
const access = fc.record({ read: fc.boolean(), offset, value: word, bytes: fc.constantFrom(1, 2, 3, 4, 8) });

test("any access to any register, of any size", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(access, { minLength: 20, maxLength: 60 }),
      fc.uint8Array({ maxLength: 512 }),
      async (accesses, dirt) => {
        const guest = await Guest.connect(rig.path);
        guest.memory.set(dirt, 0x1000);
        const data = new DataView(new ArrayBuffer(8));
        for (const { read, offset: at, value, bytes } of accesses) {
          data.setUint32(0, value, true);
          data.setUint32(4, value, true);
          if (read) expect(await guest.client.regionRead(0, at, bytes)).toHaveLength(bytes);
          else await guest.client.regionWrite(0, at, new Uint8Array(data.buffer, 0, bytes));
        }
        expect((await guest.driver.read("VFGEN_RSTAT")) & ~2).toBe(0);
        guest.close();
        await until(() => emuGetAttr(rig.dev.id, "client") === null, "the client is not gone");
      },
    ),
    { numRuns: 25 },
  );
  await worksForTheNext();
});

test("BAR3 and configuration space, any byte", async () => {
  const guest = await Guest.connect(rig.path);
  for (let at = 0; at < 0x4000; at += 0x3f8) await guest.client.regionWrite(3, at, new Uint8Array(8).fill(0xff));
  expect(await guest.client.regionRead(3, 0, 0x4000)).toHaveLength(0x4000);
  // Everything but the FLR bit, byte by byte. Headers of capabilities and what is constant in power management are refused.
  const refused: number[] = [];
  for (let at = 0; at < 256; at++) {
    const data = Uint8Array.of(at === 0xa9 ? 0x7f : 0xff);
    await guest.client.regionWrite(7, at, data).catch(() => refused.push(at));
  }
  expect(refused).toEqual([0x40, 0x41, 0x42, 0x43, 0x46, 0x47, 0x70, 0x71, 0xa0, 0xa1]);
  const head = await guest.client.regionRead(7, 0, 4);
  expect([...head]).toEqual([0x86, 0x80, 0x89, 0x18]);
  guest.close();
  await worksForTheNext();
});

test("queues in memory that goes away: the guest unmaps what it has just lent", async () => {
  const guest = await Guest.connect(rig.path);
  await guest.driver.initQueues();
  await guest.driver.hello(0x900e1);
  const size = 0x100000n;
  // The admin queues themselves lie there.
  await guest.client.dmaUnmap(RAM_BASE, size);
  expect(emuGetMemTable(rig.dev.id).regions()).toHaveLength(0);
  const faults = rig.device.counters.aqFaults;
  await guest.driver.send(OP.GET_STATS);
  await until(() => rig.device.counters.aqFaults === faults + 1, "no fault");
  await guest.client.dmaMap({ iova: RAM_BASE, size, prot: PROT.READ });
  await guest.driver.initQueues();
  await guest.driver.send(OP.GET_STATS).catch(() => {});
  await until(() => rig.device.counters.aqFaults === faults + 2, "a read-only ring is written");
  guest.close();
  await worksForTheNext();
});

test("a thousand requests without taking an answer: bounded, counted, and nothing else suffers", async () => {
  const guest = await Guest.connect(rig.path);
  await guest.driver.initQueues();
  await guest.driver.hello(0x900e1);
  const { arqDropped } = rig.device.counters;
  for (let i = 0; i < 40; i++) {
    for (let n = 0; n < 25; n++)
      await guest.driver.send(OP.GET_STATS, encode(queueSelectCodec, { vsiId: 1, rxQueues: 1, txQueues: 0 }));
    await until(async () => (await guest.driver.read("VF_ATQH1")) === guest.driver.ntu, "ATQH stands still");
  }
  await until(() => rig.device.counters.arqDropped > arqDropped + 800, "answers pile up");
  await guest.client.reset();
  await guest.driver.initQueues();
  await guest.driver.hello(0x900e1);
  guest.close();
  await worksForTheNext();
});

test("rings outside guest memory reach the backend, which refuses them; the device takes them back", async () => {
  const guest = await Guest.connect(rig.path);
  await guest.driver.initQueues();
  await guest.driver.hello(0x900e1);
  const ringAddr = 0xffff_ffff_ffff_ff80n;
  const pair: QueuePairInfo = {
    tx: { vsiId: 1, queueId: 0, ringLen: 8160, headwbEnabled: 0, ringAddr, headwbAddr: 0n },
    rx: {
      ...{ vsiId: 1, queueId: 0, ringLen: 8160, hdrSize: 0, splithdrEnabled: 0, dataBufferSize: 16256 },
      ...{ maxPktSize: 9728, crcDisable: 1, rxdid: 1, flags: 0xff, ringAddr, splitPos: -1 },
    },
  };
  await guest.driver.ask(OP.CONFIG_VSI_QUEUES, encode(vsiQueueConfigCodec, { vsiId: 1, pairs: [pair] }));
  await guest.driver.ask(OP.ENABLE_QUEUES, encode(queueSelectCodec, { vsiId: 1, rxQueues: 1, txQueues: 1 }));
  const info = emuGetQueueInfo(rig.dev.id, 0)!;
  expect(info.base).toBe(ringAddr);
  expect(emuGetMemTable(rig.dev.id).translate(info.base, info.size * 32, 1)).toBe(0);
  guest.close();
  await worksForTheNext();
  expect(emuGetQueueInfo(rig.dev.id, 0)).toBeNull();
});
