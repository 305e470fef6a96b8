// The original library's server functions: what each does, what each refuses, and the order of the notifications.

import { closeFd, eventfd, fdCount, mapAnywhere, mappingCount, memfdCreate, pread } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type api,
  getIrq,
  getMemTable,
  getSockAddr,
  register,
  setDevInfo,
  setIrqInfo,
  setRegInfo,
  setResource,
  start,
  stop,
  unregister,
  VfioUserClient,
} from "../src/index.ts";
import { gate, LogBook, newPath, until } from "./support.ts";

let fdsBefore = 0;
let mappingsBefore = 0;
let path: string;
let calls: string[];
let log: LogBook;

const OPS: api.NotifyOps = {
  newDevice: (id) => void calls.push(`new ${id}`),
  destroyDevice: (id) => void calls.push(`destroy ${id} with ${getMemTable(id).entryNum} regions`),
  updateStatus: (id) => void calls.push(`update ${id}`),
  lockDp: (id, lock) => void calls.push(`${lock ? "lock" : "unlock"} ${id}`),
  resetDevice: (id) => void calls.push(`reset ${id}`),
};

function describeDevice(sockAddr: string, vectors = 2): void {
  setDevInfo(sockAddr, { flags: 3, numRegions: 9, numIrqs: 5 });
  setRegInfo(sockAddr, [
    { index: 0, size: 0x1000, flags: 3 },
    {
      index: 7,
      size: 256,
      flags: 3,
      rw: (reg, buf, count, pos, isWrite) => {
        calls.push(`${isWrite ? "write" : "read"} ${reg.index}+${pos}:${count}`);
        if (!isWrite) buf.fill(0x5a);
      },
    },
  ]);
  setIrqInfo(sockAddr, [{ index: 2, flags: 1, count: vectors }]);
}

beforeEach(() => {
  fdsBefore = fdCount();
  mappingsBefore = mappingCount();
  path = newPath();
  calls = [];
  log = new LogBook();
});
afterEach(() => {
  expect(fdCount()).toBe(fdsBefore);
  expect(Math.abs(mappingCount() - mappingsBefore)).toBeLessThan(64);
});

describe("states", () => {
  const state = expect.objectContaining({ code: "VFU_STATE" });

  test("an address is registered once; ids are the lowest free ones", async () => {
    const other = newPath();
    expect([register(path, OPS), register(other, OPS)]).toEqual([0, 1]);
    expect(() => register(path, OPS)).toThrow(state);
    expect([getSockAddr(0), getSockAddr(1)]).toEqual([path, other]);
    await unregister(path);
    expect(() => getSockAddr(0)).toThrow(state);
    expect(register(path, OPS)).toBe(0);
    for (const sockAddr of [path, other]) await unregister(sockAddr);
  });

  test("unknown addresses and ids are refused by every function", async () => {
    expect(() => start(path)).toThrow(state);
    await expect(stop(path)).rejects.toThrow(state);
    await expect(unregister(path)).rejects.toThrow(state);
    expect(() => setDevInfo(path, { flags: 0, numRegions: 0, numIrqs: 0 })).toThrow(state);
    expect(() => setRegInfo(path, [])).toThrow(state);
    expect(() => setIrqInfo(path, [])).toThrow(state);
    expect(() => setResource(path, [])).toThrow(state);
    for (const get of [getSockAddr, getMemTable, getIrq]) expect(() => get(3)).toThrow(state);
  });

  test("information comes before start and is not changed after it", async () => {
    register(path, OPS);
    expect(() => start(path)).toThrow(/setDevInfo/);
    expect(() => getMemTable(0)).toThrow(state);
    await expect(stop(path)).rejects.toThrow(state);
    describeDevice(path);
    start(path);
    expect(() => start(path)).toThrow(state);
    expect(() => setRegInfo(path, [])).toThrow(state);
    expect(() => setResource(path, [])).toThrow(state);
    expect(getMemTable(0)).toEqual({ entryNum: 0, entry: [] });
    expect(getIrq(0)).toEqual([{ index: 2, fds: [-1, -1] }]);
    await stop(path);
    setRegInfo(path, []);
    await unregister(path);
  });

  test("a resource must have memory, or an fd to map", async () => {
    register(path, OPS);
    expect(() => setResource(path, [{ index: 0, base: null, size: 10, fd: -1 }])).toThrow(state);
    expect(() => setResource(path, [{ index: 0, base: new Uint8Array(9), size: 10, fd: -1 }])).toThrow(state);
    await unregister(path);
  });
});

