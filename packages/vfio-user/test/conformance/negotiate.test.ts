// libvfio-user test_negotiate: what a client's VERSION must be, and the answer.

import { closeFd, memfdCreate } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { VfioUserServer } from "../../src/index.ts";
import { fields, message, newPath, RawPeer, TestDevice, until, versionBody } from "../support.ts";

const EINVAL = 22;
let device: TestDevice;
let server: VfioUserServer;
let peer: RawPeer;

beforeEach(() => {
  device = new TestDevice();
  server = new VfioUserServer(newPath(), device, { maxDmaMaps: 64 });
  server.start();
  peer = new RawPeer(server.sockAddr);
});
afterEach(async () => {
  peer.close();
  await server.stop();
});

/** An error reply of 16 bytes, then the end of the connection. */
async function refused(command: number, body: Uint8Array, fds: number[] = []): Promise<void> {
  await peer.send(message(7, command, body), fds);
  expect([...((await peer.bytes(16)) ?? [])]).toEqual([...fields(7 | (command << 16), 16, 0x21, EINVAL)]);
  expect(await peer.receive()).toBeNull();
}

const caps = (capabilities: unknown): string => `${JSON.stringify({ capabilities })}\0`;

describe("is EINVAL, and the end of the connection", () => {
  test("test_short_write: no payload", () => refused(1, new Uint8Array(0)));
  test.each([1, 2, 3])("a payload of %i bytes, less than the two numbers", (bytes) =>
    refused(1, new Uint8Array(bytes)),
  );
  test("test_bad_command: 999 instead of VERSION", () => refused(999, versionBody(0, 2, null)));
  test("DMA_MAP instead of VERSION", () => refused(2, versionBody(0, 2, null)));
  test("test_invalid_major: 999", () => refused(1, versionBody(999, 2, null)));
  test("an fd with VERSION", async () => {
    const fd = memfdCreate("x", 4096);
    await refused(1, versionBody(0, 2, null), [fd]);
    closeFd(fd);
  });
  test.each([
    ["test_invalid_json_missing_NUL", "{}"],
    ["test_invalid_json_missing_closing_brace", "{\0"],
    ["test_invalid_json_missing_closing_quote", '"\0'],
    ["test_invalid_json_bad_capabilities_object", caps("23")],
    ["test_invalid_json_bad_max_fds: a string", caps({ max_msg_fds: "foo" })],
    ["test_invalid_json_bad_max_fds: -1", caps({ max_msg_fds: -1 })],
    ["test_invalid_json_bad_max_fds2: 1025", caps({ max_msg_fds: 1025 })],
    ["max_data_xfer_size is a string", caps({ max_data_xfer_size: "foo" })],
    ["test_invalid_json_bad_migration_object", caps({ migration: "23" })],
    ["test_invalid_json_bad_pgsize: a string", caps({ migration: { pgsize: "foo" } })],
    ["test_invalid_json_bad_pgsize: 4095", caps({ migration: { pgsize: 4095 } })],
    ["twin_socket.supported is no bool", caps({ twin_socket: { supported: 1 } })],
  ])("%s", (_, json) => refused(1, versionBody(0, 2, json)));
});

test("test_long_write: a size beyond any message ends the connection without a reply", async () => {
  await peer.send(message(7, 1, new Uint8Array(0), { size: (1 << 20) + 33 }));
  expect(await peer.receive()).toBeNull();
});

describe("is answered", () => {
  const ANSWER = '{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"max_dma_maps":64,"pgsizes":4096}}\0';

  async function accepted(json: string | null, minor: number): Promise<void> {
    const answer = versionBody(0, Math.min(minor, 2), ANSWER);
    await peer.send(message(7, 1, versionBody(0, minor, json)));
    expect([...((await peer.bytes(16)) ?? [])]).toEqual([...fields(7 | (1 << 16), 16 + answer.length, 1, 0)]);
    expect([...((await peer.bytes(answer.length)) ?? [])]).toEqual([...answer]);
  }

  test("test_valid_negotiate_no_json: with the server's own JSON", () => accepted(null, 2));
  test("test_valid_negotiate_empty_json", () => accepted("{}\0", 2));
  test("test_valid_negotiate_json: 1024 fds, 1 MiB", () =>
    accepted(caps({ max_msg_fds: 1024, max_data_xfer_size: 1 << 20 }), 2));
  test.each([0, 1, 2, 3, 0xffff])("minor %i: never more than was proposed, never more than 2", (minor) =>
    accepted(null, minor),
  );

  test("the client's end is noticed, and the next client is accepted", async () => {
    await accepted("{}\0", 2);
    peer.close();
    await until(() => device.calls.includes("disconnected"));
    peer = new RawPeer(server.sockAddr);
    await accepted("{}\0", 2);
  });
});
