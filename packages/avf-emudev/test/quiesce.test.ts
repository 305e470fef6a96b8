// Quiescence of a vfio-user device by the lcores' QSBR: DMA_UNMAP, DEVICE_RESET and a change of state are answered when
// a real thread that may hold the memory has let go of it, not before; meanwhile other sockets are served, and the
// client may vanish. libvfio-user has the same as "quiesce" (packages/vfio-user/CONFORMANCE.md).
import { Worker } from "node:worker_threads";
import { closeFd } from "@emudev/linux";
import { Arena, Qsbr } from "@emudev/shm";
import {
  type DeviceState,
  MIGRATION_FLAG,
  VfioUserClient,
  type VfioUserDevice,
  VfioUserServer,
} from "@emudev/vfio-user";
import { afterEach, beforeEach, expect, test } from "vitest";

const FREED = 0x0dead0;
const LIVE = 0x11fe;

const arena = Arena.create({ ownBytes: 16 * 2 ** 20 });
const qsbr = Qsbr.create(arena, "quiesce");
const words = arena.memzoneReserve("QUIESCE", 4096, 64);
const PUBLISHED = words.off >>> 2;
const BURST = PUBLISHED + 1;
const HOLDING = PUBLISHED + 2;
const STOP = PUBLISHED + 3;
const MEMORY = words.off + 64;

let reader: Worker;
let server: VfioUserServer;
let calls: string[];
let sockets = 0;

/** Unpublish, wait, free: what every device with lcores does. */
async function letGo(): Promise<void> {
  Atomics.store(arena.i32, PUBLISHED, 0);
  await qsbr.synchronize();
  Atomics.store(arena.i32, MEMORY >>> 2, FREED);
}

const publish = (): void => {
  Atomics.store(arena.i32, MEMORY >>> 2, LIVE);
  Atomics.store(arena.i32, PUBLISHED, MEMORY);
};

function device(): VfioUserDevice {
  return {
    info: { resettable: true },
    regions: [{ index: 0, size: 4096, flags: 3 }],
    irqs: [],
    regionRead: () => {},
    regionWrite: () => {},
    dmaMap({ fd }) {
      if (fd >= 0) closeFd(fd);
      publish();
    },
    async dmaUnmap() {
      calls.push("unmap");
      await letGo();
      calls.push("unmapped");
    },
    async reset(reason) {
      calls.push(`reset ${reason}`);
      await letGo();
      calls.push("has reset");
    },
    migration: {
      flags: MIGRATION_FLAG.STOP_COPY,
      async setState(state: DeviceState) {
        calls.push(state);
        if (state === "stop") await letGo();
        calls.push(`is ${state}`);
      },
      save: () => new Uint8Array(0),
      load: () => {},
    },
  };
}

beforeEach(async () => {
  for (const word of [PUBLISHED, BURST, HOLDING, STOP]) Atomics.store(arena.i32, word, 0);
  calls = [];
  server = new VfioUserServer(`/tmp/quiesce-${process.pid}-${sockets++}.sock`, device());
  server.start();
  reader = new Worker(new URL("fixtures/quiesce-thread.mjs", import.meta.url), {
    workerData: {
      handle: arena.handle,
      qsbrOff: qsbr.off,
      thread: 1,
      published: PUBLISHED,
      burst: BURST,
      holding: HOLDING,
      stop: STOP,
      freed: FREED,
    },
  });
  await new Promise((resolve) => reader.once("message", resolve));
});

afterEach(async () => {
  Atomics.store(arena.i32, BURST, 0);
  await server.stop();
  const result = new Promise<{ reads: number; dead: number }>((resolve) => reader.once("message", resolve));
  Atomics.store(arena.i32, STOP, 1);
  const { reads, dead } = await result;
  await reader.terminate();
  expect(reads).toBeGreaterThan(0);
  expect(dead, "reads of memory that was freed").toBe(0);
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** The reader is in one long burst over mapped memory from here on. */
async function connectAndMap(): Promise<VfioUserClient> {
  const client = await VfioUserClient.connect(server.sockAddr);
  await client.dmaMap({ iova: 0n, size: 4096n, prot: 3 });
  // First it has seen the map, then it says so again: that is from within the long burst, for it looks at BURST next.
  await until(() => Atomics.load(arena.i32, HOLDING) === MEMORY);
  Atomics.store(arena.i32, BURST, 1);
  Atomics.store(arena.i32, HOLDING, 0);
  await until(() => Atomics.load(arena.i32, HOLDING) === MEMORY);
  return client;
}

test.each<[string, string, (client: VfioUserClient) => Promise<void>, string]>([
  ["DMA_UNMAP", "unmap", (client) => client.dmaUnmap(0n, 4096n), "unmapped"],
  ["DEVICE_RESET", "reset reset", (client) => client.reset(), "has reset"],
  ["a change of state", "stop", (client) => client.setDeviceState("stop"), "is stop"],
])("%s is answered when the reader has let go", async (_name, entered, command, done) => {
  const client = await connectAndMap();
  let answered = false;
  const answer = command(client).then(() => {
    answered = true;
  });
  await until(() => calls.includes(entered));
  // Other sockets are served: this one is told that the device is taken.
  await expect(VfioUserClient.connect(server.sockAddr)).rejects.toMatchObject({ errno: 16 });
  expect(answered).toBe(false);
  expect(calls).not.toContain(done);
  Atomics.store(arena.i32, BURST, 0);
  await answer;
  expect(calls).toContain(done);
  client.close();
});

test("a client that vanishes while it waits: the unmap comes to its end before the device is reset", async () => {
  const client = await connectAndMap();
  client.dmaUnmap(0n, 4096n).catch(() => {});
  await until(() => calls.includes("unmap"));
  client.close();
  await until(() => server.client === null);
  expect(calls).toEqual(["unmap"]);
  Atomics.store(arena.i32, BURST, 0);
  await until(() => calls.includes("has reset"));
  expect(calls).toEqual(["unmap", "unmapped", "reset disconnect", "has reset"]);
});
