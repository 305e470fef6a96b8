// Whole conversations with peers that do anything: random messages, random fds, random ends. The server answers or
// ends the connection, never throws, and after all of them has the fds that it had before.

import { closeFd, eventfd, fdCount, memfdCreate, socketPair, watcherCount } from "@emudev/linux";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { VfioUserClient, VfioUserServer } from "../src/index.ts";
import { concat, fields, LogBook, message, newPath, RawPeer, TestDevice, until } from "./support.ts";

const u32 = fc.oneof(
  fc.constantFrom(0, 1, 2, 4, 16, 20, 24, 32, 0xffffffff),
  fc.nat(64),
  fc.integer({ min: 0, max: 0xffffffff }),
);
const u64 = fc.oneof(
  fc.constantFrom(0n, 0x1000n, (1n << 64n) - 1n, 1n << 63n),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);
const body = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  fc.tuple(u32, u32, u64, u64, u64).map((values) => fields(...values)),
  fc.tuple(u32, u32, u32, u32, u32).map((values) => fields(...values)),
  fc.tuple(u64, fc.nat(9), fc.nat(8), fc.uint8Array({ maxLength: 8 })).map(([offset, region, count, data]) => {
    return concat(fields(offset & 0xffffn, region, count), data);
  }),
);
const step = fc.record({
  command: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.nat(0xffff)),
  body,
  flags: fc.oneof(fc.constantFrom(0, 0, 0, 0x10, 1, 0x21), fc.nat(0xff)),
  size: fc.option(fc.oneof(fc.nat(100), fc.nat(0xffffffff)), { nil: undefined, freq: 20 }),
  fds: fc.array(fc.nat(4), { maxLength: 3 }),
});

let server: VfioUserServer;
let device: TestDevice;
let fds: number[];
const log = new LogBook();

beforeAll(() => {
  const [a, b] = socketPair();
  fds = [eventfd(), memfdCreate("memory", 0x100000), memfdCreate("tiny", 1), a, b];
  device = new TestDevice();
  device.hold.dmaMap = (): void | Promise<void> => (Math.random() < 0.3 ? Promise.resolve() : undefined);
  server = new VfioUserServer(newPath(), device, { log });
  server.start();
});

afterAll(async () => {
  await server.stop();
  for (const fd of fds) closeFd(fd);
});

test("500 random conversations", async () => {
  const before = fdCount();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.boolean(), fc.nat(1000), async (steps, greets, cut) => {
      device.take();
      const peer = new RawPeer(server.sockAddr);
      try {
        if (greets) await peer.greet();
        for (const [i, { command, body: payload, flags, size, fds: chosen }] of steps.entries()) {
          const bytes = message(i, command, payload, { flags, size });
          const end = i === steps.length - 1 ? Math.min(bytes.length, cut) : bytes.length;
          await peer.send(
            bytes.subarray(0, end),
            chosen.map((index) => fds[index] as number),
          );
        }
      } catch {
        // The server has ended the connection.
      }
      peer.close();
      await until(() => server.client === null);
    }),
    { numRuns: 500 },
  );
  // The device is as good as new.
  const client = await VfioUserClient.connect(server.sockAddr);
  expect((await client.getInfo()).flags).toBe(3);
  client.close();
  await until(() => server.client === null && device.calls.includes("disconnected"));
  for (const fd of device.irqFds.values()) expect(fd).toBe(-1);
  expect(fdCount()).toBe(before);
  expect(watcherCount()).toBe(1);
  expect(log.errors).toEqual([]);
});

test("a client survives 200 servers that answer anything", async () => {
  const before = fdCount();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
      const [ours, theirs] = socketPair();
      const raw = new RawPeer(theirs);
      const connecting = VfioUserClient.attach(ours, {
        onDmaRead: (_, bytes) => new Uint8Array(bytes),
      });
      const hello = await raw.receive();
      await raw.send(message(hello?.header.id ?? 0, 1, new Uint8Array(4), { flags: 1 }));
      const client = await connecting;
      const waiting = [client.getInfo(), client.getRegionInfo(0), client.regionRead(0, 0, 4), client.getIrqInfo(1)];
      const settled = Promise.allSettled(waiting);
      try {
        for (const [i, { command, body: payload, flags, size, fds: chosen }] of steps.entries()) {
          const bytes = message(i, command, payload, { flags: i % 2 ? flags : 1, size });
          await raw.send(
            bytes,
            chosen.map((index) => fds[index] as number),
          );
        }
      } catch {
        // The client has ended the connection.
      }
      raw.close();
      const [, region] = await settled;
      if (region?.status === "fulfilled" && (region.value as { fd: number }).fd >= 0) {
        closeFd((region.value as { fd: number }).fd);
      }
      client.close();
    }),
    { numRuns: 200 },
  );
  expect(fdCount()).toBe(before);
});
