// DMA by messages, and the order of commands around it: replies are processed at once, other commands overtake a
// command that waits for the client's answer, and neither side ever waits for the other in a circle.

import { closeFd, eventfd } from "@emudev/linux";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { VfioUserServer } from "../src/index.ts";
import { CommandOrder, type Work } from "../src/server/order.ts";
import { concat, fields, gate, ManualClock, message, newPath, RawPeer, TestDevice, until } from "./support.ts";

let device: TestDevice;
let server: VfioUserServer;
let peer: RawPeer;
let clock: ManualClock;

async function serve(maxXfer = 1 << 20): Promise<void> {
  device = new TestDevice();
  clock = new ManualClock();
  server = new VfioUserServer(newPath(), device, { clock });
  server.start();
  peer = new RawPeer(server.sockAddr);
  await peer.greet(`{"capabilities":{"max_data_xfer_size":${maxXfer}}}\0`);
}

beforeEach(() => serve());
afterEach(async () => {
  peer.close();
  await server.stop();
});

const reply = (id: number, command: number, body: Uint8Array): Uint8Array => message(id, command, body, { flags: 1 });

describe("messages", () => {
  test("DMA_READ asks for address and count as u64, and takes the data of the reply", async () => {
    const read = server.dmaRead(0x1234_5678_9000n, 5);
    const asked = await peer.receive();
    expect(asked?.header).toMatchObject({ command: 11, flags: 0, size: 32 });
    expect(asked?.body).toEqual(fields(0x1234_5678_9000n, 5n));
    await peer.send(
      reply(asked?.header.id ?? 0, 11, concat(fields(0x1234_5678_9000n, 5n), Uint8Array.of(1, 2, 3, 4, 5))),
    );
    expect([...(await read)]).toEqual([1, 2, 3, 4, 5]);
  });

  test.each([
    ["the header alone, as QEMU's", 0],
    ["12 bytes, as the specification's table", 12],
    ["an echo, as libvfio-user", 16],
  ])("DMA_WRITE takes %s for an answer", async (_name, bytes) => {
    const write = server.dmaWrite(0x1000n, Uint8Array.of(9, 8, 7));
    const asked = await peer.receive();
    expect(asked?.body).toEqual(concat(fields(0x1000n, 3n), Uint8Array.of(9, 8, 7)));
    await peer.send(reply(asked?.header.id ?? 0, 12, new Uint8Array(bytes)));
    await write;
  });

  test("transfers are split by the client's max_data_xfer_size, in ascending order", async () => {
    peer.close();
    await server.stop();
    await serve(4096);
    const data = Uint8Array.from({ length: 10_000 }, (_, i) => i * 7);
    const write = server.dmaWrite(0n, data);
    const written = new Uint8Array(10_000);
    for (const [at, count] of [
      [0, 4096],
      [4096, 4096],
      [8192, 1808],
    ] as const) {
      const asked = await peer.receive();
      expect(asked?.body.subarray(0, 16)).toEqual(fields(BigInt(at), BigInt(count)));
      written.set(asked?.body.subarray(16) as Uint8Array, at);
      await peer.send(reply(asked?.header.id ?? 0, 12, new Uint8Array(0)));
    }
    await write;
    expect(written).toEqual(data);
    const read = server.dmaRead(5n, 5000);
    for (const [iova, count] of [
      [5n, 4096],
      [4101n, 904],
    ] as const) {
      const asked = await peer.receive();
      expect(asked?.body).toEqual(fields(iova, BigInt(count)));
      await peer.send(reply(asked?.header.id ?? 0, 11, concat(asked?.body as Uint8Array, data.subarray(0, count))));
    }
    expect((await read).length).toBe(5000);
  });

  test("the client's errno is the error's; errno 0 is EIO", async () => {
    for (const [errno, expected] of [
      [14, 14],
      [0, 5],
    ] as const) {
      const read = expect(server.dmaRead(0n, 4)).rejects.toMatchObject({ code: "VFU_REFUSED", errno: expected });
      const bytes = message((await peer.receive())?.header.id ?? 0, 11, new Uint8Array(0), { flags: 0x21 });
      new DataView(bytes.buffer).setUint32(12, errno, true);
      await peer.send(bytes);
      await read;
    }
  });

  test("a reply that is too short, or for another address, is a protocol error", async () => {
    for (const body of [new Uint8Array(0), fields(0n, 4n), concat(fields(1n, 4n), new Uint8Array(4))]) {
      const read = expect(server.dmaRead(0n, 4)).rejects.toMatchObject({ code: "VFU_PROTOCOL" });
      await peer.send(reply((await peer.receive())?.header.id ?? 0, 11, body));
      await read;
    }
  });

  test("fds with a reply are closed; nothing is read for 0 bytes", async () => {
    const fd = eventfd();
    const write = server.dmaWrite(0n, Uint8Array.of(1));
    await peer.send(reply((await peer.receive())?.header.id ?? 0, 12, new Uint8Array(0)), [fd, fd]);
    await write;
    closeFd(fd);
    expect(await server.dmaRead(0n, 0)).toEqual(new Uint8Array(0));
  });

  test("without an answer it times out, and the late answer hurts nobody", async () => {
    const read = expect(server.dmaRead(0n, 4)).rejects.toMatchObject({ code: "VFU_TIMEOUT", errno: 110 });
    const asked = await peer.receive();
    clock.pass(5000);
    await read;
    await peer.send(reply(asked?.header.id ?? 0, 11, new Uint8Array(20)));
    expect((await peer.ask(13, undefined, { id: 99 })).header).toMatchObject({ id: 99, flags: 1 });
  });

  test("a client that leaves fails what waits; without a client it fails at once", async () => {
    const read = expect(server.dmaRead(0n, 4)).rejects.toMatchObject({ code: "VFU_CLOSED", errno: 107 });
    peer.close();
    await read;
    await expect(server.dmaWrite(0n, new Uint8Array(1))).rejects.toMatchObject({ code: "VFU_CLOSED" });
    peer = new RawPeer(server.sockAddr);
    await peer.greet();
  });
});

