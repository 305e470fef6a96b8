// The client against our server, and against servers that it must survive: every command, pipelining, splitting, DMA
// served, replies out of order, late, wrong or missing, and a server that dies.

import { closeFd, eventfd, eventfdRead, fdCount, mapAnywhere, memfdCreate, socketPair } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { irqRuns } from "../src/client/irq-runs.ts";
import { refusal, VfioUserClient, VfioUserServer } from "../src/index.ts";
import {
  concat,
  fields,
  LogBook,
  ManualClock,
  message,
  newPath,
  RawPeer,
  TestDevice,
  until,
  versionBody,
} from "./support.ts";

let fdsBefore = 0;
beforeEach(() => {
  fdsBefore = fdCount();
});
afterEach(() => {
  expect(fdCount()).toBe(fdsBefore);
});

describe("with our server", () => {
  let device: TestDevice;
  let server: VfioUserServer;
  let client: VfioUserClient;
  const memory = new Uint8Array(1 << 16);

  beforeEach(async () => {
    device = new TestDevice();
    server = new VfioUserServer(newPath(), device);
    server.start();
    client = await VfioUserClient.connect(server.sockAddr, {
      maxDataXferSize: 4096,
      onDmaRead: (iova, bytes) => {
        if (iova >= 0x10000n) throw refusal(14, "nothing there");
        return memory.slice(Number(iova), Number(iova) + bytes);
      },
      onDmaWrite: async (iova, data) => {
        await new Promise(setImmediate);
        memory.set(data, Number(iova));
      },
    });
  });
  afterEach(async () => {
    client.close();
    await server.stop();
  });

  test("information", async () => {
    expect(await client.getInfo()).toEqual({ flags: 3, numRegions: 9, numIrqs: 5 });
    expect(await client.getRegionInfo(0)).toEqual({ flags: 3, size: 0x10000, offset: 0, areas: [], fd: -1 });
    expect(await client.getIrqInfo(2)).toEqual({ flags: 1, count: 5 });
    expect(client.capabilities).toMatchObject({ maxMsgFds: 16, maxDmaMaps: 4096, maxDataXferSize: 4096 });
    await expect(client.getRegionInfo(9)).rejects.toMatchObject({ code: "VFU_REFUSED", errno: 22 });
  });

  test("region accesses, posted ones in order with the rest", async () => {
    await client.regionWrite(0, 100, Uint8Array.of(1, 2, 3), { posted: true });
    await client.regionWrite(0, 101, Uint8Array.of(9));
    expect([...(await client.regionRead(0, 100, 3))]).toEqual([1, 9, 3]);
    expect((await client.regionRead(0, 0, 0)).length).toBe(0);
    await expect(client.regionRead(0, 0x10000, 1)).rejects.toMatchObject({ errno: 22 });
  });

  test("posting faster than the server reads waits for it", async () => {
    const data = new Uint8Array(4000);
    for (let i = 0; i < 10_000; i++) await client.regionWrite(0, 0, data.fill(i), { posted: true });
    expect((await client.regionRead(0, 0, 1))[0]).toBe(9999 & 255);
  });

  test("more than one message takes is read and written in parts", async () => {
    (client.capabilities as { maxDataXferSize: number }).maxDataXferSize = 1000;
    const data = Uint8Array.from({ length: 2500 }, (_, i) => i);
    device.take();
    await client.regionWrite(0, 0, data);
    expect(await client.regionRead(0, 0, 2500)).toEqual(data);
    expect(device.take().length).toBe(6);
  });

  test("1000 commands at once, each answered with its own reply", async () => {
    device.bar0.set(Array.from({ length: 1000 }, (_, i) => i));
    device.hold.regionRead = (_index: number, offset: number) => (offset % 3 === 0 ? Promise.resolve() : undefined);
    const reads = Array.from({ length: 1000 }, (_, i) => client.regionRead(0, i, 1));
    expect((await Promise.all(reads)).map((data) => data[0])).toEqual(Array.from({ length: 1000 }, (_, i) => i & 255));
  });

  test("memory with an fd, without one, and away again", async () => {
    const fd = memfdCreate("guest", 0x4000);
    await client.dmaMap({ iova: 0n, size: 0x4000n, prot: 3, fd });
    await client.dmaMap({ iova: 0x10000n, size: 0x1000n, prot: 1 });
    await expect(client.dmaMap({ iova: 0x3000n, size: 0x4000n, prot: 3 })).rejects.toMatchObject({ errno: 17 });
    await client.dmaUnmap(0n, 0x4000n);
    await expect(client.dmaUnmap(0n, 0x4000n)).rejects.toMatchObject({ errno: 2 });
    await client.dmaUnmapAll();
    closeFd(fd);
  });

  test("interrupts: bound, unbound in between, triggered, masked, disabled", async () => {
    const fds = [eventfd(), -1, -1, eventfd(), eventfd()];
    device.take();
    await client.setIrqs(2, 0, fds);
    expect(device.take()).toEqual(["irqs 2+0:fd", "irqs 2+1:-,-", "irqs 2+3:fd,fd"]);
    await client.triggerIrqs(2, 3, 2);
    expect([fds[0], fds[3], fds[4]].map((fd) => eventfdRead(fd as number))).toEqual([0, 1, 1]);
    await client.maskIrqs(2, 0, 5, true);
    await client.maskIrqs(2, 1, 1, false);
    await client.disableIrqs(2);
    expect(device.take()).toEqual(["mask 2+0:5", "unmask 2+1:1", "irqs 2+0:-,-,-,-,-"]);
    for (const fd of fds) if (fd >= 0) closeFd(fd);
  });

  test("the server's DMA is served by the handlers, split and refused", async () => {
    const data = Uint8Array.from({ length: 10_000 }, (_, i) => i * 3);
    await server.dmaWrite(0x100n, data);
    expect(await server.dmaRead(0x100n, 10_000)).toEqual(data);
    await expect(server.dmaRead(0x10000n, 4)).rejects.toMatchObject({ code: "VFU_REFUSED", errno: 14 });
  });

  test("DMA without a handler is ENOSYS", async () => {
    client.close();
    await until(() => server.client === null);
    client = await VfioUserClient.connect(server.sockAddr);
    await expect(server.dmaRead(0n, 4)).rejects.toMatchObject({ errno: 38 });
    await expect(server.dmaWrite(0n, new Uint8Array(4))).rejects.toMatchObject({ errno: 38 });
  });

  test("a mapped region: the fd is the caller's, and memory is shared", async () => {
    const bar = memfdCreate("bar", 0x10000);
    const areas = Array.from({ length: 100 }, (_, i) => ({ offset: i * 4096, size: 4096 }));
    device.regions = [
      { index: 0, size: 1 << 20, flags: 3, mmap: () => ({ fd: bar, areas: [{ offset: 0x2000, size: 0x1000 }] }) },
      { index: 2, size: 1 << 20, flags: 3, mmap: () => ({ fd: bar, offset: 0x1000, areas }) },
    ];
    client.close();
    await until(() => server.client === null);
    client = await VfioUserClient.connect(server.sockAddr);
    const info = await client.getRegionInfo(0);
    expect(info).toMatchObject({ flags: 15, offset: 0, areas: [{ offset: 0x2000, size: 0x1000 }] });
    // More areas than the first question has room for.
    const large = await client.getRegionInfo(2);
    expect(large).toMatchObject({ flags: 15, offset: 0x1000, areas });
    const [ours, theirs] = [mapAnywhere(0x10000, 3, bar, 0), mapAnywhere(0x1000, 3, info.fd, 0x2000)];
    new Uint8Array(ours.buffer)[0x2010] = 77;
    expect(new Uint8Array(theirs.buffer)[0x10]).toBe(77);
    for (const mapping of [ours, theirs]) mapping.unmap();
    for (const fd of [bar, info.fd, large.fd]) closeFd(fd);
  });

  test("a second client is refused with EBUSY", async () => {
    await expect(VfioUserClient.connect(server.sockAddr)).rejects.toMatchObject({ code: "VFU_REFUSED", errno: 16 });
  });

  test("closing rejects what waits, tells onClose once, and later calls fail at once", async () => {
    const closed: unknown[] = [];
    client.onClose((reason) => closed.push(reason));
    device.hold.reset = () => new Promise((resolve) => setTimeout(resolve, 20));
    const reset = expect(client.reset()).rejects.toMatchObject({ code: "VFU_CLOSED" });
    client.close();
    client.close();
    await reset;
    expect([closed, client.open]).toEqual([[null], false]);
    await expect(client.getInfo()).rejects.toMatchObject({ code: "VFU_CLOSED" });
    await expect(client.regionWrite(0, 0, new Uint8Array(1), { posted: true })).rejects.toMatchObject({
      code: "VFU_CLOSED",
    });
  });

  test("a server that stops rejects everything with a sentence", async () => {
    device.hold.regionRead = () => new Promise((resolve) => setTimeout(resolve, 20));
    const read = expect(client.regionRead(0, 0, 4)).rejects.toThrow(/the server has closed it or died/);
    const reset = expect(client.reset()).rejects.toMatchObject({ code: "VFU_CLOSED", errno: 107 });
    await until(() => device.calls.length > 1);
    await server.stop();
    await read;
    await reset;
  });
});

