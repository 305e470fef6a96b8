// libvfio-user test_dma_map: what cannot be mapped, and a device that needs time ("quiesce").

import { closeFd, memfdCreate } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fields, gate, message, until } from "../support.ts";
import { COMMAND, ERRNO, NOTHING, Rig } from "./support.ts";

const { EEXIST, EINVAL, ENOSPC } = ERRNO;
const [READ, WRITE, MMAP, FILE_IO] = [1, 2, 4, 8];
const map = (iova: bigint, size: bigint, flags = READ | WRITE, offset = 0n, argsz = 32): Uint8Array =>
  fields(argsz, flags, offset, iova, size);

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.start();
});
afterEach(() => rig.end());

const ok = (body: Uint8Array, fds?: number[]) => rig.answered(COMMAND.DMA_MAP, body, NOTHING, { fds });

test("test_dma_region_too_big: beyond 8 TiB is ENOSPC", () =>
  rig.refused(COMMAND.DMA_MAP, map(0x10000n, (8n << 40n) + 4096n), ENOSPC));

test("test_dma_region_too_many: the 65th of 64 is EINVAL", async () => {
  for (let i = 1n; i <= 64n; i++) await ok(map(0x1000n * i, 4096n));
  await rig.refused(COMMAND.DMA_MAP, map(0x1000n * 65n, 4096n), EINVAL);
});

test("test_dma_map_busy: no reply before the device is done, and one callback", async () => {
  const { promise, open } = gate();
  rig.device.hold.dmaMap = () => promise;
  await rig.peer.send(message(1, COMMAND.DMA_MAP, map(0n, 0x1000n)));
  await rig.peer.send(message(2, COMMAND.GET_INFO, fields(16, 0, 0, 0)));
  await until(() => rig.device.calls.length > 0);
  expect(rig.device.take()).toEqual(["map 0+4096 prot 3 no fd@0"]);
  open();
  expect([(await rig.peer.receive())?.header.id, (await rig.peer.receive())?.header.id]).toEqual([1, 2]);
  expect(rig.device.take()).toEqual([]);
});

test("test_dma_map_busy_reply_fail: a client that leaves meanwhile; what was mapped goes, then the reset", async () => {
  const { promise, open } = gate();
  rig.device.hold.dmaMap = () => promise;
  await rig.peer.send(message(1, COMMAND.DMA_MAP, map(0n, 0x1000n)));
  await until(() => rig.device.calls.length > 0);
  rig.peer.close();
  await until(() => rig.server.client === null);
  open();
  await until(() => rig.device.calls.includes("disconnected"));
  expect(rig.device.take().slice(1)).toEqual(["unmap all", "reset disconnect", "disconnected"]);
  await rig.connect();
});

describe("is EINVAL (libvfio-user's handle_dma_map)", () => {
  test.each([
    ["a short message", map(0n, 0x1000n).subarray(0, 31)],
    ["argsz 31", map(0n, 0x1000n, 3, 0n, 31)],
    ["unknown flags", map(0n, 0x1000n, 0x13)],
    ["MMAP without an fd", map(0n, 0x1000n, READ | MMAP)],
    ["FILE_IO without an fd", map(0n, 0x1000n, READ | FILE_IO)],
  ])("%s", (_, body) => rig.refused(COMMAND.DMA_MAP, body, EINVAL));
});

describe("with an fd", () => {
  let file: number;
  beforeEach(() => {
    file = memfdCreate("memory", 0x10000);
  });
  afterEach(() => closeFd(file));

  test.each([
    [READ | WRITE, "map"],
    [READ | WRITE | MMAP, "map"],
    [READ | WRITE | FILE_IO, "file"],
  ])("flags %i: the device is to use it as %s", async (flags, mode) => {
    let got = "";
    const { dmaMap } = rig.device;
    rig.device.dmaMap = (region) => {
      got = `${region.mode} prot ${region.prot}`;
      return dmaMap.call(rig.device, region);
    };
    await ok(map(0n, 0x1000n, flags), [file]);
    expect(got).toBe(`${mode} prot 3`);
  });

  test("MMAP and FILE_IO together are EINVAL", () =>
    rig.refused(COMMAND.DMA_MAP, map(0n, 0x1000n, READ | MMAP | FILE_IO), EINVAL, { fds: [file] }));

  test("the same region again succeeds and asks nobody; with other prot, offset, use or file it is EEXIST", async () => {
    await ok(map(0n, 0x1000n), [file]);
    await ok(map(0n, 0x1000n), [file]);
    expect(rig.device.take()).toHaveLength(1);
    await rig.refused(COMMAND.DMA_MAP, map(0n, 0x1000n, READ), EEXIST, { fds: [file] });
    await rig.refused(COMMAND.DMA_MAP, map(0n, 0x1000n, 3, 0x1000n), EEXIST, { fds: [file] });
    await rig.refused(COMMAND.DMA_MAP, map(0n, 0x1000n, 3 | FILE_IO), EEXIST, { fds: [file] });
    await rig.refused(COMMAND.DMA_MAP, map(0n, 0x1000n), EEXIST);
    await rig.refused(COMMAND.DMA_MAP, map(0n, 0x2000n), EEXIST, { fds: [file] });
  });
});