describe("re-entrance", () => {
  const doorbell = concat(fields(0x100n, 0, 1), Uint8Array.of(1));

  test("register reads are answered while a posted write waits for its DMA", async () => {
    device.hold.regionWrite = async () => {
      device.bar0[0] = (await server.dmaRead(0x1000n, 1))[0] as number;
    };
    await peer.send(concat(message(1, 10, doorbell, { flags: 0x10 }), message(2, 9, fields(0n, 0, 1))));
    const asked = await peer.receive();
    expect(asked?.header.command).toBe(11);
    expect((await peer.receive())?.header).toMatchObject({ id: 2, command: 9 });
    expect((await peer.ask(9, fields(0n, 0, 1))).body[16]).toBe(0);
    await peer.send(reply(asked?.header.id ?? 0, 11, concat(fields(0x1000n, 1n), Uint8Array.of(42))));
    await until(() => device.bar0[0] === 42);
  });

  test("commands that came before the DMA was started overtake, too", async () => {
    const { promise, open } = gate();
    device.hold.regionWrite = () => promise.then(() => server.dmaRead(0n, 1)).then(() => {});
    await peer.send(concat(message(1, 10, doorbell), message(2, 4, fields(16, 0, 0, 0))));
    await until(() => device.calls.length === 2);
    expect(device.take()).toEqual(["connected", "write 0+256:1"]);
    open();
    const asked = await peer.receive();
    expect((await peer.receive())?.header.id).toBe(2);
    await peer.send(reply(asked?.header.id ?? 0, 11, new Uint8Array(17)));
    expect((await peer.receive())?.header.id).toBe(1);
  });

  test("without DMA no command overtakes another", async () => {
    const { promise, open } = gate();
    device.hold.regionWrite = () => promise;
    await peer.send(
      concat(message(1, 10, doorbell), message(2, 9, fields(0n, 0, 1)), message(3, 13, new Uint8Array(0))),
    );
    await until(() => server.stats.messages === 4);
    expect(device.take()).toEqual(["connected", "write 0+256:1"]);
    open();
    for (const id of [1, 2, 3]) expect((await peer.receive())?.header.id).toBe(id);
    expect(device.take()).toEqual(["read 0+0:1", "reset reset"]);
  });

  test("maps, unmaps and resets never overtake one another, DMA or not", async () => {
    const { promise, open } = gate();
    device.hold.dmaMap = () => promise;
    const read = server.dmaRead(0n, 1);
    const asked = await peer.receive();
    await peer.send(
      concat(
        message(1, 2, fields(32, 3, 0n, 0n, 0x1000n)),
        message(2, 3, fields(24, 0, 0n, 0x1000n)),
        message(3, 9, fields(0n, 0, 1)),
      ),
    );
    await until(() => server.stats.messages === 4);
    expect(device.take()).toEqual(["connected", "map 0+4096 prot 3 no fd@0"]);
    open();
    for (const id of [1, 2, 3]) expect((await peer.receive())?.header.id).toBe(id);
    expect(device.take()).toEqual(["unmap 0+4096", "read 0+0:1"]);
    await peer.send(reply(asked?.header.id ?? 0, 11, concat(fields(0n, 1n), new Uint8Array(1))));
    await read;
  });

  test("many doorbells and reads at once, each doing DMA, all end", async () => {
    const count = 100;
    device.hold.regionWrite = (_index: number, offset: number) =>
      server.dmaRead(BigInt(offset), 4).then((data) => server.dmaWrite(BigInt(offset) + 0x10000n, data));
    for (let i = 0; i < count; i++) {
      await peer.send(message(i, 10, concat(fields(BigInt(i), 0, 1), Uint8Array.of(1)), { flags: 0x10 }));
      await peer.send(message(1000 + i, 9, fields(BigInt(i), 0, 1)));
    }
    const seen = { reads: 0, writes: 0, replies: 0 };
    while (seen.writes < count || seen.replies < count) {
      const got = await peer.receive();
      if (got === null) throw new Error("the connection ended");
      if (got.header.command === 9) seen.replies++;
      else if (got.header.command === 11) {
        seen.reads++;
        await peer.send(reply(got.header.id, 11, concat(got.body, new Uint8Array(4))));
      } else {
        seen.writes++;
        await peer.send(reply(got.header.id, 12, new Uint8Array(0)));
      }
    }
    expect(seen).toEqual({ reads: count, writes: count, replies: count });
  });

  test("a client that floods while it owes a DMA reply is dropped", async () => {
    const { promise, open } = gate();
    device.hold.dmaMap = () => promise;
    const read = expect(server.dmaRead(0n, 1)).rejects.toMatchObject({ code: "VFU_CLOSED" });
    await peer.send(message(1, 2, fields(32, 3, 0n, 0n, 0x1000n)));
    const flood = async (): Promise<void> => {
      for (let i = 0; i < 5000; i++) await peer.send(message(1, 3, fields(24, 0, 0n, 0x1000n)));
    };
    await expect(flood()).rejects.toThrow();
    await read;
    open();
  });
});

