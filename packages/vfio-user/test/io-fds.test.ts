// DEVICE_GET_REGION_IO_FDS from both ends: both layouts of an entry, fds that are sent once, limits, and what a client
// does with replies that are no good. (test/conformance has the cases of libvfio-user's tests.)

import { closeFd, eventfd, eventfdRead, eventfdWrite, fdCount, memfdCreate, socketPair } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { closeIoFds, type IoFd, VfioUserClient, VfioUserServer } from "../src/index.ts";
import { concat, fields, message, newPath, RawPeer, TestDevice, versionBody } from "./support.ts";

class IoDevice extends TestDevice {
  list: IoFd[] = [];
  ioFds(index: number): readonly IoFd[] {
    return index === 0 ? this.list : [];
  }
}

let fdsBefore: number;
let device: IoDevice;
let server: VfioUserServer;
let fds: number[];

beforeEach(() => {
  fdsBefore = fdCount();
  device = new IoDevice();
  fds = [eventfd(), eventfd(), memfdCreate("shadow", 4096)];
  server = new VfioUserServer(newPath(), device);
  server.start();
});
afterEach(async () => {
  await server.stop();
  for (const fd of fds) closeFd(fd);
  expect(fdCount()).toBe(fdsBefore);
});

const entry = (offset: number, fd: number): IoFd => ({ offset, size: 4, fd, type: "ioeventfd" });

describe("the server", () => {
  let peer: RawPeer;
  beforeEach(async () => {
    peer = new RawPeer(server.sockAddr);
    await peer.greet('{"capabilities":{"max_msg_fds":2}}\0');
  });
  afterEach(() => peer.close());

  test("entries of 40 bytes, byte by byte", async () => {
    device.list = [{ ...entry(8, fds[0] as number), flags: 1, datamatch: 7n }];
    const reply = await peer.ask(6, fields(4096, 0, 0, 0));
    expect([...reply.body]).toEqual([...fields(56, 0, 0, 1), ...fields(8n, 4n, 0, 0, 1, 0, 7n)]);
    for (const fd of reply.fds) closeFd(fd);
  });

  test("entries of 48 bytes as soon as one has shadow memory", async () => {
    const [bell, other, shadow] = fds as [number, number, number];
    void other;
    device.list = [{ ...entry(8, bell), type: "shadow", shadow: { fd: shadow, offset: 24 } }, entry(12, bell)];
    const reply = await peer.ask(6, fields(4096, 0, 0, 0));
    expect(reply.fds).toHaveLength(2);
    expect([...reply.body]).toEqual([
      ...fields(16 + 96, 0, 0, 2),
      ...fields(8n, 4n, 0, 2, 0, 1, 24n, 0n),
      ...fields(12n, 4n, 0, 0, 0, 0xffffffff, 0n, 0n),
    ]);
    for (const fd of reply.fds) closeFd(fd);
  });

  test("entries whose fds are more than the client takes are left out; those that share an fd are not", async () => {
    const [a, b, c] = fds as [number, number, number];
    device.list = [entry(0, a), entry(4, b), { ...entry(8, c), type: "ioregionfd" }, entry(12, a)];
    const reply = await peer.ask(6, fields(4096, 0, 0, 0));
    expect([reply.view.getUint32(12, true), reply.fds.length]).toEqual([3, 2]);
    expect(reply.view.getBigUint64(16 + 80, true)).toBe(12n);
    for (const fd of reply.fds) closeFd(fd);
  });

  test("a device's own mistakes are EIO", async () => {
    device.list = [entry(0x10000 - 2, fds[0] as number)];
    expect(await peer.errno(6, fields(4096, 0, 0, 0))).toBe(5);
    device.list = [{ ...entry(0, fds[0] as number), type: "shadow" }];
    expect(await peer.errno(6, fields(4096, 0, 0, 0))).toBe(5);
  });
});

