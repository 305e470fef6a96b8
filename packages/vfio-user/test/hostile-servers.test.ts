// Our client against servers that do anything: wrong sizes, ids and fds, region information that lies, replies late or
// never. Each command ends with an answer or a VfioUserError, nothing hangs, and no fd stays.

import { closeFd, eventfd, fdCount, memfdCreate, socketPair, watcherCount } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { VfioUserClient } from "../src/index.ts";
import { concat, fields, ManualClock, message, RawPeer, until, versionBody } from "./support.ts";

const ERROR = { name: "VfioUserError" };
const HUGE = 0xffffffff;
let clock: ManualClock;
let client: VfioUserClient;
let server: RawPeer;
let before: number;

beforeEach(async () => {
  before = fdCount();
  clock = new ManualClock();
  const [ours, theirs] = socketPair();
  server = new RawPeer(theirs);
  const connecting = VfioUserClient.attach(ours, { clock, onDmaRead: (_, bytes) => new Uint8Array(bytes) });
  const hello = await server.receive();
  await server.send(message(hello?.header.id ?? 0, 1, versionBody(0, 0, '{"capabilities":{}}\0'), { flags: 1 }));
  client = await connecting;
});

afterEach(async () => {
  client.close();
  server.close();
  await until(() => fdCount() === before, "every fd is closed");
  expect(watcherCount()).toBe(0);
});

/** Answers the next command by these bytes behind the header. */
async function answer(body: Uint8Array, options: { id?: number; size?: number; fds?: number[] } = {}): Promise<void> {
  const asked = await server.receive();
  const { id, command } = asked?.header ?? { id: 0, command: 0 };
  await server.send(message(options.id ?? id, command, body, { flags: 1, size: options.size }), options.fds);
}

/** The head of a region's information: argsz, flags, index, capabilities' offset, size, offset. */
const region = (argsz: number, capOffset: number, ...caps: Uint8Array[]): Uint8Array =>
  concat(fields(argsz, 0xf, 0, capOffset, 0x10000n, 0n), ...caps);
const cap = (id: number, next: number, ...rest: number[]): Uint8Array => fields(0x10000 | id, next, ...rest);

describe("region information", () => {
  test.each([
    ["a capability that is its own next", region(48, 32, cap(9, 32), fields(0, 0))],
    ["two that point to each other", region(48, 32, cap(9, 40), cap(9, 32))],
    ["a next beyond the reply", region(48, 32, cap(9, HUGE), fields(0, 0))],
    ["capabilities inside the head", region(48, 4, fields(0, 0, 0, 0))],
    ["4 G areas", region(48, 32, cap(1, 0, HUGE, 0))],
    ["one area more than fits", region(64, 32, cap(1, 0, 2, 0), fields(0n, 0n))],
    ["half a head", fields(32, 0, 0)],
    ["nothing", new Uint8Array(0)],
  ])("%s", async (_what, body) => {
    const asking = client.getRegionInfo(0);
    await answer(body);
    await expect(asking).rejects.toMatchObject(ERROR);
  });

  test("that grows each time it is asked for is not asked for for ever", async () => {
    const peer = server;
    const asking = client.getRegionInfo(0);
    let asked = 0;
    const lying = (async () => {
      for (let head = await peer.receive(); head !== null; head = await peer.receive()) {
        const argsz = new DataView(head.body.buffer).getUint32(0, true);
        await peer.send(message(head.header.id, 5, region(argsz + 1, 0), { flags: 1 }));
        asked++;
      }
    })();
    await expect(asking).rejects.toMatchObject(ERROR);
    expect(asked).toBeLessThan(10);
    client.close();
    await lying;
  });

  test("with fds that are too many, of any kind, keeps one at most", async () => {
    const memfd = memfdCreate("bar", 4096);
    const other = eventfd();
    const asking = client.getRegionInfo(0);
    await answer(region(32, 0), { fds: [other, memfd, memfd, other, other] });
    const { fd } = await asking;
    if (fd >= 0) closeFd(fd);
    closeFd(memfd);
    closeFd(other);
  });
});

describe("replies", () => {
  test.each([
    ["more data than was asked for", fields(0n, 0, 4, 1, 2, 3)],
    ["less data than was asked for", fields(0n, 0, 4)],
    ["no data at all", new Uint8Array(0)],
  ])("to a read with %s", async (_what, body) => {
    const reading = client.regionRead(0, 0, 4);
    await answer(body);
    await expect(reading).rejects.toMatchObject(ERROR);
  });

  test("with an id that nobody has are passed over, and the right one counts", async () => {
    const reading = client.regionRead(0, 0, 4);
    await server.send(message(0x7777, 9, fields(0n, 0, 4, 1), { flags: 1 }), [server.fd, server.fd]);
    await answer(fields(0n, 0, 4, 7));
    expect(await reading).toEqual(Uint8Array.of(7, 0, 0, 0));
  });

  test("that never come time out; one that is late is passed over, and the next command gets its own", async () => {
    const reading = client.regionRead(0, 0, 4);
    const timedOut = expect(reading).rejects.toMatchObject({ code: "VFU_TIMEOUT" });
    const asked = await server.receive();
    clock.pass(5001);
    await timedOut;
    const next = client.regionRead(0, 4, 4);
    await server.send(message(asked?.header.id ?? 0, 9, fields(0n, 0, 4, 1), { flags: 1 }));
    await answer(fields(4n, 0, 4, 9));
    expect(await next).toEqual(Uint8Array.of(9, 0, 0, 0));
  });

  test.each([
    ["a size below the header", 3],
    ["a size of 4 GiB", HUGE],
  ])("with %s end the connection", async (_what, size) => {
    const reading = client.regionRead(0, 0, 4);
    await answer(fields(0n, 0, 4, 1), { size });
    await expect(reading).rejects.toMatchObject(ERROR);
    expect(client.open).toBe(false);
  });

  test("cut off by the server's end", async () => {
    const reading = client.regionRead(0, 0, 4);
    const asked = await server.receive();
    await server.send(message(asked?.header.id ?? 0, 9, fields(0n, 0, 4, 1), { flags: 1 }).subarray(0, 20));
    server.shutdown();
    await expect(reading).rejects.toMatchObject({ code: "VFU_CLOSED" });
  });
});

describe("the server's own commands", () => {
  test("DMA of 2^64 bytes, from anywhere, is refused and the connection lives", async () => {
    for (const command of [11, 12]) {
      expect(await server.errno(command, fields(0n, (1n << 64n) - 1n))).not.toBe(0);
      expect(await server.errno(command, fields((1n << 64n) - 1n, 0x200000n))).not.toBe(0);
    }
    expect(await server.errno(11, fields(0x1000n, 4n))).toBe(0);
    expect(client.open).toBe(true);
  });

  test("commands that a client does not serve, with fds, are answered ENOSYS", async () => {
    for (const command of [0, 1, 2, 9, 13, 99]) {
      expect(await server.errno(command, new Uint8Array(8), { fds: [server.fd] })).toBe(38);
    }
  });
});
