// libvfio-user test_device_get_region_info_zero_size: a region that is not there has neither capabilities nor an fd.

import { closeFd, memfdCreate } from "@emudev/linux";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fields } from "../support.ts";
import { COMMAND, Rig } from "./support.ts";

let rig: Rig;
let file: number;
beforeAll(async () => {
  file = memfdCreate("bar", 0x10000);
  rig = await Rig.start((device) => {
    const mmap = () => ({ fd: file, areas: [{ offset: 0, size: 0x1000 }] });
    device.regions = [{ index: 2, size: 0, flags: 0, mmap }, device.config.region];
  });
});
afterAll(async () => {
  closeFd(file);
  rig.peer.close();
  await rig.server.stop();
});

test.each([
  [1, "that nobody declared"],
  [2, "that has areas"],
])("test_device_get_region_info_zero_sized_region: region %i, %s: no capability, no fd", async (index) => {
  for (const argsz of [32, 200]) {
    const asked = fields(argsz, 0, index, 0, 0n, 0n);
    expect(await rig.answered(COMMAND.GET_REGION_INFO, asked, fields(32, 0, index, 0, 0n, 0n))).toEqual([]);
  }
});