describe("connecting", () => {
  test("nobody there: a sentence with the path", async () => {
    const path = newPath();
    await expect(VfioUserClient.connect(path)).rejects.toMatchObject({
      code: "VFU_ADDRESS",
      errno: 2,
      message: expect.stringContaining(path),
    });
  });

  test("with waitMs a server may come later", async () => {
    const server = new VfioUserServer(newPath(), new TestDevice());
    const connecting = VfioUserClient.connect(server.sockAddr, { waitMs: 10_000 });
    await new Promise((resolve) => setTimeout(resolve, 30));
    server.start();
    (await connecting).close();
    await server.stop();
  });

  test("an aborted signal ends a greeting that is not answered, and a connection that has long been made", async () => {
    const fds = fdCount();
    const early = new AbortController();
    const [mute, theirs] = socketPair();
    const greeting = VfioUserClient.attach(mute, { signal: early.signal });
    early.abort();
    await expect(greeting).rejects.toMatchObject({ code: "VFU_CLOSED" });
    closeFd(theirs);
    const [ours, other] = socketPair();
    await expect(VfioUserClient.attach(ours, { signal: early.signal })).rejects.toThrow(/called off/);
    closeFd(other);
    const server = new VfioUserServer(newPath(), new TestDevice());
    server.start();
    const late = new AbortController();
    const client = await VfioUserClient.connect(server.sockAddr, { signal: late.signal });
    const closed = new Promise((resolve) => client.onClose(resolve));
    late.abort();
    await closed;
    await expect(client.getInfo()).rejects.toMatchObject({ code: "VFU_CLOSED" });
    await server.stop();
    expect(fdCount()).toBe(fds);
  });
});

