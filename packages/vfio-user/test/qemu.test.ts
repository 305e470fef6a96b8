// Every message that QEMU sent for three real Linux guests, replayed to our server: each is answered, once, with
// success, with its id, and never by more bytes than QEMU has room for. The recording is fixtures/qemu-guests.txt.

import { readFileSync } from "node:fs";
import { closeFd, eventfd, fdCount, memfdCreate } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { VfioUserServer } from "../src/index.ts";
import {
  concat,
  fields,
  LogBook,
  message,
  newPath,
  type RawMessage,
  RawPeer,
  TestDevice,
  until,
  versionBody,
} from "./support.ts";

interface Recorded {
  bytes: Uint8Array;
  fds: "none" | "memory" | "event";
  id: number;
  command: number;
  posted: boolean;
  /** The next one was sent before this one was answered. */
  glued: boolean;
  text: string;
}

const guests = new Map<string, Recorded[]>();
for (const line of readFileSync(new URL("fixtures/qemu-guests.txt", import.meta.url), "utf8").split("\n")) {
  if (line === "" || line.startsWith("#")) continue;
  if (line.startsWith("guest ")) guests.set(line.slice(6), []);
  else [...guests.values()].at(-1)?.push(parse(line));
}

function parse(line: string): Recorded {
  const glued = line.endsWith(" &");
  const text = glued ? line.slice(0, -2) : line;
  const [idText = "", name = "", ...rest] = text.split(" ");
  const id = Number.parseInt(idText, 16);
  const n = (i: number): number => Number.parseInt(rest[i] ?? "", 16);
  const big = (i: number): bigint => BigInt(`0x${rest[i]}`);
  const make = (command: number, body: Uint8Array, fds: Recorded["fds"] = "none", flags = 0): Recorded => {
    return { bytes: message(id, command, body, { flags }), fds, id, command, posted: flags !== 0, glued, text };
  };
  switch (name) {
    case "version":
      return make(1, versionBody(0, 0, `${text.slice(text.indexOf("{"))}\0`));
    case "map":
      return make(2, fields(32, n(0), big(1), big(2), big(3)), rest[4] === "fd" ? "memory" : "none");
    case "unmap":
      return make(3, fields(24, n(0), big(1), big(2)));
    case "info":
      return make(4, fields(16, 0, 0, 0));
    case "region":
      return make(5, fields(n(0), 0, n(1), 0, 0n, 0n));
    case "irq":
      return make(7, fields(16, 0, n(0), 0));
    case "set":
      return make(8, fields(20, n(0), n(1), n(2), n(3)), rest[4] === "1" ? "event" : "none");
    case "read":
      return make(9, fields(big(1), n(0), n(2)));
    case "write":
    case "post": {
      const value = fields(BigInt(`0x${rest[3]}`)).subarray(0, n(2));
      return make(10, concat(fields(big(1), n(0), n(2)), value), "none", name === "post" ? 0x10 : 0);
    }
    case "reset":
      return make(13, new Uint8Array(0));
    default:
      throw new Error(`what is ${line}?`);
  }
}

let device: TestDevice;
let log: LogBook;
let server: VfioUserServer;
let fdsBefore = 0;

beforeEach(() => {
  fdsBefore = fdCount();
  device = new TestDevice();
  log = new LogBook();
  server = new VfioUserServer(newPath(), device, { log });
  server.start();
});

afterEach(async () => {
  await server.stop();
  expect(fdCount()).toBe(fdsBefore);
  expect(log.errors).toEqual([]);
});

function check(sent: Recorded, reply: RawMessage | null): void {
  expect(reply?.header, sent.text).toMatchObject({ id: sent.id, command: sent.command, flags: 1, error: 0 });
  const size = reply?.header.size ?? 0;
  if (sent.command === 9) expect(size).toBe(32 + new DataView(sent.bytes.buffer).getUint32(28, true));
  else expect(size, sent.text).toBeLessThanOrEqual(sent.bytes.length);
  expect(reply?.fds).toEqual([]);
}

