// libvfio-user test_request_errors: messages that are no commands, fds of failed ones, and clients that leave. "Quiesce" is
// in this package the promise of a callback: what follows waits for it.

import { closeFd, eventfd, fdCount } from "@emudev/linux";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fields, gate, message, RawPeer, until } from "../support.ts";
import { COMMAND, ERRNO, NOTHING, Rig } from "./support.ts";

const { EINVAL } = ERRNO;
let rig: Rig;
beforeEach(async () => {
  rig = await Rig.start();
});
afterEach(() => rig.end());

test("test_too_small: size 15 in the header; the next message starts behind the header", async () => {
  await rig.refused(COMMAND.SET_IRQS, NOTHING, EINVAL, { size: 15 });
  await rig.answered(COMMAND.RESET, NOTHING, NOTHING);
});

test("test_too_large: size beyond the largest message; then the connection ends, which libvfio-user leaves open", async () => {
  await rig.refused(COMMAND.SET_IRQS, NOTHING, EINVAL, { size: (1 << 20) + 33 });
  expect(await rig.peer.receive()).toBeNull();
});

test("test_unsolicited_reply", () => rig.refused(COMMAND.SET_IRQS, NOTHING, EINVAL, { id: 0xbad2, flags: 1 }));

test("test_bad_command: the first number that is none", () => rig.refused(19, new Uint8Array(1), EINVAL));

test("test_no_payload: of every command but DEVICE_RESET", async () => {
  for (const command of [2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18]) await rig.refused(command, NOTHING, EINVAL);
  await rig.answered(COMMAND.RESET, NOTHING, NOTHING);
});

test("test_bad_request_closes_fds", async () => {
  const fds = [eventfd(), eventfd()];
  const before = fdCount();
  await rig.refused(COMMAND.SET_IRQS, fields(20, 2 | 32, 2, 0, 1), EINVAL, { fds });
  expect(fdCount()).toBe(before);
  for (const fd of fds) closeFd(fd);
});

test("test_disconnected_socket: the device is reset", async () => {
  rig.peer.close();
  await until(() => rig.device.calls.includes("disconnected"));
  expect(rig.device.take()).toEqual(["reset disconnect", "disconnected"]);
  await rig.connect();
});

test("test_disconnected_socket_quiesce_busy: nothing further happens until the device is done, then once", async () => {
  await rig.peer.ask(COMMAND.DMA_MAP, fields(32, 3, 0n, 0n, 0x1000n));
  rig.device.take();
  const { promise, open } = gate();
  rig.device.hold.dmaUnmapAll = () => promise;
  rig.peer.close();
  await until(() => rig.device.calls.includes("unmap all"));
  rig.peer = new RawPeer(rig.server.sockAddr);
  const greeting = rig.peer.greet();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(rig.device.take()).toEqual(["unmap all"]);
  open();
  expect((await greeting).header.flags).toBe(1);
  expect(rig.device.take()).toEqual(["reset disconnect", "disconnected", "connected"]);
});

test("test_reply_fail_quiesce_busy: a client that leaves before its reply; the reset waits for the command", async () => {
  const { promise, open } = gate();
  rig.device.hold.regionRead = () => promise;
  await rig.peer.send(message(1, COMMAND.REGION_READ, fields(0n, 0, 4)));
  await until(() => rig.device.calls.includes("read 0+0:4"));
  rig.peer.close();
  await until(() => rig.server.client === null);
  expect(rig.device.take()).toEqual(["read 0+0:4"]);
  open();
  await until(() => rig.device.calls.includes("disconnected"));
  expect(rig.device.take()).toEqual(["reset disconnect", "disconnected"]);
  await rig.connect();
});