describe("CommandOrder", () => {
  test("starts in order of arrival, and without DMA one at a time, whatever finishes when", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ control: fc.boolean(), ticks: fc.nat(3), dma: fc.boolean() }), { maxLength: 20 }),
        async (commands) => {
          let outstanding = 0;
          const order = new CommandOrder(() => outstanding > 0);
          const started: number[] = [];
          const running = new Set<number>();
          const controls = new Set<number>();
          commands.forEach(({ control, ticks, dma }, i) => {
            const work: Work = {
              control,
              bytes: 1,
              name: `${i}`,
              drop() {},
              run() {
                if (outstanding === 0) expect(running.size).toBe(0);
                if (control) expect(controls.size).toBe(0);
                started.push(i);
                if (ticks === 0) return;
                running.add(i);
                if (control) controls.add(i);
                if (dma) outstanding++;
                return (async () => {
                  order.kick();
                  for (let tick = 0; tick < ticks; tick++) await new Promise(setImmediate);
                  if (dma) outstanding--;
                  running.delete(i);
                  controls.delete(i);
                })();
              },
            };
            order.push(work);
          });
          await order.idle();
          expect(started).toEqual(commands.map((_, i) => i));
          expect([order.size, order.bytes]).toEqual([0, 0]);
        },
      ),
      { numRuns: 100 },
    );
  });
});
