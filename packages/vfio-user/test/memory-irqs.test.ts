// What the server answers to DMA_MAP, DMA_UNMAP and DEVICE_SET_IRQS, byte by byte over a real socket: libvfio-user's
// own test list as far as a socket can show it, with its errno values. Every refusal must also leave no fd behind.

import { closeFd, eventfd, eventfdRead, eventfdWrite, memfdCreate, socketPair } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { refusal } from "../src/index.ts";
import { device, peer, server, useGreetedPeer } from "./fixture.ts";
import { concat, fields, until } from "./support.ts";

const OK = 0;
const ENOENT = 2;
const EBUSY = 16;
const EEXIST = 17;
const EINVAL = 22;
const ENOSPC = 28;
const ENOTSUP = 95;

useGreetedPeer({ maxDmaMaps: 64 });

describe("DEVICE_SET_IRQS", () => {
  const set = (flags: number, index: number, start: number, count: number, data: number[] = []): Uint8Array =>
    concat(fields(20, flags, index, start, count), Uint8Array.from(data));
  const NONE = 1;
  const BOOL = 2;
  const EVENTFD = 4;
  const MASK = 8;
  const UNMASK = 16;
  const TRIGGER = 32;

  test.each<[string, Uint8Array, number]>([
    ["no payload", new Uint8Array(0), 0],
    ["a short message", new Uint8Array(19).fill(20), 0],
    ["a small argsz", fields(19, NONE | TRIGGER, 2, 0, 1), 0],
    ["index 5", set(NONE | TRIGGER, 5, 0, 1), 0],
    ["MASK and UNMASK together", set(NONE | MASK | UNMASK, 2, 0, 1), 0],
    ["NONE and BOOL together", set(NONE | BOOL | MASK, 2, 0, 1, [1]), 0],
    ["no data flag", set(TRIGGER, 2, 0, 1), 0],
    ["no action flag", set(NONE, 2, 0, 1), 0],
    ["an unknown flag", set(NONE | TRIGGER | 64, 2, 0, 1), 0],
    ["start behind the vectors", set(NONE | TRIGGER, 2, 5, 1), 0],
    ["a range beyond the vectors", set(NONE | TRIGGER, 2, 4, 2), 0],
    ["a range that overflows", set(NONE | TRIGGER, 2, 1, 0xffffffff), 0],
    ["MASK for ERR", set(NONE | MASK, 3, 0, 1), 0],
    ["MASK for REQ", set(NONE | MASK, 4, 0, 1), 0],
    ["a range for ERR", set(NONE | TRIGGER, 3, 0, 2), 0],
    ["start without count", set(NONE | TRIGGER, 2, 1, 0), 0],
    ["MASK without count", set(NONE | MASK, 2, 0, 0), 0],
    ["BOOL without count", set(BOOL | TRIGGER, 2, 0, 0), 0],
    ["EVENTFD without count", set(EVENTFD | TRIGGER, 2, 0, 0), 0],
    ["fewer booleans than vectors", set(BOOL | TRIGGER, 2, 0, 2, [1]), 0],
    ["more booleans than vectors", set(BOOL | TRIGGER, 2, 0, 2, [1, 1, 1]), 0],
    ["fds with BOOL", set(BOOL | TRIGGER, 2, 0, 1, [1]), 1],
    ["fds with NONE", set(NONE | TRIGGER, 2, 0, 1), 1],
    ["fds with disable", set(NONE | TRIGGER, 2, 0, 0), 1],
    ["one fd for two vectors", set(EVENTFD | TRIGGER, 2, 0, 2), 1],
    ["two fds for one vector", set(EVENTFD | TRIGGER, 2, 0, 1), 2],
    ["vectors of an index without any", set(NONE | TRIGGER, 0, 0, 1), 0],
  ])("%s is EINVAL", async (_name, body, fds) => {
    const fd = eventfd();
    expect(await peer.errno(8, body, { fds: new Array(fds).fill(fd) })).toBe(EINVAL);
    expect(device.take()).toEqual([]);
    closeFd(fd);
  });

  test("disabling an index succeeds with vectors bound, with none bound, and without vectors at all", async () => {
    for (const index of [2, 0, 1]) expect(await peer.errno(8, set(NONE | TRIGGER, index, 0, 0))).toBe(OK);
    expect(device.take()).toEqual(["irqs 2+0:-,-,-,-,-"]);
  });

  test("EVENTFD without fds unbinds, as QEMU does to enable MSI-X", async () => {
    expect(await peer.errno(8, set(EVENTFD | TRIGGER, 2, 0, 1))).toBe(OK);
    expect(device.take()).toEqual(["irqs 2+0:-"]);
  });

  test("bound eventfds are the device's; binding again replaces", async () => {
    const fds = [eventfd(), eventfd()];
    expect(await peer.errno(8, set(EVENTFD | TRIGGER, 2, 3, 2), { fds })).toBe(OK);
    expect(await peer.errno(8, set(EVENTFD | TRIGGER, 2, 3, 1), { fds: [fds[1] as number] })).toBe(OK);
    expect(device.take()).toEqual(["irqs 2+3:fd,fd", "irqs 2+3:fd"]);
    expect(server.irqFd(2, 3)).toBe(device.irqFds.get("2.3"));
    expect(server.irqFd(2, 2)).toBe(-1);
    for (const fd of fds) closeFd(fd);
  });

  test("NONE and BOOL trigger the eventfds that are meant", async () => {
    const fds = [eventfd(4), eventfd(), eventfd()] as const;
    await peer.ask(8, set(EVENTFD | TRIGGER, 2, 1, 3), { fds });
    expect(await peer.errno(8, set(NONE | TRIGGER, 2, 0, 2))).toBe(OK);
    expect(await peer.errno(8, set(BOOL | TRIGGER, 2, 1, 3, [0, 1, 0]))).toBe(OK);
    expect(fds.map((fd) => eventfdRead(fd))).toEqual([5, 1, 0]);
    for (const fd of fds) closeFd(fd);
  });

  test("MASK and UNMASK reach the device as ranges", async () => {
    expect(await peer.errno(8, set(NONE | MASK, 2, 1, 3))).toBe(OK);
    expect(await peer.errno(8, set(BOOL | UNMASK, 2, 0, 5, [1, 1, 0, 0, 1]))).toBe(OK);
    expect(device.take()).toEqual(["mask 2+1:3", "unmask 2+0:2", "unmask 2+4:1"]);
  });

  test("fds that are no eventfds are EINVAL: a pipe or socket could be made to block its writer", async () => {
    const [a, b] = socketPair();
    const memory = memfdCreate("no eventfd", 4096);
    for (const fd of [a, memory])
      expect(await peer.errno(8, set(EVENTFD | TRIGGER, 2, 0, 1), { fds: [fd] })).toBe(EINVAL);
    for (const fd of [a, b, memory]) closeFd(fd);
  });

  test("an UNMASK eventfd unmasks its vector when it is written; a MASK eventfd is written with each mask", async () => {
    const [unmask, masked] = [eventfd(), eventfd()];
    expect(await peer.errno(8, set(EVENTFD | UNMASK, 2, 3, 1), { fds: [unmask] })).toBe(OK);
    expect(await peer.errno(8, set(EVENTFD | MASK, 2, 3, 1), { fds: [masked] })).toBe(OK);
    await peer.ask(8, set(NONE | MASK, 2, 2, 3));
    expect([eventfdRead(masked), device.take()]).toEqual([1, ["mask 2+2:3"]]);
    eventfdWrite(unmask);
    await until(() => device.calls.length > 0, "the unmasking");
    expect(device.take()).toEqual(["unmask 2+3:1"]);
    // unbound: nobody listens any more
    expect(await peer.errno(8, set(EVENTFD | UNMASK, 2, 3, 1))).toBe(OK);
    eventfdWrite(unmask);
    await peer.ask(8, set(NONE | UNMASK, 2, 0, 1));
    expect([eventfdRead(unmask), device.take()]).toEqual([1, ["unmask 2+0:1"]]);
    await peer.ask(8, set(EVENTFD | UNMASK, 2, 0, 2), { fds: [unmask, masked] });
    for (const fd of [unmask, masked]) closeFd(fd);
  });

  test("mask eventfds of a device without masks are ENOTSUP", async () => {
    (device as { maskIrqs?: unknown }).maskIrqs = undefined;
    const fd = eventfd();
    expect(await peer.errno(8, set(EVENTFD | UNMASK, 2, 0, 1), { fds: [fd] })).toBe(ENOTSUP);
    closeFd(fd);
  });
});

