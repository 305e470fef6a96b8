// `fd`: a server on a socket that the process inherited, listening or connected already; and what is neither.

import { closeFd, eventfd, fdCount, memfdCreate, socketPair, unixListen } from "@emudev/linux";
import { afterEach, beforeEach, expect, test } from "vitest";
import { VfioUserClient, VfioUserServer } from "../src/index.ts";
import { newPath, TestDevice, until } from "./support.ts";

let fdsBefore: number;
beforeEach(() => {
  fdsBefore = fdCount();
});
afterEach(() => {
  expect(fdCount()).toBe(fdsBefore);
});

test("a listening socket serves one client after the other", async () => {
  const path = newPath();
  const server = new VfioUserServer("inherited", new TestDevice(), { fd: unixListen(path) });
  server.start();
  for (let i = 0; i < 2; i++) {
    const client = await VfioUserClient.connect(path);
    expect(await client.getInfo()).toMatchObject({ numRegions: 9 });
    client.close();
  }
  await server.stop();
});

test("a connected socket is its one client", async () => {
  const [ours, theirs] = socketPair();
  const device = new TestDevice();
  const server = new VfioUserServer("inherited", device, { fd: ours });
  server.start();
  const client = await VfioUserClient.connect("its other end", { fd: theirs });
  expect(await client.getInfo()).toMatchObject({ numRegions: 9 });
  client.close();
  await until(() => device.calls.includes("disconnected"));
  await server.stop();
});

test("a connected socket is closed by stop", async () => {
  const [ours, theirs] = socketPair();
  const server = new VfioUserServer("inherited", new TestDevice(), { fd: ours });
  server.start();
  const client = await VfioUserClient.attach(theirs);
  const closed = new Promise((resolve) => client.onClose(resolve));
  await server.stop();
  await closed;
});

test.each([
  ["a number that is not open", () => 1000, 9],
  ["a file", () => memfdCreate("x", 4096), 88],
  ["an eventfd", () => eventfd(), 88],
])("%s is VFU_ADDRESS, and stays the caller's", (_, make, errno) => {
  const fd = make();
  const server = new VfioUserServer("inherited", new TestDevice(), { fd });
  expect(() => server.start()).toThrow(expect.objectContaining({ code: "VFU_ADDRESS", errno }));
  if (fd !== 1000) closeFd(fd);
});