describe("with any server", () => {
  let raw: RawPeer;
  let connecting: Promise<VfioUserClient>;
  let log: LogBook;
  let clock: ManualClock;

  beforeEach(() => {
    clock = new ManualClock();
    const [ours, theirs] = socketPair();
    raw = new RawPeer(theirs);
    log = new LogBook();
    connecting = VfioUserClient.attach(ours, { log, clock });
  });

  const welcome = async (json: string | null = "{}\0"): Promise<VfioUserClient> => {
    const hello = await raw.receive();
    expect(hello?.header).toMatchObject({ command: 1, flags: 0 });
    await raw.send(message(hello?.header.id ?? 0, 1, versionBody(0, 0, json), { flags: 1 }));
    return connecting;
  };

  test.each<[string, Uint8Array]>([
    ["an empty VERSION", new Uint8Array(0)],
    ["another major", versionBody(1, 0, "{}\0")],
    ["a minor above ours", versionBody(0, 3, "{}\0")],
    ["broken JSON", versionBody(0, 0, "{\0")],
  ])("%s is a protocol error, and the socket is closed", async (_name, body) => {
    const hello = await raw.receive();
    const refused = expect(connecting).rejects.toMatchObject({ code: "VFU_PROTOCOL" });
    await raw.send(message(hello?.header.id ?? 0, 1, body, { flags: 1 }));
    await refused;
    expect(await raw.receive()).toBeNull();
    raw.close();
  });

  test("replies out of order find their commands", async () => {
    const client = await welcome(null);
    const irqs = [client.getIrqInfo(0), client.getIrqInfo(1)];
    const asked = [await raw.receive(), await raw.receive()];
    for (const i of [1, 0])
      await raw.send(message(asked[i]?.header.id ?? 0, 7, fields(16, 0, i, 10 + i), { flags: 1 }));
    expect((await Promise.all(irqs)).map(({ count }) => count)).toEqual([10, 11]);
    client.close();
    raw.close();
  });

  test("no reply in time rejects; the late reply is swallowed and its id not used again meanwhile", async () => {
    const client = await welcome();
    const first = expect(client.getInfo()).rejects.toMatchObject({ code: "VFU_TIMEOUT", errno: 110 });
    const late = (await raw.receive())?.header.id ?? 0;
    clock.pass(4999);
    const second = client.getIrqInfo(0);
    clock.pass(1);
    await first;
    const other = await raw.receive();
    await raw.send(message(other?.header.id ?? 0, 7, fields(16, 1, 0, 1), { flags: 1 }));
    expect(await second).toEqual({ flags: 1, count: 1 });
    const info = client.getInfo();
    const id = (await raw.receive())?.header.id ?? 0;
    expect(id).not.toBe(late);
    await raw.send(message(late, 4, fields(16, 99, 99, 99), { flags: 1 }));
    await raw.send(message(id, 4, fields(16, 3, 9, 5), { flags: 1 }));
    expect(await info).toEqual({ flags: 3, numRegions: 9, numIrqs: 5 });
    client.close();
    raw.close();
  });

  test("short replies, stray replies, replies to another command, and fds nobody asked for", async () => {
    const client = await welcome();
    const fd = eventfd();
    const info = expect(client.getInfo()).rejects.toMatchObject({ code: "VFU_PROTOCOL" });
    const id = (await raw.receive())?.header.id ?? 0;
    await raw.send(message(id + 1, 4, fields(16, 3, 9, 5), { flags: 1 }), [fd]);
    await raw.send(message(id, 7, fields(16, 3, 9, 5), { flags: 1 }), [fd]);
    await raw.send(message(id, 4, fields(16, 3, 9), { flags: 1 }), [fd]);
    await info;
    const read = expect(client.regionRead(0, 0, 4)).rejects.toMatchObject({ code: "VFU_PROTOCOL" });
    const asked = await raw.receive();
    await raw.send(message(asked?.header.id ?? 0, 9, concat(fields(0n, 0, 4), new Uint8Array(3)), { flags: 1 }));
    await read;
    closeFd(fd);
    client.close();
    raw.close();
  });

  test("one fd a region is kept, the others are closed; without a capability the whole region is meant", async () => {
    const client = await welcome();
    const fd = memfdCreate("bar", 4096);
    const info = client.getRegionInfo(0);
    const asked = await raw.receive();
    await raw.send(message(asked?.header.id ?? 0, 5, fields(32, 7, 0, 0, 4096n, 0n), { flags: 1 }), [fd, fd, fd]);
    const region = await info;
    expect(region).toMatchObject({ flags: 7, areas: [{ offset: 0, size: 4096 }] });
    closeFd(region.fd);
    const broken = expect(client.getRegionInfo(0)).rejects.toMatchObject({ code: "VFU_PROTOCOL" });
    await raw.send(
      message((await raw.receive())?.header.id ?? 0, 5, fields(40, 15, 0, 40, 4096n, 0n, 0n), { flags: 1 }),
      [fd],
    );
    await broken;
    closeFd(fd);
    client.close();
    raw.close();
  });

  test("server commands other than DMA are ENOSYS, bad DMA is EINVAL, posted ones are not answered", async () => {
    const client = await welcome();
    expect(await raw.errno(13)).toBe(38);
    expect(await raw.errno(11, new Uint8Array(15))).toBe(22);
    expect(await raw.errno(11, fields(0n, 1n << 40n))).toBe(22);
    await raw.send(message(1, 12, fields(0n, 0n), { flags: 0x10 }));
    expect((await raw.ask(13, undefined, { id: 9 })).header.id).toBe(9);
    client.close();
    raw.close();
  });

  test.each<[string, Uint8Array]>([
    ["a message that is too long", message(1, 11, new Uint8Array(0), { size: 0x7fffffff })],
    ["a message shorter than its header", message(1, 11, new Uint8Array(0), { size: 3 })],
  ])("%s ends the connection, with the reason", async (_name, bytes) => {
    const client = await welcome();
    const reasons: (Error | null)[] = [];
    client.onClose((reason) => reasons.push(reason));
    const info = expect(client.getInfo()).rejects.toMatchObject({ code: "VFU_CLOSED" });
    await raw.send(bytes);
    await info;
    expect(reasons).toMatchObject([{ code: "VFU_PROTOCOL" }]);
    raw.close();
  });
});

test("eventfds are divided into runs of bound and unbound, no more fds than the server takes", () => {
  expect(irqRuns([], 8)).toEqual([]);
  expect(irqRuns([5, 6, 7, -1, -1, 8], 2)).toEqual([
    { at: 0, count: 2, bound: true },
    { at: 2, count: 1, bound: true },
    { at: 3, count: 2, bound: false },
    { at: 5, count: 1, bound: true },
  ]);
});
