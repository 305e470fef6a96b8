// The short way of register accesses against the general one: the same messages to two servers, which must answer byte for
// byte alike and have called their devices alike. Messages are drawn from what is nearly right: any count around 8, offsets
// around the ends of regions, posted and not, bytes too many or too few. And what only the short way can get wrong.

import { closeFd, fdCount, memfdCreate } from "@emudev/linux";
import fc from "fast-check";
import { expect, test } from "vitest";
import { refusal } from "../src/index.ts";
import { device, serve, useServers } from "./fixture.ts";
import { MigratableDevice } from "./migratable.ts";
import { concat, fields, gate, LogBook, message, RawPeer, TestDevice, until } from "./support.ts";

const READ = 9;
const WRITE = 10;
const GET_INFO = 4;
const NO_REPLY = 0x10;
const INFO = fields(16, 0, 0, 0);
const GREETING = (xfer: number): string => `{"capabilities":{"max_msg_fds":8,"max_data_xfer_size":${xfer}}}\0`;
const read = (region: number, offset: number, count: number): Uint8Array => fields(BigInt(offset), region, count);
const write = (region: number, offset: number, data: Uint8Array): Uint8Array =>
  concat(read(region, offset, data.length), data);

useServers();

interface Drawn {
  command: number;
  flags: number;
  region: number;
  offset: bigint;
  count: number;
  /** Of data behind the head, more or less than should be. */
  surplus: number;
  bytes: Uint8Array;
  fd: boolean;
}

const offsets = fc.oneof(
  fc.integer({ min: 0, max: 0x1010 }).map(BigInt),
  fc.constantFrom(0xfff8n, 0xfffcn, 0xffffn, 0x10000n, 0xffff_ffffn, 0x1_0000_0000n, 0xffff_ffff_ffff_fffcn),
);
const drawn: fc.Arbitrary<Drawn> = fc.record({
  command: fc.constantFrom(READ, WRITE, WRITE),
  flags: fc.oneof({ weight: 6, arbitrary: fc.constantFrom(0, NO_REPLY) }, fc.constantFrom(0x20, 0x30, 2, 0x11, 0x80)),
  region: fc.oneof({ weight: 6, arbitrary: fc.constantFrom(0, 3, 7) }, fc.constantFrom(1, 8, 9, 0xffff_ffff)),
  offset: offsets,
  count: fc.oneof({ weight: 8, arbitrary: fc.integer({ min: 0, max: 9 }) }, fc.constantFrom(16, 0x8000_0000)),
  surplus: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.integer({ min: -3, max: 5 })),
  bytes: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  fd: fc.integer({ min: 0, max: 15 }).map((n) => n === 0),
});

function messageOf(id: number, { command, flags, region, offset, count, surplus, bytes }: Drawn): Uint8Array {
  const data = (command === WRITE ? Math.min(count, 16) : 0) + surplus;
  return message(id, command, concat(fields(offset, region, count), bytes.subarray(0, Math.max(0, data))), { flags });
}

/** Refuses, fails, and takes its time, by offset: the same for both. */
class MoodyDevice extends TestDevice {
  constructor() {
    super();
    this.hold.regionRead = (_region: number, offset: number) => this.mood(offset);
    this.hold.regionWrite = (_region: number, offset: number) => this.mood(offset);
  }

  mood(offset: number): void | Promise<void> {
    if (offset % 16 === 3) throw refusal(95, "not here");
    if (offset % 16 === 5) throw new TypeError("a bug");
    if (offset % 16 === 7) return Promise.resolve();
    if (offset % 16 === 11) return Promise.reject(refusal(5, "later, and no"));
  }
}

/** How messages come: in one piece, each by itself but all at once, or each when the one before is answered. */
const WAYS = ["glued", "behind each other", "one by one"] as const;

/** All bytes that come back for `messages`, and the calls of the device. */
async function play(
  shortcut: boolean,
  all: readonly Drawn[],
  xfer: number,
  way: (typeof WAYS)[number],
): Promise<unknown> {
  const moody = new MoodyDevice();
  const server = serve({ shortcut, log: new LogBook() }, moody);
  const peer = new RawPeer(server.sockAddr);
  await peer.greet(GREETING(xfer));
  const memory = memfdCreate("memory", 4096);
  const replies: number[][] = [];
  const receive = async (): Promise<number> => {
    const reply = await peer.receive();
    if (reply === null) throw new Error("the connection ended");
    const { id, command, flags, error } = reply.header;
    replies.push([id, command, flags, error, ...reply.body]);
    return id;
  };
  const last = message(0xffff, GET_INFO, INFO);
  const messages = all.map((each, id) => messageOf(id, each));
  if (way === "glued") await peer.send(concat(...messages, last));
  for (const [id, each] of all.entries()) {
    if (way === "glued") break;
    await peer.send(messages[id] as Uint8Array, each.fd ? [memory] : undefined);
    if (way === "one by one" && (each.flags & NO_REPLY) === 0) await receive();
  }
  if (way !== "glued") await peer.send(last);
  while ((await receive()) !== 0xffff);
  peer.close();
  closeFd(memory);
  await until(() => server.client === null, "the end");
  const calls = moody.take().filter((call) => /^(read|write|post)/.test(call));
  const { messages: seen, refused } = server.stats;
  return { replies, calls, bar0: [...moody.bar0.subarray(0, 0x1100)], seen, refused };
}

