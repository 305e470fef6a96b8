// The proxy of `vfu trace` between raw sockets of the test: bytes and fds arrive as they were sent, whatever they are; ends, torn
// streams and a side that does not read are passed on as they would be felt without a proxy. With --trap nothing can be mapped.
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  closeFd,
  eventfd,
  eventfdRead,
  eventfdWrite,
  fdCount,
  fileStat,
  memfdCreate,
  SocketMessenger,
  shutdownFd,
  socketPair,
  unixAccept,
  unixConnect,
  unixListen,
} from "@emudev/linux";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Passed } from "../src/trace/passed.ts";
import { type Event, TraceProxy } from "../src/trace/proxy/proxy.ts";
import { json, message, u16, u32, u64 } from "./trace-messages.ts";

const folder = mkdtempSync("/tmp/emudev-trace-");
const server = join(folder, "server.sock");
const listen = join(folder, "trace.sock");

interface Seen extends Passed {
  copy: Uint8Array;
}

let listener = -1;
let proxy: TraceProxy;
let seen: Seen[] = [];
let events: Event[] = [];
let behind: Promise<void> | null = null;
let before = 0;
const fds: number[] = [];

function own(...list: number[]): number {
  fds.push(...list);
  return list[0]!;
}

/** Lets the proxy work until something holds. */
async function until<T>(get: () => T | null | undefined | false): Promise<T> {
  for (;;) {
    const got = get();
    if (got !== null && got !== undefined && got !== false) return got;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function start(trap = false): void {
  proxy = new TraceProxy({
    listen,
    server,
    trap,
    passed: (each) => seen.push({ ...each, copy: each.bytes.slice() }),
    event: (event) => events.push(event),
    behind: () => behind,
  });
}

class Peer {
  readonly fd: number;
  readonly messenger: SocketMessenger;

  constructor(fd: number) {
    this.fd = own(fd);
    this.messenger = new SocketMessenger(fd);
  }

  send(bytes: Uint8Array, ...withFds: number[]): void {
    expect(this.messenger.send(bytes, 0, bytes.length, withFds.length > 0 ? withFds : undefined)).toBe(bytes.length);
  }

  /** What one read gives, as QEMU and libvfio-user read: so many bytes, and the fds that came with the first. */
  async read(length: number): Promise<{ bytes: Uint8Array; fds: number[] }> {
    const into = new Uint8Array(length);
    let have = 0;
    const got: number[] = [];
    while (have < length) {
      const count = await until(() => {
        const result = this.messenger.recv(into, have, length - have);
        return result < 0 ? null : { result };
      });
      got.push(...this.messenger.fds);
      own(...this.messenger.fds);
      if (count.result === 0) return { bytes: into.subarray(0, have), fds: got };
      have += count.result;
    }
    return { bytes: into, fds: got };
  }

  close(): void {
    fds.splice(fds.indexOf(this.fd), 1);
    closeFd(this.fd);
  }
}

async function connected(): Promise<{ client: Peer; device: Peer }> {
  const client = new Peer(unixConnect(listen));
  const accepted = await until(() => {
    const fd = unixAccept(listener);
    return fd < 0 ? null : { fd };
  });
  return { client, device: new Peer(accepted.fd) };
}

beforeEach(() => {
  before = fdCount();
  seen = [];
  events = [];
  behind = null;
  listener = unixListen(server);
});

afterEach(() => {
  proxy.stop();
  for (const fd of fds.splice(0)) if (fd >= 0) closeFd(fd);
  closeFd(listener);
  rmSync(server, { force: true });
  expect(fdCount()).toBe(before);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("messages", () => {
  it("go through both ways as they are, glued or torn at any byte", async () => {
    start();
    const { client, device } = await connected();
    const write = message(1, 10, `${u64(0x8400n)}${u32(0)}${u32(4)}01020304`);
    const reset = message(2, 13, "");
    const both = Uint8Array.of(...write, ...reset);
    client.send(both);
    expect((await device.read(both.length)).bytes).toEqual(both);
    for (let cut = 1; cut < write.length; cut++) {
      const passed = seen.length;
      device.send(write.subarray(0, cut));
      await new Promise((resolve) => setImmediate(resolve));
      device.send(write.subarray(cut));
      expect((await client.read(write.length)).bytes).toEqual(write);
      await until(() => seen.length > passed);
    }
    expect(seen.slice(0, 3).map(({ direction, copy }) => [direction, copy.length])).toEqual([
      ["c>s", write.length],
      ["c>s", 16],
      ["s>c", write.length],
    ]);
  });

  it("carry their fds on their first byte, each to its own message", async () => {
    start();
    const { client, device } = await connected();
    const map = message(1, 2, u32(32) + u32(3) + u64(0n) + u64(0n) + u64(4096n));
    const ram = own(memfdCreate("guest-ram", 4096));
    const bell = own(eventfd());
    client.send(map, ram);
    client.send(message(2, 13, ""));
    client.send(message(3, 8, u32(20) + u32(0x24) + u32(2) + u32(0) + u32(2)), bell, bell);
    const header = await device.read(16);
    expect(header.fds).toHaveLength(1);
    expect(fileStat(header.fds[0]!).ino).toBe(fileStat(ram).ino);
    expect((await device.read(32)).fds).toEqual([]);
    expect((await device.read(16)).fds).toEqual([]);
    const irqs = await device.read(16);
    expect(irqs.fds).toHaveLength(2);
    eventfdWrite(irqs.fds[1]!);
    expect(eventfdRead(bell)).toBe(1);
    await until(() => seen.length === 3);
    expect(seen.map((each) => each.fds)).toEqual([["memfd:guest-ram"], [], ["eventfd", "eventfd"]]);
  });

  it("keep fds with the byte that they came with, even when that is not the first", async () => {
    start();
    const { client, device } = await connected();
    const map = message(1, 2, u32(32) + u32(3) + u64(0n) + u64(0n) + u64(4096n));
    const ram = own(memfdCreate("late", 4096));
    client.send(map.subarray(0, 16));
    client.send(map.subarray(16), ram);
    expect((await device.read(16)).fds).toEqual([]);
    expect((await device.read(32)).fds).toHaveLength(1);
  });

  it("that are none pass as well: sizes that are too small, and longer than what is held", async () => {
    start();
    const { client, device } = await connected();
    const small = message(1, 4, "");
    new DataView(small.buffer).setUint32(4, 3, true);
    client.send(small);
    expect((await device.read(16)).bytes).toEqual(small);
    const long = new Uint8Array(3_000_000).map((_, i) => i * 7);
    new DataView(long.buffer).setUint32(4, long.length, true);
    let sent = 0;
    const received = device.read(long.length);
    while (sent < long.length) {
      const count = client.messenger.send(long, sent, Math.min(65536, long.length - sent));
      if (count > 0) sent += count;
      else await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(Buffer.compare((await received).bytes, long)).toBe(0);
    client.send(message(9, 13, ""));
    expect((await device.read(16)).bytes).toEqual(message(9, 13, ""));
    await until(() => seen.length === 3);
    expect(seen.map(({ kind, size }) => [kind, size])).toEqual([
      ["message", 3],
      ["large", 3_000_000],
      ["message", 16],
    ]);
  });
});

describe("ends", () => {
  it("what came before an end arrives before it: half a message, and what the other side still answers", async () => {
    start();
    const { client, device } = await connected();
    client.send(message(1, 13, ""));
    client.send(message(2, 9, "0000").subarray(0, 17));
    shutdownFd(client.fd, "write");
    expect((await device.read(100)).bytes).toHaveLength(16 + 17);
    device.send(message(1, 13, "", 1));
    expect((await client.read(16)).bytes).toEqual(message(1, 13, "", 1));
    device.close();
    expect((await client.read(1)).bytes).toHaveLength(0);
    await until(() => events.length === 2);
    expect(seen.map(({ kind }) => kind)).toEqual(["message", "torn", "message"]);
    expect(events[1]).toMatchObject({ event: "disconnect", by: "client" });
  });

  it("a server that refuses says so before it closes; the next client is served, several at a time", async () => {
    start();
    const first = await connected();
    const second = await connected();
    second.client.send(message(1, 1, "00000000"));
    await second.device.read(20);
    second.device.send(message(1, 1, "", 0x21, 16));
    second.device.close();
    expect((await second.client.read(17)).bytes).toEqual(message(1, 1, "", 0x21, 16));
    first.client.send(message(1, 13, ""));
    expect((await first.device.read(16)).bytes).toHaveLength(16);
    expect(seen.map(({ connection }) => connection)).toEqual([2, 2, 1]);
  });

  it("no server: the client is closed and the reason told", async () => {
    start();
    closeFd(listener);
    listener = unixListen(join(folder, "other.sock"));
    rmSync(join(folder, "other.sock"));
    const client = new Peer(unixConnect(listen));
    expect((await client.read(1)).bytes).toHaveLength(0);
    expect(events).toMatchObject([{ event: "refused", connection: 1, reason: expect.stringMatching(/ECONNREFUSED/) }]);
  });

  it("a side that never reads stops the other, nothing piles up, and nothing is lost", async () => {
    start();
    const { client, device } = await connected();
    const one = message(1, 12, "ab".repeat(60_000));
    let sent = 0;
    for (let full = 0; full < 20; ) {
      const count = client.messenger.send(one, sent % one.length, one.length - (sent % one.length));
      full = count < 0 ? full + 1 : 0;
      if (count < 0) await new Promise((resolve) => setTimeout(resolve, 5));
      else sent += count;
    }
    // two socket buffers and one message: far less than what a proxy without pressure would have taken
    expect(sent).toBeLessThan(4 << 20);
    client.close();
    const { bytes } = await device.read(sent + 1);
    expect(bytes).toHaveLength(sent);
    for (let at = 0; at < sent; at += one.length) {
      expect(Buffer.compare(bytes.subarray(at, at + one.length), one.subarray(0, bytes.length - at))).toBe(0);
    }
  });

  it("waits for whoever takes what it tells", async () => {
    start();
    const { client, device } = await connected();
    let go = (): void => {};
    behind = new Promise((resolve) => {
      go = resolve;
    });
    client.send(message(1, 13, ""));
    await device.read(16);
    client.send(message(2, 13, ""));
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(seen).toHaveLength(1);
    behind = null;
    go();
    expect((await device.read(16)).bytes).toEqual(message(2, 13, ""));
  });
});

describe("what is changed on the way", () => {
  const info = (argsz: number, flags: number, capOffset: number): string =>
    u32(argsz) + u32(flags) + u32(0) + u32(capOffset) + u64(0x10000n) + u64(0n);
  const sparse = (next: number): string => u16(1) + u16(1) + u32(next) + u32(1) + u32(0) + u64(0n) + u64(0x1000n);
  const type = u16(2) + u16(1) + u32(0) + u32(5) + u32(6);

  it("--trap: a region loses mmap flag, sparse areas and fd; the server is asked with room for them", async () => {
    start(true);
    const { client, device } = await connected();
    client.send(message(1, 5, info(32, 0, 0)));
    const asked = (await device.read(48)).bytes;
    expect(new DataView(asked.buffer).getUint32(16, true)).toBeGreaterThan(64);
    const ram = own(memfdCreate("doorbells", 4096));
    device.send(message(1, 5, info(64, 15, 32) + sparse(0), 1), ram);
    const reply = await client.read(48);
    expect(reply.fds).toEqual([]);
    expect(reply.bytes).toEqual(message(1, 5, info(32, 3, 0), 1));
    expect(seen[1]).toMatchObject({ fds: ["memfd:doorbells"], note: "trap: fd kept back" });
  });

  it("--trap: other capabilities stay, for a client with room for them", async () => {
    start(true);
    const { client, device } = await connected();
    const full = message(2, 5, info(80, 15, 32) + sparse(64) + type, 1);
    client.send(message(2, 5, info(32, 0, 0)));
    await device.read(48);
    device.send(full);
    expect((await client.read(48)).bytes).toEqual(message(2, 5, info(48, 11, 0), 1));
    client.send(message(2, 5, info(48, 0, 0)));
    await device.read(48);
    device.send(full);
    expect((await client.read(64)).bytes).toEqual(message(2, 5, info(48, 11, 32) + type, 1));
    client.send(message(3, 5, info(8, 0, 0)));
    expect((await device.read(48)).bytes).toEqual(message(3, 5, info(8, 0, 0)));
  });

  it("--trap: there are no ioeventfds", async () => {
    start(true);
    const { client, device } = await connected();
    const entry = u64(0n) + u64(4n) + u32(0) + u32(0) + u32(0) + u32(0) + u64(0n);
    device.send(message(1, 6, u32(56) + u32(0) + u32(2) + u32(1) + entry, 1), own(eventfd()));
    const reply = await client.read(32);
    expect(reply).toEqual({ bytes: message(1, 6, u32(16) + u32(0) + u32(2) + u32(0), 1), fds: [] });
    device.send(message(2, 6, "", 0x21, 22));
    expect((await client.read(16)).bytes).toEqual(message(2, 6, "", 0x21, 22));
  });

  it("a twin socket is the proxy's own, and what passes there is seen", async () => {
    start();
    const { client, device } = await connected();
    const [mine, theirs] = socketPair();
    const twinEnd = new Peer(mine);
    const reply = message(
      1,
      1,
      `00000000${json('{"capabilities":{"twin_socket":{"supported":true,"fd_index":0}}}')}`,
      1,
    );
    const { ino } = fileStat(theirs);
    device.send(reply, theirs);
    closeFd(theirs);
    const got = await client.read(reply.length);
    expect(got.bytes).toEqual(reply);
    expect(got.fds).toHaveLength(1);
    expect(fileStat(got.fds[0]!).ino).not.toBe(ino);
    const twin = new SocketMessenger(got.fds[0]!);
    const read = message(5, 11, u64(0n) + u64(4n));
    twinEnd.send(read);
    await until(() => seen.length === 2);
    const into = new Uint8Array(32);
    expect(twin.recv(into, 0, 32)).toBe(32);
    expect(into).toEqual(read);
    expect(seen[1]).toMatchObject({ channel: "twin", direction: "s>c" });
    client.close();
    device.close();
    expect((await twinEnd.read(1)).bytes).toHaveLength(0);
  });
});
