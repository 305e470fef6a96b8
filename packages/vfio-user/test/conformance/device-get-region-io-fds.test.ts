// libvfio-user test_device_get_region_io_fds and test_shadow_ioeventfd. Entries have the specification's 40 bytes here
// (libvfio-user: always 48) unless one has shadow memory, and come in the device's order (libvfio-user: reversed).

import { closeFd, eventfd, eventfdRead, eventfdWrite, mapAnywhere, memfdCreate, pread } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { IoFd } from "../../src/index.ts";
import { concat, fields } from "../support.ts";
import { COMMAND, closeFds, ERRNO, Rig } from "./support.ts";

const { EINVAL } = ERRNO;
const ask = (argsz: number, index: number, flags = 0, count = 0): Uint8Array => fields(argsz, flags, index, count);
const head = (count: number, index = 2, size = 40): Uint8Array => fields(16 + count * size, 0, index, count);
const entry = (offset: number, fdIndex: number): Uint8Array => fields(BigInt(offset), 8n, fdIndex, 0, 0, 0, 0n);

let rig: Rig;
let fds: number[];
let list: IoFd[];

beforeEach(async () => {
  fds = Array.from({ length: 6 }, () => eventfd());
  list = fds.map((fd, i) => ({ offset: 8 * i, size: 8, fd, type: "ioeventfd" }));
  rig = await Rig.start((device) => {
    device.regions = [
      { index: 1, size: 0x8000, flags: 3 },
      { index: 2, size: 0x8000, flags: 3 },
      { index: 5, size: 0x8000, flags: 3 },
      device.config.region,
    ];
    Object.assign(device, { ioFds: (index: number) => (index === 2 ? list : []) });
  });
});
afterEach(async () => {
  await rig.end();
  closeFds(fds);
});

describe("is EINVAL", () => {
  test.each([
    ["test_device_get_region_io_fds_bad_flags", ask(16 + 40 * 5, 2, 1)],
    ["test_device_get_region_io_fds_bad_count", ask(16 + 40 * 5, 2, 0, 1)],
    ["test_device_get_region_io_fds_buffer_too_small", ask(15, 2)],
    ["test_device_get_region_io_fds_buffer_too_large", ask((1 << 20) + 1, 2)],
    ["test_device_get_region_io_fds_no_regions_setup", ask(512, 3)],
    ["test_device_get_region_io_fds_region_out_of_range", ask(512, 512)],
    ["a short message", ask(512, 2).subarray(0, 15)],
  ])("%s", (_, body) => rig.refused(COMMAND.GET_REGION_IO_FDS, body, EINVAL));
});

test.each([
  ["test_device_get_region_io_fds_no_fds", 1],
  ["test_device_get_region_io_fds_region_no_mmap", 5],
])("%s: an empty list", async (_, index) => {
  expect(await rig.answered(COMMAND.GET_REGION_IO_FDS, ask(512, index), head(0, index))).toEqual([]);
});

test("test_device_get_region_io_fds_full: every entry, every fd", async () => {
  const reply = concat(head(6), ...fds.map((_, i) => entry(8 * i, i)));
  const got = await rig.answered(COMMAND.GET_REGION_IO_FDS, ask(16 + 40 * 6, 2), reply);
  expect(got).toHaveLength(6);
  closeFds(got);
});

test("test_device_get_region_io_fds_fds_read_write: what the client writes the server reads, and the reverse", async () => {
  const reply = concat(head(6), ...fds.map((_, i) => entry(8 * i, i)));
  const got = await rig.answered(COMMAND.GET_REGION_IO_FDS, ask(512, 2), reply);
  for (const fd of got) eventfdWrite(fd, 10);
  expect(fds.map((fd) => eventfdRead(fd))).toEqual(Array(6).fill(10));
  for (const fd of fds) eventfdWrite(fd, 3);
  expect(got.map((fd) => eventfdRead(fd))).toEqual(Array(6).fill(3));
  closeFds(got);
});

test("test_device_get_region_io_fds_fds_read_write_nothing: no room, the count and the argsz that is needed", async () => {
  for (const argsz of [16, 16 + 40 * 6 - 1]) {
    expect(await rig.answered(COMMAND.GET_REGION_IO_FDS, ask(argsz, 2), head(6))).toEqual([]);
  }
});

test("test_device_get_region_io_fds_fds_read_write_dupe_fd: an fd of two entries is sent once", async () => {
  list = [...list, { offset: 48, size: 8, fd: fds[5] as number, type: "ioeventfd" }];
  const reply = concat(head(7), ...fds.map((_, i) => entry(8 * i, i)), entry(48, 5));
  const got = await rig.answered(COMMAND.GET_REGION_IO_FDS, ask(512, 2), reply);
  expect(got).toHaveLength(6);
  closeFds(got);
});

test("test_device_get_region_io_fds_invalid_fd: -1 is fd_index 0xffffffff and no fd", async () => {
  const [a, b] = fds as [number, number];
  const at = (i: number, fd: number): IoFd => ({ offset: 8 * i, size: 8, fd, type: "ioeventfd" });
  list = [at(0, a), at(1, -1), at(2, b), at(3, -1), at(4, b)];
  const none = 0xffffffff;
  const reply = concat(head(5), entry(0, 0), entry(8, none), entry(16, 1), entry(24, none), entry(32, 1));
  const got = await rig.answered(COMMAND.GET_REGION_IO_FDS, ask(512, 2), reply);
  expect(got).toHaveLength(2);
  closeFds(got);
});

test("test_device_get_region_io_fds_ioeventfd_invalid_size: an entry beyond its region is the device's bug, EIO", async () => {
  list = [{ offset: 0x8000 - 0x800, size: 4096, fd: fds[0] as number, type: "ioeventfd" }];
  await rig.refused(COMMAND.GET_REGION_IO_FDS, ask(512, 2), ERRNO.EIO);
});

test("test_shadow_ioeventfd: the value in shadow memory, the signal by eventfd", async () => {
  const shadow = memfdCreate("shadow", 0x1000);
  const bell = fds[0] as number;
  list = [{ offset: 8, size: 16, fd: bell, type: "shadow", shadow: { fd: shadow, offset: 8 } }];
  const reply = concat(head(1, 2, 48), fields(8n, 16n, 0, 2, 0, 1, 8n, 0n));
  const got = await rig.answered(COMMAND.GET_REGION_IO_FDS, ask(512, 2), reply);
  expect(got).toHaveLength(2);
  expect(eventfdRead(bell)).toBe(0);
  const memory = mapAnywhere(0x1000, 3, got[1] as number, 0);
  new DataView(memory.buffer).setBigUint64(8, 0xdeadbeefn, true);
  eventfdWrite(got[0] as number, 0xcafebabe);
  memory.unmap();
  const value = new Uint8Array(8);
  pread(shadow, value, 8);
  expect([eventfdRead(bell), new DataView(value.buffer).getBigUint64(0, true)]).toEqual([0xcafebabe, 0xdeadbeefn]);
  closeFds(got);
  closeFd(shadow);
});
