// How a server treats its clients: one at a time, the others told or made to wait, peers that stay silent, do not read or
// vanish at any instant.

import { existsSync } from "node:fs";
import { closeFd, eventfd, memfdCreate, unixConnect } from "@emudev/linux";
import { describe, expect, test } from "vitest";
import { VfioUserServer } from "../src/index.ts";
import { device, log, serve, useServers } from "./fixture.ts";
import {
  concat,
  fields,
  gate,
  ManualClock,
  message,
  newPath,
  RawPeer,
  TestDevice,
  until,
  versionBody,
} from "./support.ts";

const EBUSY = 16;

useServers();

describe("one client at a time", () => {
  test("a second client is told EBUSY and sent away, and the log names the holder", async () => {
    const server = serve();
    const holder = new RawPeer(server.sockAddr);
    await holder.greet();
    const second = new RawPeer(server.sockAddr);
    expect(await second.errno(1, versionBody(0, 0, null))).toBe(EBUSY);
    expect(await second.receive()).toBeNull();
    expect(log.lines.find((line) => line.startsWith("notice"))).toContain(`in use by client ${process.pid}`);
    expect(await holder.errno(13)).toBe(0);
    expect(server.stats.busy).toBe(1);
    second.close();
    holder.close();
  });

  test("a holder that has died unnoticed is no holder", async () => {
    const server = serve();
    const first = new RawPeer(server.sockAddr);
    await first.greet();
    first.close();
    const next = new RawPeer(server.sockAddr);
    expect((await next.greet()).header.flags).toBe(1);
    next.close();
  });

  test("while one is cleaned up after, the next waits and then gets a clean device", async () => {
    const server = serve();
    const first = new RawPeer(server.sockAddr);
    await first.greet();
    const fds = [eventfd(), eventfd()] as const;
    await first.ask(2, fields(32, 3, 0n, 0n, 0x1000n));
    await first.ask(8, fields(20, 0x24, 2, 1, 2), { fds });
    const { promise, open } = gate();
    device.hold.dmaUnmapAll = () => promise;
    first.close();
    const waiting = [new RawPeer(server.sockAddr), new RawPeer(server.sockAddr)] as const;
    const answers = waiting.map((peer) => peer.errno(1, versionBody(0, 0, null)));
    await until(() => device.calls.includes("unmap all"));
    expect(device.calls).not.toContain("reset disconnect");
    device.take();
    open();
    expect(await Promise.all(answers)).toEqual([0, EBUSY]);
    expect(device.take()).toEqual(["irqs 2+0:-,-,-,-,-", "reset disconnect", "disconnected", "connected"]);
    expect(await waiting[0].errno(2, fields(32, 3, 0n, 0n, 0x2000n))).toBe(0);
    for (const peer of waiting) peer.close();
    for (const fd of fds) closeFd(fd);
  });

  test("a connection that only looks, as a probe does, disturbs nobody", async () => {
    const server = serve();
    const holder = new RawPeer(server.sockAddr);
    await holder.greet();
    for (let i = 0; i < 20; i++) closeFd(unixConnect(server.sockAddr));
    expect(await holder.errno(13)).toBe(0);
    holder.close();
  });

  test("a connection without VERSION is closed in time, and so is the oldest of too many", async () => {
    const clock = new ManualClock();
    const server = serve({ clock });
    const silent = new RawPeer(server.sockAddr);
    await until(() => server.stats.connections === 1);
    clock.pass(10_000);
    expect(await silent.receive()).toBeNull();
    silent.close();
    const patient = serve();
    const crowd = Array.from({ length: 70 }, () => undefined as unknown as RawPeer);
    for (const i of crowd.keys()) {
      crowd[i] = new RawPeer(patient.sockAddr);
      await until(() => patient.stats.connections === i + 1);
    }
    for (const peer of crowd.slice(0, 6)) expect(await peer.receive()).toBeNull();
    expect((await (crowd[69] as RawPeer).greet()).header.flags).toBe(1);
    for (const peer of crowd) peer.close();
  });
});

