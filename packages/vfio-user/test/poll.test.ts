// How a server waits: lingering after a message and polling all the time change nothing of what a client sees, let the
// event loop do its other work, and end with the client. And reads that take more than one message: whose fds they are.

import { closeFd, fdCount, memfdCreate } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { COMMAND, VfioUserClient, VfioUserServer } from "../src/index.ts";
import { concat, fields, message, newPath, RawPeer, TestDevice, until } from "./support.ts";

const turns = (): number => process.getActiveResourcesInfo().filter((name) => name === "Immediate").length;

describe.each([false, true])("poll: %s", (poll) => {
  let device: TestDevice;
  let server: VfioUserServer;

  beforeEach(() => {
    device = new TestDevice();
    server = new VfioUserServer(newPath(), device, { poll });
    server.start();
  });

  afterEach(() => server.stop());

  test("accesses one after the other, in the same turn or after a promise", async () => {
    const client = await VfioUserClient.connect(server.sockAddr);
    for (let i = 0; i < 200; i++) {
      device.hold.regionRead = i % 3 === 0 ? () => new Promise((done) => setTimeout(done, 1)) : undefined;
      await client.regionWrite(0, 4 * i, Uint8Array.of(i, 1, 2, 3), { posted: i % 2 === 0 });
      expect(await client.regionRead(0, 4 * i, 4)).toEqual(Uint8Array.of(i, 1, 2, 3));
    }
    client.close();
    await until(() => device.calls.includes("disconnected"), "the clean-up");
  });

  test("a callback that asks the client for memory gets it", async () => {
    const memory = Uint8Array.of(5, 6, 7, 8);
    const client = await VfioUserClient.connect(server.sockAddr, { onDmaRead: () => memory });
    device.hold.regionWrite = async () => device.bar0.set(await server.dmaRead(0x1000n, 4), 64);
    await client.regionWrite(0, 0, Uint8Array.of(1));
    expect(await client.regionRead(0, 64, 4)).toEqual(memory);
    client.close();
    await until(() => device.calls.includes("disconnected"), "the clean-up");
  });

  test("timers run and other servers answer while a client is connected; nothing goes on when it has left", async () => {
    const other = new VfioUserServer(newPath(), new TestDevice(), { poll });
    other.start();
    const [first, second] = [
      await VfioUserClient.connect(server.sockAddr),
      await VfioUserClient.connect(other.sockAddr),
    ];
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await until(() => ticks >= 5, "five ticks");
    for (let i = 0; i < 20; i++) await Promise.all([first.getInfo(), second.getInfo(), first.regionRead(0, 0, 4)]);
    await until(() => ticks >= 10, "ten ticks");
    clearInterval(timer);
    first.close();
    second.close();
    await until(() => server.client === null && other.client === null, "the end of both");
    await until(() => turns() === 0, "a loop without turns to take");
    await other.stop();
  });

  test("a client that leaves is noticed, and the next one is served", async () => {
    for (let i = 0; i < 5; i++) {
      const client = await VfioUserClient.connect(server.sockAddr);
      expect((await client.getInfo()).numRegions).toBe(9);
      client.close();
    }
    await until(() => device.calls.filter((call) => call === "disconnected").length === 5, "five ends");
  });
});

test("fds are those of the message that they were sent with, however many are read at once", async () => {
  const before = fdCount();
  const device = new TestDevice();
  const server = new VfioUserServer(newPath(), device);
  server.start();
  const peer = new RawPeer(server.sockAddr);
  await peer.greet();
  const memory = memfdCreate("memory", 4096);
  const RESET = new Uint8Array(0);
  const map = (i: number): Uint8Array => fields(32, 3, 0n, BigInt(i) << 12n, 4096n);
  const NO_VECTORS = fields(20, 33, 2, 0, 0);
  const sent: [number, Uint8Array, boolean][] = [];
  for (let i = 0; i < 24; i++) {
    for (let j = 0; j < i % 4; j++) sent.push([COMMAND.DEVICE_RESET, RESET, false]);
    if (i % 3 === 0) sent.push([COMMAND.DEVICE_SET_IRQS, NO_VECTORS, false]);
    sent.push([COMMAND.DMA_MAP, map(i), true]);
  }
  // All of it lies in the socket before the server's loop has a turn.
  const sending = sent.map(([command, body, fd], id) =>
    peer.send(message(id, command, body), fd ? [memory] : undefined),
  );
  await Promise.all(sending);
  for (let id = 0; id < sent.length; id++) {
    expect((await peer.receive())?.header).toMatchObject({ id, error: 0 });
  }
  expect(device.calls.filter((call) => call.startsWith("map") && call.includes(" fd@"))).toHaveLength(24);
  // Two messages and a half in one piece.
  const glued = concat(message(1, 13, RESET), message(2, 13, RESET), message(3, 13, RESET).subarray(0, 7));
  await peer.send(glued);
  expect((await peer.receive())?.header.id).toBe(1);
  expect((await peer.receive())?.header.id).toBe(2);
  await peer.send(message(3, 13, RESET).subarray(7));
  expect((await peer.receive())?.header.id).toBe(3);
  peer.close();
  closeFd(memory);
  await until(() => device.calls.includes("disconnected"), "the clean-up");
  await server.stop();
  expect(fdCount()).toBe(before);
});
