// libvfio-user test_device_set_irqs and test_irq_trigger. The server keeps the eventfds itself here, as libvfio-user does.

import { closeFd, eventfd, eventfdRead, fdCount } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { concat, fields } from "../support.ts";
import { COMMAND, closeFds, ERRNO, NOTHING, Rig } from "./support.ts";

const { EINVAL } = ERRNO;
const [NONE, BOOL, EVENTFD, MASK, UNMASK, TRIGGER] = [1, 2, 4, 8, 16, 32];
const [INTX, MSIX, ERR, REQ] = [0, 2, 3, 4];
const set = (flags: number, index: number, start: number, count: number, ...bools: number[]): Uint8Array =>
  concat(fields(20 + bools.length, flags, index, start, count), Uint8Array.from(bools));

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.start((device) => {
    device.irqs = [
      { index: MSIX, count: 2048, flags: 1 },
      { index: ERR, count: 1, flags: 1 },
      { index: REQ, count: 1, flags: 1 },
    ];
    Object.assign(device, { setIrqs: undefined });
  });
});
afterEach(() => rig.end());

const ok = (body: Uint8Array, fds?: number[]) => rig.answered(COMMAND.SET_IRQS, body, NOTHING, { fds });

describe("is EINVAL", () => {
  test.each([
    ["test_device_set_irqs_no_irq_set", NOTHING],
    ["test_device_set_irqs_short_write", fields(0, 0)],
    ["test_device_set_irqs_bad_argsz", fields(3, TRIGGER | NONE, REQ, 0, 0)],
    ["test_device_set_irqs_bad_index", set(TRIGGER | NONE, 5, 0, 0)],
    ["test_device_set_irqs_bad_flags_MASK_and_UNMASK", set(MASK | UNMASK, MSIX, 0, 0)],
    ["MASK and UNMASK with a data flag", set(NONE | MASK | UNMASK, MSIX, 0, 1)],
    ["test_device_set_irqs_bad_flags_DATA_NONE_and_DATA_BOOL", set(MASK | NONE | BOOL, MSIX, 0, 0)],
    ["no action", set(NONE, MSIX, 0, 1)],
    ["no data flag", set(TRIGGER, MSIX, 0, 1)],
    ["test_device_set_irqs_bad_start_count_range", set(MASK | NONE, MSIX, 2047, 2)],
    ["test_device_set_irqs_bad_start_count_range2", set(MASK | NONE, MSIX, 2049, 1)],
    ["start and count beyond 32 bits", set(MASK | NONE, MSIX, 1, 0xffffffff)],
    ["test_device_set_irqs_bad_action_for_err_irq", set(MASK | NONE, ERR, 0, 1)],
    ["test_device_set_irqs_bad_action_for_req_irq", set(MASK | NONE, REQ, 0, 1)],
    ["UNMASK of REQ", set(UNMASK | NONE, REQ, 0, 1)],
    ["test_device_set_irqs_bad_start_count_range_for_err_irq", set(TRIGGER | NONE, ERR, 0, 2)],
    ["test_device_set_irqs_bad_start_count_range_for_req_irq", set(TRIGGER | NONE, REQ, 0, 2)],
    ["test_device_set_irqs_bad_start_for_count_0", set(MASK | NONE, MSIX, 1, 0)],
    ["TRIGGER with count 0 and a start", set(TRIGGER | NONE, MSIX, 1, 0)],
    ["test_device_set_irqs_bad_action_for_count_0", set(MASK | NONE, MSIX, 0, 0)],
    ["test_device_set_irqs_bad_action_and_data_type_for_count_0", set(TRIGGER | BOOL, MSIX, 0, 0)],
    ["EVENTFD with count 0", set(TRIGGER | EVENTFD, MSIX, 0, 0)],
    ["test_device_set_irqs_trigger_bool_too_small", set(TRIGGER | BOOL, MSIX, 0, 2, 0)],
    ["test_device_set_irqs_trigger_bool_too_large", set(TRIGGER | BOOL, MSIX, 0, 2, 0, 0, 0)],
    ["a vector of an index without any", set(TRIGGER | NONE, INTX, 0, 1)],
  ])("%s", (_, body) => rig.refused(COMMAND.SET_IRQS, body, EINVAL));

  test.each([
    ["test_device_set_irqs_bad_fds_for_DATA_BOOL", set(TRIGGER | BOOL, MSIX, 0, 1, 0)],
    ["test_device_set_irqs_bad_fds_for_DATA_NONE", set(TRIGGER | NONE, MSIX, 0, 1)],
    ["fds to disable with", set(TRIGGER | NONE, MSIX, 0, 0)],
    ["test_device_set_irqs_bad_fds_for_count_2", set(TRIGGER | EVENTFD, MSIX, 0, 2)],
  ])("%s; the fd is closed", async (_, body) => {
    const fd = eventfd();
    await rig.refused(COMMAND.SET_IRQS, body, EINVAL, { fds: [fd] });
    closeFd(fd);
  });
});

