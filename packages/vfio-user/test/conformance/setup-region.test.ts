// libvfio-user test_setup_region: the part that a socket shows, accesses to regions. (The checks of what a device declares
// are the API's.)

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { concat, fields } from "../support.ts";
import { COMMAND, ERRNO, NOTHING, Rig } from "./support.ts";

const { EINVAL } = ERRNO;
let rig: Rig;
beforeEach(async () => {
  rig = await Rig.start();
});
afterEach(() => rig.end());

test("test_setup_region_cfg_always_cb: reads of the configuration space are the device's", async () => {
  rig.device.config.read = (_offset: number, into: Uint8Array) => into.fill(0xcc);
  const reply = concat(fields(0n, 7, 2), Uint8Array.of(0xcc, 0xcc));
  await rig.answered(COMMAND.REGION_READ, fields(0n, 7, 2), reply);
});

describe("is EINVAL", () => {
  test.each([
    ["test_region_offset_overflow", COMMAND.REGION_READ, fields((1n << 64n) - 1n, 7, 256)],
    ["test_access_region_large_count: a read", COMMAND.REGION_READ, fields(0n, 7, (1 << 20) + 8)],
    ["test_access_region_large_count: a write", COMMAND.REGION_WRITE, fields(0n, 7, (1 << 20) + 8)],
    ["test_region_offset_too_short: a write", COMMAND.REGION_WRITE, fields(0n)],
    ["test_region_offset_too_short: a read", COMMAND.REGION_READ, fields(0n)],
    ["an offset behind the region", COMMAND.REGION_READ, fields(0x10000n, 0, 1)],
    ["an end behind the region", COMMAND.REGION_READ, fields(0xffffn, 0, 2)],
    ["a region that is not there", COMMAND.REGION_READ, fields(0n, 1, 1)],
    ["a region beyond the last", COMMAND.REGION_READ, fields(0n, 9, 1)],
    ["less data than the count", COMMAND.REGION_WRITE, concat(fields(0n, 0, 2), Uint8Array.of(1))],
    ["more data than the count", COMMAND.REGION_WRITE, concat(fields(0n, 0, 1), Uint8Array.of(1, 2))],
  ])("%s", async (_, command, body) => {
    await rig.refused(command, body, EINVAL);
    expect(rig.device.take()).toEqual([]);
  });
});

test("test_access_region_zero_count: the header alone, for reads and writes", async () => {
  await rig.answered(COMMAND.REGION_READ, fields(0n, 0, 0), NOTHING);
  await rig.answered(COMMAND.REGION_WRITE, fields(0n, 0, 0), NOTHING);
  expect(rig.device.take()).toEqual([]);
});