describe("clients that leave", () => {
  const CALLBACKS: [string, string, number, Uint8Array][] = [
    ["dmaMap", "map", 2, fields(32, 3, 0n, 0n, 0x1000n)],
    ["regionRead", "read", 9, fields(0n, 0, 4)],
    ["regionWrite", "write", 10, concat(fields(0n, 0, 1), Uint8Array.of(1))],
    ["setIrqs", "irqs", 8, fields(20, 0x24, 2, 0, 1)],
    ["reset", "reset", 13, new Uint8Array(0)],
  ];

  test.each(CALLBACKS)(
    "in the middle of %s: it ends first, then comes the cleaning up, and its reply goes to nobody",
    async (name, call, command, body) => {
      const server = serve();
      const { promise, open } = gate();
      const first = new RawPeer(server.sockAddr);
      await first.greet();
      device.hold[name] = () => promise;
      await first.send(message(77, command, body));
      await until(() => device.calls.some((line) => line.startsWith(call)));
      await first.send(message(78, 13, new Uint8Array(0)));
      first.close();
      const next = new RawPeer(server.sockAddr);
      const greeted = next.greet();
      await until(() => server.client === null);
      expect(device.take().filter((line) => line.startsWith("reset disconnect"))).toEqual([]);
      device.hold = {};
      open();
      expect((await greeted).header).toMatchObject({ command: 1, flags: 1 });
      const calls = device.take();
      expect(calls.slice(-3)).toEqual(["reset disconnect", "disconnected", "connected"]);
      expect(calls.includes("unmap all")).toBe(name === "dmaMap");
      expect((await next.ask(4, fields(16, 0, 0, 0), { id: 5 })).header.id).toBe(5);
      next.close();
    },
  );

  test("with commands and fds still queued: they are dropped, the fds closed", async () => {
    const server = serve();
    const { promise, open } = gate();
    const peer = new RawPeer(server.sockAddr);
    await peer.greet();
    device.hold.reset = () => promise;
    await peer.send(message(1, 13, new Uint8Array(0)));
    const fd = memfdCreate("guest", 0x100000);
    for (let i = 0; i < 100; i++) await peer.send(message(i, 2, fields(32, 3, 0n, BigInt(i) << 12n, 0x1000n)), [fd]);
    await until(() => server.stats.messages >= 102);
    peer.close();
    await until(() => server.client === null);
    open();
    await until(() => device.calls.includes("disconnected"));
    expect(device.calls.filter((call) => call.startsWith("map"))).toEqual([]);
    closeFd(fd);
  });

  test("a callback that takes long is named in the log", async () => {
    const clock = new ManualClock();
    const server = serve({ clock });
    const { promise, open } = gate();
    const peer = new RawPeer(server.sockAddr);
    await peer.greet();
    device.hold.dmaMap = () => promise;
    await peer.send(message(1, 2, fields(32, 3, 0n, 0n, 0x1000n)));
    await until(() => device.calls.length > 1);
    peer.close();
    await until(() => server.client === null);
    clock.pass(1000);
    await until(() => log.lines.some((line) => line.startsWith("warning") && line.includes("DMA_MAP")));
    open();
    await until(() => device.calls.includes("disconnected"));
  });

  test("stop ends clients, cleans up and removes the socket file", async () => {
    const server = serve();
    const peer = new RawPeer(server.sockAddr);
    await peer.greet();
    await peer.ask(2, fields(32, 3, 0n, 0n, 0x1000n));
    const stranger = new RawPeer(server.sockAddr);
    await server.stop();
    expect(device.take().slice(-3)).toEqual(["unmap all", "reset disconnect", "disconnected"]);
    expect(await peer.receive()).toBeNull();
    expect(await stranger.receive()).toBeNull();
    expect(existsSync(server.sockAddr)).toBe(false);
    server.start();
    const again = new RawPeer(server.sockAddr);
    expect((await again.greet()).header.flags).toBe(1);
    for (const socket of [peer, stranger, again]) socket.close();
  });
});

describe("bounds", () => {
  test("a client that never reads is dropped, others are served meanwhile", async () => {
    const server = serve();
    const other = new VfioUserServer(newPath(), new TestDevice());
    other.start();
    const lazy = new RawPeer(server.sockAddr);
    await lazy.greet();
    const ask = message(1, 9, fields(0n, 0, 0x10000));
    let alive = true;
    const flood = (async () => {
      try {
        for (;;) await lazy.send(ask);
      } catch {
        alive = false;
      }
    })();
    const peer = new RawPeer(other.sockAddr);
    await peer.greet();
    while (alive) expect(await peer.errno(13)).toBe(0);
    await flood;
    expect(log.lines.join()).toContain("does not read");
    expect(server.stats.dropped).toBe(1);
    lazy.close();
    peer.close();
    await other.stop();
  });

  test("commands that pile up behind a busy device are left in the socket", async () => {
    const server = serve();
    const { promise, open } = gate();
    const peer = new RawPeer(server.sockAddr);
    await peer.greet();
    device.hold.reset = () => promise;
    await peer.send(message(0, 13, new Uint8Array(0)));
    const writes = 5000;
    const sending = (async () => {
      for (let i = 0; i < writes; i++) {
        await peer.send(message(i, 10, concat(fields(0n, 0, 1), Uint8Array.of(i)), { flags: 0x10 }));
      }
    })();
    await until(() => server.stats.messages >= 256);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(server.stats.messages).toBeLessThan(300);
    open();
    await sending;
    expect((await peer.receive())?.header.command).toBe(13);
    expect((await peer.ask(9, fields(0n, 0, 1))).body[16]).toBe((writes - 1) & 0xff);
    peer.close();
  });
});
