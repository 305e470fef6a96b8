// libvfio-user test_device_get_irq_info: vectors and flags of each interrupt index, and requests that are no good.

import { afterAll, beforeAll, describe, test } from "vitest";
import { fields } from "../support.ts";
import { COMMAND, ERRNO, Rig } from "./support.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.start((device) => {
    device.irqs = [
      { index: 2, count: 2048, flags: 1 },
      { index: 3, count: 1, flags: 1 },
      { index: 4, count: 1, flags: 1 },
    ];
  });
});
afterAll(() => rig.end());

describe("test_device_get_irq_info_bad_in is EINVAL", () => {
  test.each([
    ["a short message", fields(0, 0)],
    ["a small argsz", fields(8, 0, 4, 0)],
    ["argsz 15", fields(15, 0, 4, 0)],
    ["a bad index", fields(16, 0, 5, 0)],
    ["the worst index", fields(16, 0, 0xffffffff, 0)],
  ])("%s", (_, body) => rig.refused(COMMAND.GET_IRQ_INFO, body, ERRNO.EINVAL));
});

describe("test_device_get_irq_info", () => {
  test.each([
    ["REQ with a larger argsz", fields(32, 0, 4, 0), fields(16, 1, 4, 1)],
    ["REQ", fields(16, 0, 4, 0), fields(16, 1, 4, 1)],
    ["ERR", fields(16, 0, 3, 0), fields(16, 1, 3, 1)],
    ["MSI-X", fields(16, 0, 2, 0), fields(16, 1, 2, 2048)],
    [
      "INTx, which the device has not got: no flag here, EVENTFD in libvfio-user",
      fields(16, 0, 0, 0),
      fields(16, 0, 0, 0),
    ],
  ])("%s", async (_, body, reply) => {
    await rig.answered(COMMAND.GET_IRQ_INFO, body, reply);
  });
});
