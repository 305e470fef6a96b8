// libvfio-user test_device_get_info: what the device is, and requests that are too short to ask it.

import { afterAll, beforeAll, describe, test } from "vitest";
import { fields } from "../support.ts";
import { COMMAND, ERRNO, Rig } from "./support.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.start();
});
afterAll(() => rig.end());

describe("test_get_device_info", () => {
  test.each([4, 8, 12, 15])("short write: %i bytes are EINVAL", (bytes) =>
    rig.refused(COMMAND.GET_INFO, new Uint8Array(bytes).fill(32), ERRNO.EINVAL),
  );
  test.each([0, 8, 15])("bad argsz: %i is EINVAL", (argsz) =>
    rig.refused(COMMAND.GET_INFO, fields(argsz, 0, 0, 0), ERRNO.EINVAL),
  );
  test.each([16, 32])(
    "valid with argsz %i: argsz 16, flags RESET and PCI, 9 regions, 5 interrupt indexes",
    async (argsz) => {
      await rig.answered(COMMAND.GET_INFO, fields(argsz, 0, 0, 0), fields(16, 3, 9, 5));
    },
  );
});
