// How connections begin: VERSION, messages torn and glued at every byte with their fds, and socket files.

import fs, { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { closeFd, eventfd, memfdCreate, unixListen } from "@emudev/linux";
import { describe, expect, test } from "vitest";
import { VfioUserServer } from "../src/index.ts";
import { device, serve, useServers } from "./fixture.ts";
import { concat, fields, message, newPath, RawPeer, until, versionBody } from "./support.ts";

const EINVAL = 22;

useServers();

describe("VERSION", () => {
  const QEMU =
    '{"capabilities": {"pgsizes": 4096, "max_msg_fds": 16, "max_dma_maps": 65535, "max_data_xfer_size": 1048576, ' +
    '"migration": {"max_bitmap_size": 268435456, "pgsize": 4096}, "write_multiple": true}}\0';

  test("QEMU's is answered by 0.0 and JSON that is not longer than its own", async () => {
    const peer = new RawPeer(serve().sockAddr);
    const { header, body } = await peer.greet(QEMU);
    expect(QEMU.length + 20).toBe(214);
    expect(header.size).toBeLessThanOrEqual(214);
    expect([...body.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
    expect(body.at(-1)).toBe(0);
    const { capabilities } = JSON.parse(Buffer.from(body.subarray(4, -1)).toString());
    expect(capabilities).toEqual({ max_msg_fds: 16, max_data_xfer_size: 1048576, max_dma_maps: 4096, pgsizes: 4096 });
    peer.close();
  });

  test("without JSON, as SPDK's, is answered with JSON", async () => {
    const peer = new RawPeer(serve().sockAddr);
    const { body } = await peer.greet(null, 1);
    expect([...body.subarray(0, 4)]).toEqual([0, 0, 1, 0]);
    expect(JSON.parse(Buffer.from(body.subarray(4, -1)).toString()).capabilities.max_msg_fds).toBe(16);
    peer.close();
  });

  test.each([
    [0, 0],
    [2, 2],
    [999, 2],
  ])("minor %i is answered by %i", async (minor, answer) => {
    const peer = new RawPeer(serve().sockAddr);
    expect((await peer.greet("{}\0", minor)).view.getUint16(2, true)).toBe(answer);
    peer.close();
  });

  test.each<[string, Uint8Array]>([
    ["no payload", message(1, 1, new Uint8Array(0))],
    ["3 bytes", message(1, 1, new Uint8Array(3))],
    ["command 999 first", message(1, 999, versionBody(0, 0, null))],
    ["DMA_MAP first", message(1, 2, fields(32, 3, 0n, 0n, 4096n))],
    ["a reply first", message(1, 1, versionBody(0, 0, null), { flags: 1 })],
    ["major 999", message(1, 1, versionBody(999, 0, null))],
    ["JSON without NUL", message(1, 1, versionBody(0, 0, "{}"))],
    ["JSON without its end", message(1, 1, versionBody(0, 0, '{"capabilities":{}\0'))],
    ["max_msg_fds 1025", message(1, 1, versionBody(0, 0, '{"capabilities":{"max_msg_fds":1025}}\0'))],
    ["size 15", message(1, 1, new Uint8Array(0), { size: 15 })],
  ])("%s is answered EINVAL, and the connection ends", async (_name, bytes) => {
    const server = serve();
    const peer = new RawPeer(server.sockAddr);
    await peer.send(bytes);
    expect((await peer.receive())?.header).toMatchObject({ size: 16, flags: 0x21, error: EINVAL });
    expect(await peer.receive()).toBeNull();
    peer.close();
    expect(device.take()).toEqual([]);
  });

  test("fds with it are EINVAL and closed", async () => {
    const peer = new RawPeer(serve().sockAddr);
    const fd = eventfd();
    expect(await peer.errno(1, versionBody(0, 0, null), { fds: [fd, fd] })).toBe(EINVAL);
    closeFd(fd);
    peer.close();
  });

  test("a size beyond any VERSION ends the connection without a reply", async () => {
    const peer = new RawPeer(serve().sockAddr);
    await peer.send(message(1, 1, new Uint8Array(0), { size: 0xffffffff }));
    expect(await peer.receive()).toBeNull();
    peer.close();
  });

  test("the server accepts the next client after a failed negotiation and after a client that left", async () => {
    const server = serve();
    for (let i = 0; i < 5; i++) {
      const bad = new RawPeer(server.sockAddr);
      expect(await bad.errno(1, new Uint8Array(1))).toBe(EINVAL);
      bad.close();
      const good = new RawPeer(server.sockAddr);
      await good.greet();
      good.close();
    }
    const last = new RawPeer(server.sockAddr);
    await last.greet();
    expect(server.client?.pid).toBe(process.pid);
    last.close();
  });
});

describe("framing", () => {
  const conversation = (): Uint8Array =>
    concat(
      message(0, 1, versionBody(0, 0, "{}\0")),
      message(1, 4, fields(16, 0, 0, 0)),
      message(2, 10, concat(fields(4n, 0, 3), Uint8Array.of(7, 8, 9)), { flags: 0x10 }),
      message(3, 13, new Uint8Array(0)),
      message(4, 9, fields(4n, 0, 3)),
    );
  const expectReplies = async (peer: RawPeer): Promise<void> => {
    const replies = [];
    for (let i = 0; i < 4; i++) replies.push(await peer.receive());
    expect(replies.map((reply) => reply?.header.id)).toEqual([0, 1, 3, 4]);
    expect([...(replies[3]?.body.subarray(16) ?? [])]).toEqual([7, 8, 9]);
  };

  test("messages torn in two at every byte", async () => {
    const server = serve();
    const bytes = conversation();
    for (let at = 1; at < bytes.length; at++) {
      const peer = new RawPeer(server.sockAddr);
      await peer.send(bytes.subarray(0, at));
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      await peer.send(bytes.subarray(at));
      await expectReplies(peer);
      peer.close();
    }
  });

  test("one byte at a time, and all glued together", async () => {
    const server = serve();
    for (const step of [1, 1000]) {
      const peer = new RawPeer(server.sockAddr);
      const bytes = conversation();
      for (let at = 0; at < bytes.length; at += step) {
        await peer.send(bytes.subarray(at, at + step));
        await new Promise(setImmediate);
      }
      await expectReplies(peer);
      peer.close();
    }
  });

  test("fds stay with their message when messages are glued, or torn behind the first byte", async () => {
    const server = serve();
    const files = [memfdCreate("a", 0x1000), memfdCreate("b", 0x2000)] as const;
    const maps = files.map((_, i) => message(i, 2, fields(32, 3, 0n, BigInt(i) << 16n, BigInt(i + 1) << 12n)));
    for (const cut of [1, 15, 16, 17, 47, 48]) {
      const peer = new RawPeer(server.sockAddr);
      await peer.greet();
      for (const [i, bytes] of maps.entries()) {
        await peer.send(bytes.subarray(0, cut), [files[i] as number]);
        await peer.send(concat(bytes.subarray(cut), message(8, 3, fields(24, 0, 5n, 5n))));
      }
      for (let i = 0; i < 2; i++) {
        // A file of the other message would be too short, or the fd missing.
        expect((await peer.receive())?.header).toMatchObject({ id: i, flags: 1 });
        expect((await peer.receive())?.header).toMatchObject({ id: 8, error: 2 });
      }
      peer.close();
    }
    for (const fd of files) closeFd(fd);
  });

  test("fds that fstat(2) fails on, as a dead FUSE mount's, are closed; the message is refused and the client goes on", async () => {
    const peer = new RawPeer(serve().sockAddr);
    await peer.greet();
    const fds = [memfdCreate("a", 0x1000), memfdCreate("b", 0x1000)];
    const { fstatSync } = fs;
    const dead = (): never => {
      throw Object.assign(new Error("ENOTCONN: transport endpoint is not connected, fstat"), {
        errno: -107,
        code: "ENOTCONN",
      });
    };
    fs.fstatSync = dead as typeof fstatSync;
    syncBuiltinESMExports();
    try {
      expect(await peer.errno(2, fields(32, 0, 3, 0n, 0n, 0x1000n), { fds })).toBe(EINVAL);
    } finally {
      fs.fstatSync = fstatSync;
      syncBuiltinESMExports();
    }
    for (const fd of fds) closeFd(fd);
    expect(await peer.errno(4, fields(16, 0, 0, 0))).toBe(0);
    peer.close();
  });

  test("a client that leaves inside a message, at every byte, leaves nothing behind", async () => {
    const server = serve();
    const fd = memfdCreate("guest", 0x1000);
    const bytes = concat(message(0, 1, versionBody(0, 0, null)), message(1, 2, fields(32, 3, 0n, 0n, 0x1000n)));
    for (let at = 0; at < bytes.length; at++) {
      const peer = new RawPeer(server.sockAddr);
      await peer.send(bytes.subarray(0, Math.min(at, 20)));
      if (at > 20) await peer.send(bytes.subarray(20, at), [fd]);
      peer.close();
      await until(() => server.stats.connections === at + 1 && server.client === null);
    }
    closeFd(fd);
    expect(server.stats.clients).toBeGreaterThan(40);
  });
});

describe("the socket file", () => {
  test("a stale one is replaced", async () => {
    const path = newPath();
    mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    closeFd(unixListen(path));
    expect(existsSync(path)).toBe(true);
    const server = new VfioUserServer(path, device);
    server.start();
    const peer = new RawPeer(path);
    expect((await peer.greet()).header.flags).toBe(1);
    peer.close();
    await server.stop();
  });

  test("a live one is not: EADDRINUSE, and a sentence", async () => {
    const server = serve();
    expect(() => new VfioUserServer(server.sockAddr, device).start()).toThrow(
      expect.objectContaining({
        code: "VFU_ADDRESS",
        errno: 98,
        message: expect.stringContaining("somebody listens"),
      }),
    );
    const peer = new RawPeer(server.sockAddr);
    expect((await peer.greet()).header.flags).toBe(1);
    peer.close();
  });

  test("a file that is no socket is never touched", () => {
    const path = newPath();
    writeFileSync(path, "precious");
    expect(() => new VfioUserServer(path, device).start()).toThrow(expect.objectContaining({ errno: 98 }));
    expect(existsSync(path)).toBe(true);
    rmSync(path);
    symlinkSync("/nowhere", path);
    expect(() => new VfioUserServer(path, device).start()).toThrow(expect.objectContaining({ errno: 98 }));
    rmSync(path);
  });

  test("no folder, no path, a path that is too long: a clear error", () => {
    for (const path of ["/nowhere/x.sock", "", `/tmp/${"x".repeat(200)}`]) {
      expect(() => new VfioUserServer(path, device).start()).toThrow(expect.objectContaining({ code: "VFU_ADDRESS" }));
    }
  });

  test("starting twice is refused; stopping twice is not; another's file is not removed", async () => {
    const server = serve();
    expect(() => server.start()).toThrow(expect.objectContaining({ code: "VFU_STATE" }));
    rmSync(server.sockAddr);
    const other = new VfioUserServer(server.sockAddr, device);
    other.start();
    await server.stop();
    await server.stop();
    expect(existsSync(server.sockAddr)).toBe(true);
    await other.stop();
    expect(existsSync(server.sockAddr)).toBe(false);
  });

  test("an inherited listening socket is served and not removed", async () => {
    const path = newPath();
    const server = new VfioUserServer("inherited", device, { fd: unixListen(path) });
    server.start();
    const peer = new RawPeer(path);
    expect((await peer.greet()).header.flags).toBe(1);
    peer.close();
    await server.stop();
    expect(existsSync(path)).toBe(true);
  });
});
