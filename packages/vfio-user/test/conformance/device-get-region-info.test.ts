// libvfio-user test_device_get_region_info: sizes, rights, the sparse mmap capability with its one fd, configuration space,
// and BAR sizing through it.

import { closeFd, fileStat, memfdCreate } from "@emudev/linux";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PciConfig } from "../../src/index.ts";
import { concat, fields } from "../support.ts";
import { COMMAND, closeFds, ERRNO, Rig } from "./support.ts";

const ask = (argsz: number, index: number): Uint8Array => fields(argsz, 0, index, 0, 0n, 0n);
const sparse = (...areas: (readonly [number, number])[]): Uint8Array =>
  concat(
    fields(1 | (1 << 16), 0, areas.length, 0),
    ...areas.map(([offset, size]) => fields(BigInt(offset), BigInt(size))),
  );

const TWO = [
  [0x2000, 0x1000],
  [0x4000, 0x2000],
] as const;
const NINE = Array.from({ length: 9 }, (_, i) => [0x1000 * (i + 1), 0x1000] as const);
const areasOf = (list: readonly (readonly [number, number])[]) => list.map(([offset, size]) => ({ offset, size }));

let rig: Rig;
let file: number;

beforeAll(async () => {
  file = memfdCreate("bars", 0x20000);
  const config = new PciConfig({
    vendorId: 0x1234,
    deviceId: 1,
    classCode: 0xff0000,
    bars: [
      { index: 0, bytes: 2 ** 34, kind: "mem64" },
      { index: 2, bytes: 0x8000, kind: "mem32" },
    ],
    pcie: { at: 0x40, flr: true },
  });
  rig = await Rig.start((device) => {
    device.config = config;
    device.regions = [
      { index: 1, size: 4096, flags: 3 },
      { index: 2, size: 0x8000, flags: 3, mmap: () => ({ fd: file, offset: 0x8000, areas: areasOf(TWO) }) },
      { index: 3, size: 0x10000, flags: 3, mmap: () => ({ fd: file, areas: areasOf(NINE) }) },
      config.region,
    ];
  });
});
afterAll(async () => {
  await rig.end().catch((error) => {
    closeFd(file);
    throw error;
  });
  closeFd(file);
});

describe("is EINVAL", () => {
  test.each([8, 16, 31])("test_device_get_region_info_short_write: %i bytes", (bytes) =>
    rig.refused(COMMAND.GET_REGION_INFO, new Uint8Array(bytes).fill(32), ERRNO.EINVAL),
  );
  test.each([0, 8, 31])("test_device_get_region_info_bad_argsz: %i", (argsz) =>
    rig.refused(COMMAND.GET_REGION_INFO, ask(argsz, 1), ERRNO.EINVAL),
  );
  test.each([9, 0xffffffff])("test_device_get_region_info_bad_index: %i", (index) =>
    rig.refused(COMMAND.GET_REGION_INFO, ask(32, index), ERRNO.EINVAL),
  );
});

test("test_device_get_region_info_larger_argsz: 32 bytes all the same", async () => {
  await rig.answered(COMMAND.GET_REGION_INFO, ask(40, 1), fields(32, 3, 1, 0, 4096n, 0n));
});

test("test_device_get_region_info_small_argsz_caps: the argsz that is needed, MMAP, no CAPS, no fd", async () => {
  const reply = fields(80, 3 | 4, 2, 0, 0x8000n, 0x8000n);
  expect(await rig.answered(COMMAND.GET_REGION_INFO, ask(32, 2), reply)).toEqual([]);
  expect(await rig.answered(COMMAND.GET_REGION_INFO, ask(79, 2), reply)).toEqual([]);
});

test("test_device_get_region_info_caps: two areas, and the one fd of the region", async () => {
  const reply = concat(fields(80, 3 | 4 | 8, 2, 32, 0x8000n, 0x8000n), sparse(...TWO));
  const fds = await rig.answered(COMMAND.GET_REGION_INFO, ask(80, 2), reply);
  expect(fds.map((fd) => fileStat(fd).ino)).toEqual([fileStat(file).ino]);
  closeFds(fds);
});

test("test_device_get_region_info_caps_too_few_fds: nine areas need no more than the region's one fd", async () => {
  const reply = concat(fields(192, 3 | 4 | 8, 3, 32, 0x10000n, 0n), sparse(...NINE));
  const fds = await rig.answered(COMMAND.GET_REGION_INFO, ask(192, 3), reply);
  expect(fds).toHaveLength(1);
  closeFds(fds);
});

test("the configuration space: 4096 bytes for PCI Express, without being declared as more than that", async () => {
  await rig.answered(COMMAND.GET_REGION_INFO, ask(32, 7), fields(32, 3, 7, 0, 4096n, 0n));
});

describe("BAR sizing: all ones are written, the size's mask is read", () => {
  const config = async (offset: number): Promise<number> => {
    await rig.peer.ask(COMMAND.REGION_WRITE, fields(BigInt(offset), 7, 4, 0xffffffff));
    const { view } = await rig.peer.ask(COMMAND.REGION_READ, fields(BigInt(offset), 7, 4));
    return view.getUint32(16, true);
  };

  test("32 bits: 32 KiB", async () => expect(await config(0x18)).toBe(0xffff8000));
  test("64 bits: 16 GiB, over both registers", async () =>
    expect([await config(0x10), await config(0x14)]).toEqual([0x4, 0xfffffffc]));
  test("a BAR that is not there reads 0", async () => expect(await config(0x24)).toBe(0));
});
