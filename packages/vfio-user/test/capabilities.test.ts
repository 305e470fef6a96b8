// Every capability of VERSION, negotiated: both sides hold themselves and each other to the smaller limit, in what they
// send and in what they accept. The raw ends count messages and bytes.

import { closeFd, eventfd, memfdCreate, socketPair } from "@emudev/linux";
import { afterEach, describe, expect, test } from "vitest";
import { VfioUserClient, VfioUserServer } from "../src/index.ts";
import { concat, fields, message, newPath, RawPeer, TestDevice, versionBody } from "./support.ts";

const caps = (capabilities: object): string => `${JSON.stringify({ capabilities })}\0`;
const jsonOf = (body: Uint8Array) => JSON.parse(new TextDecoder().decode(body.subarray(4, -1))).capabilities;

describe("the server", () => {
  let server: VfioUserServer;
  let peer: RawPeer;
  const serve = async (options: object, asked: object, minor = 2): Promise<Record<string, unknown>> => {
    server = new VfioUserServer(newPath(), new TestDevice(), options);
    server.start();
    peer = new RawPeer(server.sockAddr);
    return jsonOf((await peer.greet(caps(asked), minor)).body);
  };
  afterEach(async () => {
    peer.close();
    await server.stop();
  });

  test("answers with the smaller of both limits, and with the fds that it takes itself", async () => {
    expect(await serve({}, { max_data_xfer_size: 512, max_dma_maps: 3, max_msg_fds: 2 })).toEqual({
      max_msg_fds: 16,
      max_data_xfer_size: 512,
      max_dma_maps: 3,
      pgsizes: 4096,
    });
  });

  test.each([
    [512, 4096],
    [4096, 512],
  ])("max_data_xfer_size (server %i, client %i): accesses up to the smaller, EINVAL beyond", async (own, asked) => {
    const answer = await serve({ maxDataXferSize: own }, { max_data_xfer_size: asked });
    expect(answer).toMatchObject({ max_data_xfer_size: 512 });
    expect(await peer.errno(9, fields(0n, 0, 512))).toBe(0);
    expect(await peer.errno(9, fields(0n, 0, 513))).toBe(22);
    expect(await peer.errno(10, concat(fields(0n, 0, 512), new Uint8Array(512)))).toBe(0);
    expect(await peer.errno(10, concat(fields(0n, 0, 513), new Uint8Array(513)))).toBe(22);
  });

  test("max_data_xfer_size: DMA_READ and DMA_WRITE are divided by it, in ascending order", async () => {
    await serve({ maxDataXferSize: 1024 }, { max_data_xfer_size: 100 });
    const counts: number[][] = [];
    const answer = async (messages: number): Promise<void> => {
      for (let i = 0; i < messages; i++) {
        const { header, view } = (await peer.receive()) as NonNullable<Awaited<ReturnType<RawPeer["receive"]>>>;
        const [iova, count] = [view.getBigUint64(0, true), Number(view.getBigUint64(8, true))];
        counts.push([header.command, Number(iova), count, view.byteLength - 16]);
        const data = new Uint8Array(header.command === 11 ? count : 0).fill(Number(iova & 0xffn));
        await peer.send(message(header.id, header.command, concat(fields(iova, BigInt(count)), data), { flags: 1 }));
      }
    };
    const [data] = await Promise.all([server.dmaRead(0x1000n, 250), answer(3)]);
    expect([data.length, data[0], data[100], data[200]]).toEqual([250, 0, 100, 200]);
    await Promise.all([server.dmaWrite(0x2000n, new Uint8Array(200)), answer(2)]);
    expect(counts).toEqual([
      [11, 0x1000, 100, 0],
      [11, 0x1064, 100, 0],
      [11, 0x10c8, 50, 0],
      [12, 0x2000, 100, 100],
      [12, 0x2064, 100, 100],
    ]);
  });

  test.each([
    [2, 4],
    [4, 2],
  ])("max_dma_maps (server %i, client %i): one region more is EINVAL", async (own, asked) => {
    await serve({ maxDmaMaps: own }, { max_dma_maps: asked });
    const map = (page: bigint): Promise<number> => peer.errno(2, fields(32, 3, 0n, page << 12n, 0x1000n));
    expect([await map(0n), await map(1n), await map(2n)]).toEqual([0, 0, 22]);
    expect(await map(1n)).toBe(0);
    expect(await peer.errno(3, fields(24, 0, 0n, 0x1000n))).toBe(0);
    expect(await map(2n)).toBe(0);
  });

  test("pgsizes: regions are whole pages", async () => {
    expect(await serve({}, { pgsizes: 4096 + (1 << 21) })).toMatchObject({ pgsizes: 4096 });
    expect(await peer.errno(2, fields(32, 3, 0n, 0x1000n, 0x1000n))).toBe(0);
    expect(await peer.errno(2, fields(32, 3, 0n, 0x2800n, 0x1000n))).toBe(22);
    expect(await peer.errno(2, fields(32, 3, 0n, 0x2000n, 0x1800n))).toBe(22);
  });

  test("max_msg_fds: 16 are taken with one message, 17 are EMFILE", async () => {
    await serve({}, {});
    const fds = Array.from({ length: 17 }, () => eventfd());
    expect(await peer.errno(8, fields(20, 4 | 32, 2, 0, 17), { fds })).toBe(24);
    expect(await peer.errno(8, fields(20, 4 | 32, 2, 0, 5), { fds: fds.slice(0, 5) })).toBe(0);
    for (const fd of fds) closeFd(fd);
  });
});

