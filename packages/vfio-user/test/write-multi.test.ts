// REGION_WRITE_MULTI from both ends: only where it was agreed on, in order, each write as if it had come alone; and what
// is too much or too long.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { refusal, VfioUserClient, VfioUserServer } from "../src/index.ts";
import { concat, fields, newPath, RawPeer, TestDevice } from "./support.ts";

const MULTI = '{"capabilities":{"max_data_xfer_size":4800,"write_multiple":true}}\0';
const jsonOf = (body: Uint8Array) => JSON.parse(new TextDecoder().decode(body.subarray(4, -1))).capabilities;
const write = (offset: bigint, region: number, ...data: number[]): Uint8Array =>
  concat(fields(offset, region, data.length), Uint8Array.from([...data, ...Array(8 - data.length).fill(0)]));
const multi = (...writes: Uint8Array[]): Uint8Array => concat(fields(BigInt(writes.length)), ...writes);

let device: TestDevice;
let server: VfioUserServer;
beforeEach(() => {
  device = new TestDevice();
  server = new VfioUserServer(newPath(), device);
  server.start();
});
afterEach(() => server.stop());

describe("the server", () => {
  let peer: RawPeer;
  beforeEach(() => {
    peer = new RawPeer(server.sockAddr);
  });
  afterEach(() => peer.close());

  test("offers it to who asks for it, but not to version 0.0, which is QEMU", async () => {
    expect(jsonOf((await peer.greet(MULTI, 1)).body).write_multiple).toBe(true);
    for (const [json, minor] of [
      [MULTI, 0],
      ['{"capabilities":{"write_multiple":false}}\0', 2],
      [null, 2],
    ] as const) {
      peer.close();
      peer = new RawPeer(server.sockAddr);
      expect(jsonOf((await peer.greet(json, minor)).body).write_multiple).toBeUndefined();
      expect(await peer.errno(15, multi(write(0n, 0, 1)))).toBe(22);
    }
  });

  test("writes in order; the reply counts them", async () => {
    await peer.greet(MULTI, 2);
    device.take();
    const reply = await peer.ask(15, multi(write(0n, 0, 1, 2, 3, 4, 5, 6, 7, 8), write(8n, 0, 9), write(0n, 0, 7, 7)));
    expect([...reply.body]).toEqual([...fields(3n)]);
    expect(device.take()).toEqual(["write 0+0:1,2,3,4,5,6,7,8", "write 0+8:9", "write 0+0:7,7"]);
    expect([...(await peer.ask(15, multi())).body]).toEqual([...fields(0n)]);
    await peer.ask(15, multi(write(0n, 0, 1)), { flags: 0 });
  });

  test("posted, there is no reply", async () => {
    await peer.greet(MULTI, 2);
    const posted = new Uint8Array([...multi(write(4n, 0, 5))]);
    await peer.send(concat(fields(0x000f0001, 16 + posted.length, 0x10, 0), posted));
    expect((await peer.ask(9, fields(4n, 0, 1))).body.at(-1)).toBe(5);
    expect(device.take()).toContain("post 0+4:5");
  });

  test("one that fails keeps no other back; when all fail the first errno is the answer", async () => {
    await peer.greet(MULTI, 2);
    device.hold.regionWrite = (async (_index: number, offset: number) => {
      if (offset === 16) throw refusal(95, "not this one");
    }) as never;
    const reply = await peer.ask(15, multi(write(16n, 0, 1), write(0n, 0, 1), write(1n << 40n, 0, 1), write(4n, 0, 2)));
    expect([...reply.body]).toEqual([...fields(2n)]);
    expect([device.bar0[0], device.bar0[4]]).toEqual([1, 2]);
    expect(await peer.errno(15, multi(write(16n, 0, 1), write(0n, 1, 1)))).toBe(95);
    expect(await peer.errno(15, multi(write(0xffffn, 0, 1, 2)))).toBe(22);
    expect(await peer.errno(15, multi(write((1n << 64n) - 1n, 0, 1)))).toBe(22);
  });

  test("cut short, too long, more than 8 bytes, more than was agreed on: EINVAL, and nothing is written", async () => {
    await peer.greet(MULTI, 2);
    device.take();
    const good = multi(write(0n, 0, 1), write(4n, 0, 1));
    for (let bytes = 0; bytes < good.length; bytes++) expect(await peer.errno(15, good.subarray(0, bytes))).toBe(22);
    expect(await peer.errno(15, concat(good, Uint8Array.of(0)))).toBe(22);
    expect(await peer.errno(15, fields((1n << 64n) - 1n))).toBe(22);
    expect(await peer.errno(15, multi(concat(fields(0n, 0, 9), new Uint8Array(8))))).toBe(22);
    const many = (count: number): Uint8Array => multi(...Array.from({ length: count }, () => write(0n, 0, 1)));
    expect(await peer.errno(15, many(201))).toBe(22);
    expect(device.take()).toEqual([]);
    expect(await peer.errno(15, many(200))).toBe(0);
  });
});

describe("the client", () => {
  test("divides what is more than a message holds", async () => {
    const client = await VfioUserClient.connect(server.sockAddr, { writeMultiple: true, maxDataXferSize: 100 });
    expect(client.capabilities.writeMultiple).toBe(true);
    const writes = Array.from({ length: 11 }, (_, i) => ({ index: 0, offset: i, data: Uint8Array.of(i + 1) }));
    expect(await client.regionWriteMulti(writes)).toBe(11);
    expect([...device.bar0.subarray(0, 11)]).toEqual(writes.map(({ data }) => data[0]));
    expect(server.stats.messages).toBe(1 + 3);
    expect(await client.regionWriteMulti(writes, { posted: true })).toBe(11);
    expect(await client.regionWriteMulti([])).toBe(0);
    const nine = [{ index: 0, offset: 0, data: new Uint8Array(9) }];
    await expect(client.regionWriteMulti(nine)).rejects.toMatchObject({ code: "VFU_ARGUMENT" });
    client.close();
  });

  test("does not use what was not agreed on", async () => {
    const client = await VfioUserClient.connect(server.sockAddr);
    const writes = [{ index: 0, offset: 0, data: Uint8Array.of(1) }];
    await expect(client.regionWriteMulti(writes)).rejects.toMatchObject({ code: "VFU_STATE" });
    client.close();
  });
});