describe("with a client", () => {
  let client: VfioUserClient;

  const connect = async (vectors = 2): Promise<void> => {
    register(path, OPS, log);
    describeDevice(path, vectors);
    setResource(path, [{ index: 0, base: new Uint8Array(0x1000), size: 0x1000, fd: -1 }]);
    start(path);
    client = await VfioUserClient.connect(path);
  };

  afterEach(async () => {
    client.close();
    await unregister(path);
    expect(log.errors).toEqual([]);
  });

  test("new when memory and interrupts are there, update with the data path locked, destroy first of all", async () => {
    await connect();
    const memory = memfdCreate("guest", 0x10000);
    const fds = [eventfd(), eventfd()];
    await client.dmaMap({ iova: 0n, size: 0x1000n, prot: 3, fd: memory });
    expect(calls).toEqual([]);
    await client.setIrqs(2, 0, [fds[0] as number]);
    expect(calls.splice(0)).toEqual(["new 0"]);
    await client.dmaMap({ iova: 0x1000n, size: 0x1000n, prot: 3, fd: memory, fileOffset: 0x1000n });
    await client.setIrqs(2, 1, [fds[1] as number]);
    await client.dmaUnmap(0n, 0x1000n);
    expect(calls.splice(0)).toEqual(Array.from({ length: 3 }, () => ["lock 0", "unlock 0", "update 0"]).flat());
    await client.reset();
    expect(calls.splice(0)).toEqual(["reset 0"]);
    client.close();
    await until(() => calls.length > 0);
    await stop(path);
    expect(calls).toEqual(["destroy 0 with 1 regions"]);
    for (const fd of [memory, ...fds]) closeFd(fd);
  });

  test("without vectors a device is new as soon as there is memory", async () => {
    await connect(0);
    await client.dmaMap({ iova: 0n, size: 0x1000n, prot: 3 });
    expect(calls).toEqual(["new 0"]);
  });

  test("the reply waits for lockDp", async () => {
    await connect(0);
    await client.dmaMap({ iova: 0n, size: 0x1000n, prot: 3 });
    const { promise, open } = gate();
    const lockDp = OPS.lockDp;
    OPS.lockDp = () => promise;
    let unmapped = false;
    const unmapping = client.dmaUnmap(0n, 0x1000n).then(() => {
      unmapped = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([unmapped, getMemTable(0).entryNum]).toEqual([false, 1]);
    open();
    await unmapping;
    OPS.lockDp = lockDp;
    expect(getMemTable(0).entryNum).toBe(0);
  });

  test("the memory table shows the client's memory, at the address and offset that were meant", async () => {
    await connect();
    const fd = memfdCreate("guest", 0x10000);
    const guest = mapAnywhere(0x10000, 3, fd, 0);
    new Uint8Array(guest.buffer)[0x2345] = 99;
    await client.dmaMap({ iova: 0x8000_0000n, size: 0x2000n, prot: 3, fd, fileOffset: 0x2300n });
    await client.dmaMap({ iova: 0n, size: 0x1000n, prot: 1 });
    const { entryNum, entry } = getMemTable(0);
    expect(entryNum).toBe(2);
    expect(entry[0]).toMatchObject({
      region: { gpa: 0x8000_0000n, size: 0x2000n, fdOffset: 0x2300n, protection: 3, flags: 1 },
    });
    expect([entry[0]?.bytes?.length, entry[0]?.bytes?.[0x45], (entry[0]?.hostUserAddr ?? 0) & 0xfff]).toEqual([
      0x2000, 99, 0x300,
    ]);
    expect(entry[1]).toMatchObject({ region: { protection: 1, flags: 0 }, hostUserAddr: 0, bytes: null, fd: -1 });
    await client.dmaMap({ iova: 0x1_0000_0000n, size: 0x1000n, prot: 3, fd, fileOffset: 0x2000n, mode: "file" });
    const [, , file] = getMemTable(0).entry;
    expect(file).toMatchObject({ region: { fdOffset: 0x2000n, flags: 0 }, hostUserAddr: 0, bytes: null });
    const through = new Uint8Array(1);
    expect([pread(file?.fd ?? -1, through, 0x2345), through[0]]).toEqual([1, 99]);
    await client.dmaUnmapAll();
    expect(getMemTable(0).entryNum).toBe(0);
    guest.unmap();
    closeFd(fd);
  });

  test("regions: rw callbacks, and resources as plain memory", async () => {
    await connect();
    expect([...(await client.regionRead(7, 4, 2))]).toEqual([0x5a, 0x5a]);
    await client.regionWrite(7, 5, new Uint8Array(1));
    expect(calls).toEqual(["read 7+4:2", "write 7+5:1"]);
    await client.regionWrite(0, 0xffe, Uint8Array.of(1, 2));
    expect([...(await client.regionRead(0, 0xffd, 3))]).toEqual([0, 1, 2]);
    await expect(client.regionRead(0, 0x1000, 1)).rejects.toMatchObject({ errno: 22 });
  });

  test("a resource with an fd is mapped by the client; without base it is mapped here, too", async () => {
    const fd = memfdCreate("bar0", 0x1000);
    register(path, OPS);
    describeDevice(path);
    setResource(path, [{ index: 0, base: null, size: 0x1000, fd }]);
    start(path);
    client = await VfioUserClient.connect(path);
    const info = await client.getRegionInfo(0);
    expect(info).toMatchObject({ flags: 15, areas: [{ offset: 0, size: 0x1000 }] });
    const theirs = mapAnywhere(0x1000, 3, info.fd, 0);
    new Uint8Array(theirs.buffer)[8] = 7;
    expect((await client.regionRead(0, 8, 1))[0]).toBe(7);
    theirs.unmap();
    for (const lent of [fd, info.fd]) closeFd(lent);
  });

  test("an application's exception in a notification is logged, the client's command goes on", async () => {
    await connect(0);
    const newDevice = OPS.newDevice;
    OPS.newDevice = () => {
      throw new Error("a bug of the application");
    };
    await client.dmaMap({ iova: 0n, size: 0x1000n, prot: 3 });
    OPS.newDevice = newDevice;
    expect(log.errors.splice(0).length).toBe(1);
    log.lines = [];
  });
});

test("64 sockets in one process, each with a client of its own", async () => {
  const paths = Array.from({ length: 64 }, newPath);
  for (const sockAddr of paths) {
    register(sockAddr, OPS);
    describeDevice(sockAddr, 0);
    start(sockAddr);
  }
  const clients = await Promise.all(paths.map((sockAddr) => VfioUserClient.connect(sockAddr)));
  await Promise.all(clients.map((client) => client.dmaMap({ iova: 0n, size: 0x1000n, prot: 3 })));
  expect(calls.sort()).toEqual(paths.map((_, id) => `new ${id}`).sort());
  for (const client of clients) client.close();
  await Promise.all(paths.map(unregister));
});