describe("the client", () => {
  test("gets what the device has, and its signals arrive", async () => {
    const [bell, other, shadow] = fds as [number, number, number];
    device.list = [
      { ...entry(0, bell), type: "shadow", shadow: { fd: shadow, offset: 64 } },
      { ...entry(8, other), datamatch: 3n, flags: 1 },
      { ...entry(16, bell), type: "shadow", shadow: { fd: shadow, offset: 72 } },
    ];
    const client = await VfioUserClient.connect(server.sockAddr);
    const list = await client.getRegionIoFds(0);
    expect(list.map(({ offset, size, type, flags, datamatch }) => [offset, size, type, flags, datamatch])).toEqual([
      [0, 4, "shadow", 0, 0n],
      [8, 4, "ioeventfd", 1, 3n],
      [16, 4, "shadow", 0, 0n],
    ]);
    expect([list[2]?.fd, list[2]?.shadow?.fd]).toEqual([list[0]?.fd, list[0]?.shadow?.fd]);
    expect(list.map(({ shadow: at }) => at?.offset)).toEqual([64, undefined, 72]);
    eventfdWrite(list[0]?.fd ?? -1, 5);
    expect([eventfdRead(bell), eventfdRead(other)]).toEqual([5, 0]);
    closeIoFds(list);
    expect(await client.getRegionIoFds(3)).toEqual([]);
    await expect(client.getRegionIoFds(1)).rejects.toMatchObject({ code: "VFU_REFUSED", errno: 22 });
    client.close();
  });

  test("asks again when the list is longer than its first guess", async () => {
    device.list = Array.from({ length: 200 }, (_, i) => entry(4 * i, fds[i % 2] as number));
    const client = await VfioUserClient.connect(server.sockAddr);
    const list = await client.getRegionIoFds(0);
    expect([list.length, new Set(list.map(({ fd }) => fd)).size]).toEqual([200, 2]);
    closeIoFds(list);
    client.close();
  });

  /** What a client makes of `body` and `sent` as the reply. */
  async function answeredBy(body: Uint8Array, sent: number[]): Promise<unknown> {
    const [ours, theirs] = socketPair();
    const peer = new RawPeer(theirs);
    const connecting = VfioUserClient.attach(ours);
    const greeting = await peer.receive();
    await peer.send(message(greeting?.header.id ?? 0, 1, versionBody(0, 2, '{"capabilities":{}}\0'), { flags: 1 }));
    const client = await connecting;
    const asking = client.getRegionIoFds(0).then(
      (list) => {
        closeIoFds(list);
        return list.length;
      },
      (error) => error.code,
    );
    const asked = await peer.receive();
    await peer.send(message(asked?.header.id ?? 0, 6, body, { flags: 1 }), sent);
    const outcome = await asking;
    client.close();
    peer.close();
    return outcome;
  }

  test("takes no nonsense, and leaves no fd open", async () => {
    const [bell, other, file] = fds as [number, number, number];
    const one = (fdIndex: number, type = 0) => fields(0n, 4n, fdIndex, type, 0, 0, 0n);
    expect(await answeredBy(concat(fields(56, 0, 0, 1), one(0)), [bell, other])).toBe(1);
    expect(await answeredBy(concat(fields(56, 0, 0, 1), one(0xffffffff)), [bell])).toBe(1);
    expect(await answeredBy(concat(fields(56, 0, 0, 1), one(1)), [bell])).toBe("VFU_PROTOCOL");
    expect(await answeredBy(concat(fields(56, 0, 0, 1), one(0)), [file])).toBe("VFU_PROTOCOL");
    expect(await answeredBy(concat(fields(56, 0, 0, 1), one(0, 1)), [file])).toBe(1);
    expect(await answeredBy(concat(fields(56, 0, 0, 1), one(0, 9)), [bell])).toBe("VFU_PROTOCOL");
    expect(await answeredBy(concat(fields(58, 0, 0, 1), one(0)), [bell])).toBe("VFU_PROTOCOL");
    expect(await answeredBy(concat(fields(96, 0, 0, 2), one(0)), [bell])).toBe("VFU_PROTOCOL");
    expect(await answeredBy(fields(16, 0, 0), [bell])).toBe("VFU_PROTOCOL");
    expect(await answeredBy(fields(0xffffffff, 0, 0, 0xffffffff), [bell])).toBe("VFU_PROTOCOL");
  });
});