test("test_device_set_irqs_disable: NONE with count 0, and EVENTFD without fds", async () => {
  await ok(set(TRIGGER | NONE, REQ, 0, 0));
  await ok(set(TRIGGER | EVENTFD, REQ, 0, 1));
});

test("disabling unbinds every vector of the index, EVENTFD without fds those of its range alone", async () => {
  const fds = [eventfd(), eventfd(), eventfd()];
  await ok(set(TRIGGER | EVENTFD, MSIX, 5, 3), fds);
  await ok(set(TRIGGER | EVENTFD, MSIX, 6, 1));
  expect([5, 6, 7].map((vector) => rig.server.irqTrigger(MSIX, vector))).toEqual([true, false, true]);
  await ok(set(TRIGGER | NONE, MSIX, 0, 0));
  expect([5, 6, 7].map((vector) => rig.server.irqTrigger(MSIX, vector))).toEqual([false, false, false]);
  closeFds(fds);
});

test("test_device_set_irqs_enable, test_device_set_irqs_enable_update: a vector's old eventfd is closed", async () => {
  const fds = [eventfd(), eventfd()];
  await ok(set(TRIGGER | EVENTFD, MSIX, 0, 1), [fds[0] as number]);
  const open = fdCount();
  await ok(set(TRIGGER | EVENTFD, MSIX, 0, 1), [fds[1] as number]);
  expect(fdCount()).toBe(open);
  expect(rig.server.irqTrigger(MSIX, 0)).toBe(true);
  expect(fds.map((fd) => eventfdRead(fd))).toEqual([0, 1]);
  closeFds(fds);
});

test("test_device_set_irqs_enable_trigger_none: the range's eventfds alone", async () => {
  const fds = [eventfd(4), eventfd(8)];
  await ok(set(TRIGGER | EVENTFD, MSIX, 0, 2), fds);
  await ok(set(TRIGGER | NONE, MSIX, 1, 1));
  expect(fds.map((fd) => eventfdRead(fd))).toEqual([4, 9]);
  closeFds(fds);
});

test("test_device_set_irqs_enable_trigger_bool: where a byte is 1", async () => {
  const fds = [eventfd(4), eventfd(8)];
  await ok(set(TRIGGER | EVENTFD, MSIX, 0, 2), fds);
  await ok(set(TRIGGER | BOOL, MSIX, 0, 2, 0, 1));
  expect(fds.map((fd) => eventfdRead(fd))).toEqual([4, 9]);
  closeFds(fds);
});

test("test_irq_state: masks and unmasks reach the device with start and count", async () => {
  await ok(set(NONE | MASK, MSIX, 0, 1));
  await ok(set(NONE | UNMASK, MSIX, 7, 3));
  await ok(set(BOOL | MASK, MSIX, 4, 5, 1, 1, 0, 0, 1));
  expect(rig.device.take()).toEqual(["mask 2+0:1", "unmask 2+7:3", "mask 2+4:2", "mask 2+8:1"]);
});

describe("test_irq_trigger", () => {
  test("an eventfd that holds 4 reads 5 after one trigger", async () => {
    const fd = eventfd(4);
    await ok(set(TRIGGER | EVENTFD, MSIX, 8, 1), [fd]);
    expect(rig.server.irqTrigger(MSIX, 8)).toBe(true);
    expect(eventfdRead(fd)).toBe(5);
    closeFd(fd);
  });

  test("test_irq_trigger_bad_subindex, test_irq_trigger_no_interrupt: false, where libvfio-user has EINVAL and ENOENT", () => {
    expect([2048, 2049, -1, 0].map((vector) => rig.server.irqTrigger(MSIX, vector))).toEqual(Array(4).fill(false));
  });
});