describe("DMA_MAP", () => {
  const map = (iova: bigint, size: bigint, flags = 3, offset = 0n, argsz = 32): Uint8Array =>
    fields(argsz, flags, offset, iova, size);
  let memory = -1;
  beforeEach(() => {
    memory = memfdCreate("guest", 1 << 20);
  });
  afterEach(() => closeFd(memory));

  test("with and without an fd; the reply is the header alone", async () => {
    const reply = await peer.ask(2, map(0n, 0x1000n, 3, 0x2000n), { fds: [memory] });
    expect(reply.header.size).toBe(16);
    expect(await peer.errno(2, map(0x1000n, 0x1000n, 1))).toBe(OK);
    expect(device.take()).toEqual(["map 0+4096 prot 3 fd@8192", "map 4096+4096 prot 1 no fd@0"]);
  });

  test("exactly the same again succeeds, and the device is not asked", async () => {
    for (let i = 0; i < 3; i++) expect(await peer.errno(2, map(0n, 0x1000n), { fds: [memory] })).toBe(OK);
    expect(device.take()).toEqual(["map 0+4096 prot 3 fd@0"]);
  });

  test("any other overlap is EEXIST", async () => {
    const other = memfdCreate("other", 1 << 20);
    await peer.ask(2, map(0x10000n, 0x10000n), { fds: [memory] });
    expect(await peer.errno(2, map(0x10000n, 0x10000n), { fds: [other] })).toBe(EEXIST);
    expect(await peer.errno(2, map(0x10000n, 0x10000n))).toBe(EEXIST);
    expect(await peer.errno(2, map(0x10000n, 0x10000n, 1), { fds: [memory] })).toBe(EEXIST);
    expect(await peer.errno(2, map(0x10000n, 0x10000n, 3, 0x1000n), { fds: [memory] })).toBe(EEXIST);
    expect(await peer.errno(2, map(0x1f000n, 0x1000n), { fds: [memory] })).toBe(EEXIST);
    expect(await peer.errno(2, map(0xf000n, 0x2000n))).toBe(EEXIST);
    expect(await peer.errno(2, map(0n, 0x100000n))).toBe(EEXIST);
    expect(await peer.errno(2, map(0x20000n, 0x1000n))).toBe(OK);
    expect(await peer.errno(2, map(0xf000n, 0x1000n))).toBe(OK);
    closeFd(other);
  });

  test("too big is ENOSPC, one region too many is EINVAL", async () => {
    expect(await peer.errno(2, map(0n, (8n << 40n) + 4096n))).toBe(ENOSPC);
    expect(await peer.errno(2, map(1n << 60n, 8n << 40n))).toBe(OK);
    for (let i = 1n; i < 64n; i++) expect(await peer.errno(2, map(i << 16n, 0x1000n))).toBe(OK);
    expect(await peer.errno(2, map(64n << 16n, 0x1000n), { fds: [memory] })).toBe(EINVAL);
    expect(await peer.errno(3, fields(24, 0, 1n << 16n, 0x1000n))).toBe(OK);
    expect(await peer.errno(2, map(64n << 16n, 0x1000n))).toBe(OK);
  });

  test("short, small argsz, unknown flags, empty, beyond the address space: EINVAL", async () => {
    for (let bytes = 0; bytes < 32; bytes++) expect(await peer.errno(2, new Uint8Array(bytes).fill(32))).toBe(EINVAL);
    expect(await peer.errno(2, map(0n, 0x1000n, 3, 0n, 31))).toBe(EINVAL);
    expect(await peer.errno(2, map(0n, 0x1000n, 0x13), { fds: [memory] })).toBe(EINVAL);
    expect(await peer.errno(2, map(0n, 0n))).toBe(EINVAL);
    expect(await peer.errno(2, map((1n << 64n) - 1n, 2n))).toBe(EINVAL);
    expect(await peer.errno(2, map(0n, 0x1000n), { fds: [memory, memory] })).toBe(EINVAL);
    expect(device.take()).toEqual([]);
  });

  test("fds that cannot be mapped as told are EINVAL: a socket, an eventfd, a file that is too short", async () => {
    const [a, b] = socketPair();
    const event = eventfd();
    for (const fd of [a, event]) expect(await peer.errno(2, map(0n, 0x1000n), { fds: [fd] })).toBe(EINVAL);
    expect(await peer.errno(2, map(0n, 0x1000n, 3, 0xff001n), { fds: [memory] })).toBe(EINVAL);
    expect(await peer.errno(2, map(0n, 0x100001n), { fds: [memory] })).toBe(EINVAL);
    expect(await peer.errno(2, map(0n, 0x100000n), { fds: [memory] })).toBe(OK);
    for (const fd of [a, b, event]) closeFd(fd);
  });

  test("a refusal of the device is the errno of the reply, and the region is not there", async () => {
    device.hold.dmaMap = () => Promise.reject(refusal(EBUSY, "not now"));
    expect(await peer.errno(2, map(0n, 0x1000n))).toBe(EBUSY);
    device.hold.dmaMap = () => {
      throw refusal(EBUSY, "not now");
    };
    expect(await peer.errno(2, map(0n, 0x1000n))).toBe(EBUSY);
    device.hold = {};
    expect(await peer.errno(3, fields(24, 0, 0n, 0x1000n))).toBe(ENOENT);
    expect(await peer.errno(2, map(0n, 0x1000n))).toBe(OK);
  });
});