describe.each([...guests.keys()])("guest %s", (name) => {
  const recorded = guests.get(name) as Recorded[];

  test.each([
    ["as QEMU sent them", (sent: Recorded) => sent.glued],
    ["all of them pipelined", () => true],
  ])("%s", async (_how, isGlued) => {
    const memory = memfdCreate("memory-backend-memfd", 0x20000000);
    const event = eventfd();
    const peer = new RawPeer(server.sockAddr);
    let unanswered: Recorded[] = [];
    for (const sent of recorded) {
      const fds = sent.fds === "none" ? undefined : [sent.fds === "memory" ? memory : event];
      await peer.send(sent.bytes, fds);
      if (!sent.posted) unanswered.push(sent);
      if (isGlued(sent) && sent.command !== 1) continue;
      for (const command of unanswered) check(command, await peer.receive());
      unanswered = [];
    }
    for (const command of unanswered) check(command, await peer.receive());
    expect(server.stats.refused).toBe(0);
    expect(server.stats.messages).toBe(recorded.length);
    peer.close();
    await until(() => server.client === null && device.calls.includes("disconnected"));
    expect(device.calls.at(-2)).toBe("reset disconnect");
    for (const fd of device.irqFds.values()) expect(fd).toBe(-1);
    for (const fd of [memory, event]) closeFd(fd);
  });
});

test("the recording is whole: three guests, ids in order, every command that QEMU uses", () => {
  expect(guests.size).toBe(3);
  for (const recorded of guests.values()) {
    expect(recorded.slice(0, 50).map(({ id }) => id)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    const commands = new Set(recorded.map(({ command }) => command));
    for (const command of [1, 2, 3, 4, 5, 7, 8, 9, 10, 13]) expect(commands).toContain(command);
  }
});

test("a mappable BAR: QEMU's first question has no room for the capability, its second gets it, with an fd", async () => {
  const bar = memfdCreate("bar0", 0x10000);
  device.regions = [
    { ...device.regions[0], index: 0, size: 0x10000, flags: 3, mmap: () => ({ fd: bar, areas: AREAS }) },
  ];
  await server.stop();
  server = new VfioUserServer(server.sockAddr, device, { log });
  server.start();
  const peer = new RawPeer(server.sockAddr);
  await peer.greet();
  const short = await peer.ask(5, fields(32, 0, 0, 0, 0n, 0n));
  expect(short.body).toEqual(fields(80, 7, 0, 0, 0x10000n, 0n));
  expect(short.fds).toEqual([]);
  const full = await peer.ask(5, fields(80, 0, 0, 0, 0n, 0n));
  expect(full.body.subarray(0, 32)).toEqual(fields(80, 15, 0, 32, 0x10000n, 0n));
  expect(full.body.subarray(32)).toEqual(fields(0x10001, 0, 2, 0, 0n, 0x1000n, 0x2000n, 0x1000n));
  expect(full.fds.length).toBe(1);
  expect((await peer.ask(5, fields(79, 0, 0, 0, 0n, 0n))).fds).toEqual([]);
  for (const fd of [...full.fds, bar]) closeFd(fd);
  peer.close();
});

test("a client that takes no fds is not told of any mapping", async () => {
  let asked = 0;
  const mmap = (): null => {
    asked++;
    return null;
  };
  device.regions = [{ index: 0, size: 0x10000, flags: 3, mmap }];
  await server.stop();
  server = new VfioUserServer(server.sockAddr, device, { log });
  server.start();
  for (const [fds, calls] of [
    [0, 0],
    [1, 1],
    [1, 2],
  ] as const) {
    const peer = new RawPeer(server.sockAddr);
    await peer.greet(`{"capabilities":{"max_msg_fds":${fds}}}\0`);
    for (let i = 0; i < 3; i++)
      expect((await peer.ask(5, fields(99, 0, 0, 0, 0n, 0n))).view.getUint32(4, true)).toBe(3);
    expect(asked).toBe(calls);
    peer.close();
  }
});

const AREAS = [
  { offset: 0, size: 0x1000 },
  { offset: 0x2000, size: 0x1000 },
];
