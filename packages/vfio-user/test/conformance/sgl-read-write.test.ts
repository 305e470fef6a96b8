// libvfio-user test_sgl_read_write: a device's accesses to memory without an fd, as messages on the twin socket.

import { afterEach, beforeEach, expect, test } from "vitest";
import { concat, fields, message, type RawMessage, RawPeer } from "../support.ts";
import { COMMAND, ERRNO, Rig } from "./support.ts";

const PAGE = 4096;
const BASE = 0x10000000n;
const CAPS = '{"capabilities":{"max_msg_fds":8,"max_data_xfer_size":4096,"twin_socket":{"supported":true}}}\0';

let rig: Rig;
let twin: RawPeer;
let memory: Uint8Array;

beforeEach(async () => {
  rig = await Rig.start();
  rig.peer.close();
  rig.peer = new RawPeer(rig.server.sockAddr);
  const { fds } = await rig.peer.greet(CAPS, 2);
  twin = new RawPeer(fds[0] as number);
  memory = new Uint8Array(16 * PAGE);
  await rig.peer.ask(COMMAND.DMA_MAP, fields(32, 3, 0n, BASE, BigInt(memory.length)));
});
afterEach(async () => {
  twin.close();
  await rig.end();
});

/** Serves `count` accesses of the server from `memory`; returns command, address and count of each. */
async function serve(count: number, errno = 0): Promise<(number | bigint)[][]> {
  const seen: (number | bigint)[][] = [];
  for (let i = 0; i < count; i++) {
    const { header, body, view } = (await twin.receive()) as RawMessage;
    const [iova, bytes] = [view.getBigUint64(0, true), Number(view.getBigUint64(8, true))];
    seen.push([header.command, iova, bytes]);
    const at = Number(iova - BASE);
    let reply = body.subarray(0, 16);
    if (header.command === COMMAND.DMA_WRITE) memory.set(body.subarray(16), at);
    else reply = concat(reply, memory.subarray(at, at + bytes));
    const answer = message(header.id, header.command, errno === 0 ? reply : new Uint8Array(0), {
      flags: errno === 0 ? 1 : 0x21,
    });
    new DataView(answer.buffer).setUint32(12, errno, true);
    await twin.send(answer);
  }
  return seen;
}

test("test_dma_read_write: one message each", async () => {
  const data = Uint8Array.from({ length: 64 }, (_, i) => i);
  const [, written] = await Promise.all([rig.server.dmaWrite(BASE + 0x1000n, data), serve(1)]);
  expect(written).toEqual([[12, BASE + 0x1000n, 64]]);
  const [back, read] = await Promise.all([rig.server.dmaRead(BASE + 0x1000n, 64), serve(1)]);
  expect(read).toEqual([[11, BASE + 0x1000n, 64]]);
  expect([...back]).toEqual([...data]);
});

test("test_dma_read_write_large: in parts of the client's max_data_xfer_size", async () => {
  const data = Uint8Array.from({ length: 2 * PAGE }, (_, i) => i & 0xff);
  const [, written] = await Promise.all([rig.server.dmaWrite(BASE + 0x1000n, data), serve(2)]);
  expect(written).toEqual([
    [12, BASE + 0x1000n, PAGE],
    [12, BASE + 0x2000n, PAGE],
  ]);
  const [back, read] = await Promise.all([rig.server.dmaRead(BASE + 0x1000n, 2 * PAGE), serve(2)]);
  expect(read.map(([, , bytes]) => bytes)).toEqual([PAGE, PAGE]);
  expect(Buffer.compare(back, data)).toBe(0);
});

test("test_dma_read_write_error: the client's EIO is what the device gets", async () => {
  const reading = expect(rig.server.dmaRead(BASE + 0x1000n, 64)).rejects.toMatchObject({ errno: ERRNO.EIO });
  await serve(1, ERRNO.EIO);
  await reading;
  const writing = expect(rig.server.dmaWrite(BASE, new Uint8Array(2 * PAGE))).rejects.toMatchObject({
    errno: ERRNO.EIO,
  });
  expect(await serve(1, ERRNO.EIO)).toHaveLength(1);
  await writing;
});

test("a reply that echoes another address is VFU_PROTOCOL for a read", async () => {
  const reading = expect(rig.server.dmaRead(BASE, 4)).rejects.toMatchObject({ code: "VFU_PROTOCOL" });
  const { header } = (await twin.receive()) as RawMessage;
  await twin.send(message(header.id, 11, concat(fields(BASE + 4n, 4n), new Uint8Array(4)), { flags: 1 }));
  await reading;
});