describe("DMA_UNMAP", () => {
  const unmap = (iova: bigint, size: bigint, flags = 0, argsz = 24): Uint8Array => fields(argsz, flags, iova, size);

  test("exactly what was mapped; the reply echoes the request", async () => {
    await peer.ask(2, fields(32, 3, 0n, 0x1000n, 0x2000n));
    expect((await peer.ask(3, unmap(0x1000n, 0x2000n))).body).toEqual(unmap(0x1000n, 0x2000n));
    expect(device.take()).toEqual(["map 4096+8192 prot 3 no fd@0", "unmap 4096+8192"]);
    expect(await peer.errno(3, unmap(0x1000n, 0x2000n))).toBe(ENOENT);
  });

  test("an unknown address, or part of a region, is ENOENT", async () => {
    await peer.ask(2, fields(32, 3, 0n, 0x1000n, 0x2000n));
    for (const [iova, size] of [
      [0n, 0x1000n],
      [0x1000n, 0x1000n],
      [0x2000n, 0x1000n],
      [0x1000n, 0x3000n],
    ] as const) {
      expect(await peer.errno(3, unmap(iova, size))).toBe(ENOENT);
    }
  });

  test("short, argsz 0, argsz too big, dirty bitmap, unknown flags: EINVAL", async () => {
    for (let bytes = 0; bytes < 24; bytes++) expect(await peer.errno(3, new Uint8Array(bytes).fill(24))).toBe(EINVAL);
    expect(await peer.errno(3, unmap(0n, 0x1000n, 0, 0))).toBe(EINVAL);
    expect(await peer.errno(3, unmap(0n, 0x1000n, 0, (1 << 20) + 1))).toBe(EINVAL);
    expect(await peer.errno(3, concat(unmap(0n, 0x1000n, 1, 48), fields(4096n, 8n), new Uint8Array(8)))).toBe(EINVAL);
    expect(await peer.errno(3, unmap(0n, 0x1000n, 4))).toBe(EINVAL);
  });

  test("UNMAP_ALL removes all 64, and takes no address and no other flag", async () => {
    for (let i = 0n; i < 64n; i++) await peer.ask(2, fields(32, 3, 0n, i << 12n, 0x1000n));
    device.take();
    expect(await peer.errno(3, unmap(0x1000n, 0n, 2))).toBe(EINVAL);
    expect(await peer.errno(3, unmap(0n, 0x1000n, 2))).toBe(EINVAL);
    expect(await peer.errno(3, unmap(0n, 0n, 3))).toBe(EINVAL);
    expect((await peer.ask(3, unmap(0n, 0n, 2))).body).toEqual(unmap(0n, 0n, 2));
    expect(await peer.errno(3, unmap(0n, 0n, 2))).toBe(OK);
    expect(device.take()).toEqual(["unmap all"]);
    expect(await peer.errno(3, unmap(0n, 0x1000n))).toBe(ENOENT);
    expect(await peer.errno(2, fields(32, 3, 0n, 0n, 0x10000n))).toBe(OK);
  });

  test("a refusal of the device leaves the region mapped", async () => {
    await peer.ask(2, fields(32, 3, 0n, 0n, 0x1000n));
    device.hold.dmaUnmap = () => Promise.reject(refusal(EBUSY, "not now"));
    expect(await peer.errno(3, unmap(0n, 0x1000n))).toBe(EBUSY);
    device.hold = {};
    expect(await peer.errno(3, unmap(0n, 0x1000n))).toBe(OK);
  });
});
