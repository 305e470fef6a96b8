// libvfio-user test_dma_unmap. Bitmaps of regions that are logged: dirty-pages.test.ts.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { concat, fields, gate, message, until } from "../support.ts";
import { COMMAND, ERRNO, Rig } from "./support.ts";

const { EINVAL, ENOENT } = ERRNO;
const [GET_DIRTY_BITMAP, ALL] = [1, 2];
const unmap = (flags: number, iova: bigint, size: bigint, argsz = 24): Uint8Array => fields(argsz, flags, iova, size);
/** With the structure that says how the bitmap is to be: page size, bytes. */
const dirty = (argsz: number, bytes: bigint): Uint8Array =>
  concat(unmap(GET_DIRTY_BITMAP, 0n, 0x1000n, argsz), fields(4096n, bytes));

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.start();
  await rig.peer.ask(COMMAND.DMA_MAP, fields(32, 3, 0n, 0n, 0x1000n));
  rig.device.take();
});
afterEach(() => rig.end());

describe("is EINVAL", () => {
  test.each([
    ["test_dma_unmap_short_write", fields(0, 0)],
    ["test_dma_unmap_bad_argsz: 0", unmap(0, 0n, 0x1000n, 0)],
    ["test_dma_unmap_bad_argsz: 23", unmap(0, 0n, 0x1000n, 23)],
    ["test_dma_unmap_bad_argsz2: beyond 1 MiB", unmap(0, 0n, 0x1000n, (1 << 20) + 1)],
    ["test_dma_unmap_dirty_bad_argsz", dirty(40, (1n << 64n) - 32n)],
    ["test_dma_unmap_dirty_not_tracking", concat(dirty(48, 8n), new Uint8Array(8))],
    ["a dirty bitmap without its structure", unmap(GET_DIRTY_BITMAP, 0n, 0x1000n)],
    ["test_dma_unmap_invalid_flags", unmap(4, 0n, 0x1000n)],
    ["test_dma_unmap_all_invalid_addr", unmap(ALL, 0x10000n, 0x1000n)],
    ["UNMAP_ALL with a size", unmap(ALL, 0n, 0x1000n)],
    ["test_dma_unmap_all_invalid_flags", unmap(ALL | GET_DIRTY_BITMAP, 0n, 0n)],
  ])("%s", async (_, body) => {
    await rig.refused(COMMAND.DMA_UNMAP, body, EINVAL);
    expect(rig.device.take()).toEqual([]);
  });
});

test("test_dma_unmap: the reply echoes the request", async () => {
  await rig.answered(COMMAND.DMA_UNMAP, unmap(0, 0n, 0x1000n), unmap(0, 0n, 0x1000n));
  expect(rig.device.take()).toEqual(["unmap 0+4096"]);
  await rig.refused(COMMAND.DMA_UNMAP, unmap(0, 0n, 0x1000n), ENOENT);
});

test.each([
  ["test_dma_unmap_invalid_addr", 0x10000n, 0x1000n],
  ["a part of a region", 0n, 0x800n],
  ["more than a region", 0n, 0x2000n],
])("%s is ENOENT", (_, iova, size) => rig.refused(COMMAND.DMA_UNMAP, unmap(0, iova, size), ENOENT));

test("test_dma_unmap_async: no reply before the device has let go", async () => {
  const { promise, open } = gate();
  rig.device.hold.dmaUnmap = () => promise;
  await rig.peer.send(message(1, COMMAND.DMA_UNMAP, unmap(0, 0n, 0x1000n)));
  await rig.peer.send(message(2, COMMAND.RESET, new Uint8Array(0)));
  await until(() => rig.device.calls.includes("unmap 0+4096"));
  expect(rig.device.take()).toEqual(["unmap 0+4096"]);
  open();
  expect([(await rig.peer.receive())?.header.id, (await rig.peer.receive())?.header.id]).toEqual([1, 2]);
});

test("test_dma_unmap_all: all 64 at once, and again with none", async () => {
  for (let i = 1n; i < 64n; i++) await rig.peer.ask(COMMAND.DMA_MAP, fields(32, 3, 0n, 0x1000n * i, 0x1000n));
  rig.device.take();
  await rig.answered(COMMAND.DMA_UNMAP, unmap(ALL, 0n, 0n), unmap(ALL, 0n, 0n));
  expect(rig.device.take()).toEqual(["unmap all"]);
  await rig.refused(COMMAND.DMA_UNMAP, unmap(0, 0x1000n, 0x1000n), ENOENT);
  await rig.answered(COMMAND.DMA_UNMAP, unmap(ALL, 0n, 0n), unmap(ALL, 0n, 0n));
  expect(rig.device.take()).toEqual([]);
});