describe("the client", () => {
  let peer: RawPeer;
  let client: VfioUserClient;

  /** Connects to a server of bytes that offers `offered`. */
  async function connect(offered: object, options: object = {}): Promise<Record<string, unknown>> {
    const [ours, theirs] = socketPair();
    peer = new RawPeer(theirs);
    const connecting = VfioUserClient.attach(ours, options);
    const asked = await peer.receive();
    await peer.send(message(asked?.header.id ?? 0, 1, versionBody(0, 2, caps(offered)), { flags: 1 }));
    client = await connecting;
    return jsonOf(asked?.body as Uint8Array);
  }
  afterEach(() => {
    client.close();
    peer.close();
  });

  /** Answers `n` accesses and says what they were. */
  async function accesses(n: number): Promise<number[][]> {
    const seen: number[][] = [];
    for (let i = 0; i < n; i++) {
      const { header, body, view } = (await peer.receive()) as NonNullable<Awaited<ReturnType<RawPeer["receive"]>>>;
      const count = view.getUint32(12, true);
      seen.push([header.command, Number(view.getBigUint64(0, true)), count, body.length - 16]);
      const reply = concat(body.subarray(0, 16), new Uint8Array(header.command === 9 ? count : 0));
      await peer.send(message(header.id, header.command, reply, { flags: 1 }));
    }
    return seen;
  }

  test("says what it takes", async () => {
    expect(await connect({}, { maxDataXferSize: 512 })).toEqual({
      max_msg_fds: 64,
      max_data_xfer_size: 512,
      pgsizes: 4096,
    });
    client.close();
    peer.close();
    expect(await connect({}, { twinSocket: true, writeMultiple: true })).toMatchObject({
      twin_socket: { supported: true },
      write_multiple: true,
    });
  });

  test.each([
    [64, 1024],
    [1024, 64],
  ])("max_data_xfer_size: region accesses are divided (server %i, client %i)", async (offered, own) => {
    await connect({ max_data_xfer_size: offered }, { maxDataXferSize: own });
    const [data, reads] = await Promise.all([client.regionRead(0, 0, 150), accesses(3)]);
    expect(data).toHaveLength(150);
    expect(reads).toEqual([
      [9, 0, 64, 0],
      [9, 64, 64, 0],
      [9, 128, 22, 0],
    ]);
    const [, writes] = await Promise.all([client.regionWrite(0, 8, new Uint8Array(100)), accesses(2)]);
    expect(writes).toEqual([
      [10, 8, 64, 64],
      [10, 72, 36, 36],
    ]);
  });

  test("max_data_xfer_size: a server that asks for more gets EINVAL", async () => {
    await connect({ max_data_xfer_size: 64 }, { onDmaRead: (_: bigint, bytes: number) => new Uint8Array(bytes) });
    expect(await peer.errno(11, fields(0n, 65n))).toBe(22);
    expect((await peer.ask(11, fields(0n, 64n))).body).toHaveLength(80);
  });

  test("max_dma_maps, pgsizes and max_msg_fds: nothing beyond them is sent", async () => {
    await connect({ max_dma_maps: 1, pgsizes: 1 << 16, max_msg_fds: 0 });
    const ok = async (promise: Promise<void>): Promise<void> => {
      const { header, body } = (await peer.receive()) as NonNullable<Awaited<ReturnType<RawPeer["receive"]>>>;
      await peer.send(
        message(header.id, header.command, header.command === 3 ? body : new Uint8Array(0), { flags: 1 }),
      );
      await promise;
    };
    const map = (iova: bigint, size = 0x10000n, fd = -1): Promise<void> => client.dmaMap({ iova, size, prot: 3, fd });
    await expect(map(0x1000n)).rejects.toMatchObject({ code: "VFU_ARGUMENT", errno: 22 });
    await expect(map(0n, 0x1000n)).rejects.toMatchObject({ code: "VFU_ARGUMENT", errno: 22 });
    const file = memfdCreate("x", 4096);
    await expect(map(0n, 0x10000n, file)).rejects.toMatchObject({ code: "VFU_ARGUMENT", errno: 24 });
    closeFd(file);
    await ok(map(0n));
    await expect(map(0x10000n)).rejects.toMatchObject({ code: "VFU_ARGUMENT", errno: 28 });
    await ok(client.dmaUnmap(0n, 0x10000n));
    await ok(map(0x10000n));
    await ok(client.dmaUnmapAll());
    await ok(map(0x20000n));
  });

  test("max_msg_fds: eventfds are divided over messages", async () => {
    await connect({ max_msg_fds: 2 });
    const fds = Array.from({ length: 5 }, () => eventfd());
    const setting = client.setIrqs(2, 0, fds);
    const counts: number[] = [];
    for (let i = 0; i < 3; i++) {
      const got = await peer.receive();
      counts.push(got?.fds.length ?? -1);
      for (const fd of got?.fds ?? []) closeFd(fd);
      await peer.send(message(got?.header.id ?? 0, 8, new Uint8Array(0), { flags: 1 }));
    }
    await setting;
    expect(counts).toEqual([2, 2, 1]);
    for (const fd of fds) closeFd(fd);
  });
});