test("both ways answer alike, and call the device alike", async () => {
  const messages = fc.array(drawn, { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(messages, fc.constantFrom(1, 2, 4, 8, 4096), fc.constantFrom(...WAYS), async (all, xfer, way) => {
      expect(await play(true, all, xfer, way)).toEqual(await play(false, all, xfer, way));
    }),
    { numRuns: 40 },
  );
});

test("an fd that comes with an access is refused and closed, though the accesses before it were answered at a peek", async () => {
  const peer = new RawPeer(serve().sockAddr);
  await peer.greet();
  const memory = memfdCreate("memory", 4096);
  const before = fdCount();
  for (let i = 0; i < 3; i++) {
    expect(await peer.errno(READ, read(0, 0, 4))).toBe(0);
    expect(await peer.errno(READ, read(0, 0, 4), { fds: [memory] })).toBe(22);
    expect(await peer.errno(WRITE, write(0, 0, Uint8Array.of(1, 2, 3, 4)))).toBe(0);
    expect(await peer.errno(WRITE, write(0, 0, Uint8Array.of(1, 2, 3, 4)), { fds: [memory] })).toBe(22);
  }
  expect(fdCount()).toBe(before);
  expect(device.calls.filter((call) => /^(read|write)/.test(call))).toHaveLength(6);
  peer.close();
  closeFd(memory);
});

test("reads of registers take the short way, one buffer for all of them", async () => {
  const buffers = new Set<unknown>();
  device.regionRead = (_region, _offset, into) => void buffers.add(into.buffer);
  const peer = new RawPeer(serve().sockAddr);
  await peer.greet();
  for (const count of [1, 2, 3, 4, 5, 6, 7, 8]) expect(await peer.errno(READ, read(0, 0, count))).toBe(0);
  expect(buffers.size).toBe(1);
  peer.close();
});

test("a read that takes its time has its buffer to itself", async () => {
  const [first, second] = [gate(), gate()];
  const intos: Uint8Array[] = [];
  device.regionRead = (_region, offset, into) => {
    intos.push(into);
    into.fill(offset);
    return offset === 1 ? first.promise : offset === 2 ? second.promise : undefined;
  };
  const peer = new RawPeer(serve().sockAddr);
  await peer.greet();
  await peer.send(
    concat(message(1, READ, read(0, 1, 4)), message(2, READ, read(0, 2, 8)), message(3, READ, read(0, 3, 2))),
  );
  await until(() => intos.length === 1, "the first");
  // Nothing of those behind it has been asked yet.
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(intos).toHaveLength(1);
  first.open();
  const data = async (): Promise<number[]> => [...((await peer.receive())?.body.subarray(16) ?? [])];
  expect(await data()).toEqual([1, 1, 1, 1]);
  await until(() => intos.length === 2, "the second");
  second.open();
  expect(await data()).toEqual([2, 2, 2, 2, 2, 2, 2, 2]);
  expect(await data()).toEqual([3, 3]);
  peer.close();
});

test("what is not filled reads as zero, whatever was read before", async () => {
  let fill = true;
  device.regionRead = (_region, _offset, into) => void (fill && into.fill(0xff));
  const peer = new RawPeer(serve().sockAddr);
  await peer.greet();
  await peer.ask(READ, read(0, 0, 8));
  fill = false;
  expect([...(await peer.ask(READ, read(0, 0, 8))).body.subarray(16)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  peer.close();
});

test("written data is the device's to keep", async () => {
  const kept: Uint8Array[] = [];
  device.regionWrite = (_region, _offset, data) => void kept.push(data);
  const peer = new RawPeer(serve().sockAddr);
  await peer.greet();
  for (let i = 0; i < 4; i++) await peer.errno(WRITE, write(0, 0, Uint8Array.of(i, i, i, i)));
  expect(kept.map((data) => [...data])).toEqual([0, 1, 2, 3].map((i) => [i, i, i, i]));
  peer.close();
});

test("a callback that sends messages of its own, longer than any before, does not change the answer", async () => {
  const server = serve();
  device.regionRead = (_region, _offset, into) => {
    into.fill(7);
    void server.dmaWrite(0n, new Uint8Array(60_000).fill(9)).catch(() => {});
  };
  const peer = new RawPeer(server.sockAddr);
  await peer.greet();
  await peer.send(message(1, READ, read(0, 0, 4)));
  expect((await peer.receive())?.body.length).toBe(16 + 60_000);
  expect([...((await peer.receive())?.body.subarray(16) ?? [])]).toEqual([7, 7, 7, 7]);
  peer.close();
});

test("a callback that drops the client is the last of it", async () => {
  const server = serve();
  device.regionWrite = () => server.dropClient("it is told to");
  const peer = new RawPeer(server.sockAddr);
  await peer.greet();
  await peer.send(message(1, WRITE, write(0, 0, Uint8Array.of(1))));
  expect(await peer.receive()).toBeNull();
  peer.close();
  await until(() => device.calls.includes("disconnected"), "the clean-up");
});

test("nothing is read or written while the device's state is being saved", async () => {
  const migratable = new MigratableDevice();
  const peer = new RawPeer(serve({}, migratable).sockAddr);
  await peer.greet();
  expect(await peer.errno(READ, read(0, 0, 4))).toBe(0);
  expect(await peer.errno(16, fields(16, 0x20000 | 2, 3, 0))).toBe(0);
  expect(await peer.errno(READ, read(0, 0, 4))).toBe(22);
  expect(await peer.errno(WRITE, write(0, 0, Uint8Array.of(1)))).toBe(22);
  peer.close();
});
