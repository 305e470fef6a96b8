// The twin socket (specification, VFIO_USER_VERSION): who gets one, that the server's commands and the client's replies
// use it, that commands then keep strictly to their order, and that both sockets end together. Raw ends play the peers,
// so that every byte is seen.

import { closeFd, fdCount, fdName, memfdCreate, socketPair } from "@emudev/linux";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { VfioUserClient, VfioUserServer } from "../src/index.ts";
import { concat, fields, gate, message, newPath, RawPeer, TestDevice, until, versionBody } from "./support.ts";

const TWIN = '{"capabilities":{"max_msg_fds":8,"max_data_xfer_size":4096,"twin_socket":{"supported":true}}}\0';
const jsonOf = (body: Uint8Array) => JSON.parse(new TextDecoder().decode(body.subarray(4, -1))).capabilities;

let fdsBefore: number;
beforeEach(() => {
  fdsBefore = fdCount();
});
afterEach(() => {
  expect(fdCount()).toBe(fdsBefore);
});

describe("the server", () => {
  let device: TestDevice;
  let server: VfioUserServer;
  let peer: RawPeer;

  beforeEach(() => {
    device = new TestDevice();
    server = new VfioUserServer(newPath(), device);
    server.start();
    peer = new RawPeer(server.sockAddr);
  });
  afterEach(async () => {
    peer.close();
    await server.stop();
  });

  async function twin(): Promise<RawPeer> {
    const { fds } = await peer.greet(TWIN, 2);
    return new RawPeer(fds[0] as number);
  }

  test("one fd goes with the reply, and fd_index names it", async () => {
    const { header, body, fds } = await peer.greet(TWIN, 2);
    expect(header).toMatchObject({ command: 1, flags: 1, error: 0 });
    expect(jsonOf(body).twin_socket).toEqual({ supported: true, fd_index: 0 });
    expect(fds).toHaveLength(1);
    expect(fdName(fds[0] as number)).toContain("socket:");
    expect(server.client?.capabilities.twinSocket).toBe(true);
    closeFd(fds[0] as number);
  });

  test.each([
    ["nobody asks", '{"capabilities":{"max_msg_fds":8}}\0'],
    ["supported is false", '{"capabilities":{"max_msg_fds":8,"twin_socket":{"supported":false}}}\0'],
    ["supported is missing", '{"capabilities":{"max_msg_fds":8,"twin_socket":{}}}\0'],
    ["the client takes no fds", '{"capabilities":{"max_msg_fds":0,"twin_socket":{"supported":true}}}\0'],
  ])("there is none when %s, and no word of it", async (_, json) => {
    const { body, fds } = await peer.greet(json, 2);
    expect([fds, jsonOf(body).twin_socket, server.client?.capabilities.twinSocket]).toEqual([[], undefined, false]);
  });

  test("supported that is no bool is EINVAL", async () => {
    const body = versionBody(0, 2, '{"capabilities":{"twin_socket":{"supported":1}}}\0');
    expect(await peer.errno(1, body)).toBe(22);
  });

  test("DMA_READ and DMA_WRITE go out by it, their replies come back by it; the first socket sees nothing", async () => {
    const other = await twin();
    const reading = server.dmaRead(0x1000n, 4);
    const read = await other.receive();
    expect([read?.header.command, read?.header.flags, [...(read?.body ?? [])]]).toEqual([
      11,
      0,
      [...fields(0x1000n, 4n)],
    ]);
    const reply = concat(fields(0x1000n, 4n), Uint8Array.of(1, 2, 3, 4));
    await other.send(message(read?.header.id ?? 0, 11, reply, { flags: 1 }));
    expect([...(await reading)]).toEqual([1, 2, 3, 4]);

    const writing = server.dmaWrite(0x2000n, Uint8Array.of(9));
    const write = await other.receive();
    expect([...(write?.body ?? [])]).toEqual([...fields(0x2000n, 1n), 9]);
    await other.send(message(write?.header.id ?? 0, 12, fields(0x2000n, 1n), { flags: 1 }));
    await writing;
    expect(await peer.errno(13)).toBe(0);
    other.close();
  });

  test("an answer on the wrong socket is EINVAL there and answers nothing", async () => {
    const other = await twin();
    const reading = server.dmaRead(0x1000n, 1);
    const read = await other.receive();
    const reply = message(read?.header.id ?? 0, 11, concat(fields(0x1000n, 1n), Uint8Array.of(7)), { flags: 1 });
    await peer.send(reply);
    expect((await peer.receive())?.header).toMatchObject({ command: 11, flags: 0x21, error: 22 });
    await other.send(reply);
    expect([...(await reading)]).toEqual([7]);
    other.close();
  });

  test("a command on it is EINVAL, one that wants no reply is ignored, its fds are closed", async () => {
    const other = await twin();
    const file = memfdCreate("x", 4096);
    await other.send(message(1, 4, fields(16, 0, 0, 0), { flags: 0x10 }), [file]);
    expect(await other.errno(4, fields(16, 0, 0, 0), { fds: [file] })).toBe(22);
    closeFd(file);
    other.close();
  });

  test("commands keep to their order while a DMA reply is owed", async () => {
    const other = await twin();
    const { promise, open } = gate();
    device.hold.regionWrite = async () => {
      await server.dmaRead(0x1000n, 1);
      await promise;
    };
    await peer.send(message(1, 10, concat(fields(0n, 0, 1), Uint8Array.of(5)), { flags: 0x10 }));
    await peer.send(message(2, 9, fields(0n, 0, 1)));
    const read = await other.receive();
    expect(device.take()).not.toContain("read 0+0:1");
    await other.send(message(read?.header.id ?? 0, 11, concat(fields(0x1000n, 1n), Uint8Array.of(0)), { flags: 1 }));
    open();
    expect((await peer.receive())?.body.at(-1)).toBe(5);
    other.close();
  });

  test("its end is the client's end", async () => {
    const other = await twin();
    other.close();
    expect(await peer.receive()).toBeNull();
    await until(() => device.calls.includes("disconnected"));
  });

  test("the client's end is its end", async () => {
    const other = await twin();
    peer.close();
    expect(await other.receive()).toBeNull();
    other.close();
    await until(() => device.calls.includes("disconnected"));
    peer = new RawPeer(server.sockAddr);
  });
});

describe("the client", () => {
  test("with our server: DMA goes on while a command waits for it", async () => {
    const device = new TestDevice();
    const server = new VfioUserServer(newPath(), device);
    server.start();
    const memory = Uint8Array.of(1, 2, 3, 4);
    const client = await VfioUserClient.connect(server.sockAddr, {
      twinSocket: true,
      onDmaRead: (iova, bytes) => memory.slice(Number(iova), Number(iova) + bytes),
    });
    expect(client.capabilities.twinSocket).toBe(true);
    device.hold.regionRead = async () => {
      device.bar0.set(await server.dmaRead(0n, 4));
    };
    expect([...(await client.regionRead(0, 0, 4))]).toEqual([1, 2, 3, 4]);
    client.close();
    await server.stop();
  });

  /** A server of bytes: answers VERSION with `json` and `fds`. */
  async function answeredBy(json: string, fds: number[], twinSocket: boolean): Promise<string> {
    const [ours, theirs] = socketPair();
    const peer = new RawPeer(theirs);
    const connecting = VfioUserClient.attach(ours, { twinSocket });
    const asked = await peer.receive();
    expect(jsonOf(asked?.body ?? new Uint8Array(5)).twin_socket).toEqual(twinSocket ? { supported: true } : undefined);
    await peer.send(message(asked?.header.id ?? 0, 1, versionBody(0, 2, json), { flags: 1 }), fds);
    const outcome = await connecting.then(
      (client) => {
        const { twinSocket: has } = client.capabilities;
        client.close();
        return has ? "with twin" : "without";
      },
      (error) => error.code as string,
    );
    expect(await peer.receive()).toBeNull();
    peer.close();
    return outcome;
  }
  const reply = (twin: unknown): string => `${JSON.stringify({ capabilities: { twin_socket: twin } })}\0`;

  test.each([
    [{ supported: true, fd_index: 0 }, 1, "with twin"],
    [{ supported: true, fd_index: 1 }, 2, "with twin"],
    [{ supported: false }, 0, "without"],
    [{}, 1, "without"],
    [undefined, 0, "without"],
    [{ supported: true }, 1, "VFU_PROTOCOL"],
    [{ supported: true, fd_index: 1 }, 1, "VFU_PROTOCOL"],
    [{ supported: true, fd_index: -1 }, 1, "VFU_PROTOCOL"],
    [{ supported: true, fd_index: "0" }, 1, "VFU_PROTOCOL"],
    [{ supported: true, fd_index: 0 }, 0, "VFU_PROTOCOL"],
  ])("a reply with %j and %i fds: %s, and no fd is left", async (twin, count, outcome) => {
    const pairs = Array.from({ length: count }, () => socketPair());
    expect(
      await answeredBy(
        reply(twin),
        pairs.map(([theirs]) => theirs),
        true,
      ),
    ).toBe(outcome);
    for (const fd of pairs.flat()) closeFd(fd);
  });

  test("a twin socket that is no socket, or that nobody asked for, ends the connection", async () => {
    const file = memfdCreate("x", 4096);
    expect(await answeredBy(reply({ supported: true, fd_index: 0 }), [file], true)).toBe("VFU_PROTOCOL");
    const [a, b] = socketPair();
    expect(await answeredBy(reply({ supported: true, fd_index: 0 }), [a], false)).toBe("VFU_PROTOCOL");
    for (const fd of [file, a, b]) closeFd(fd);
  });

  test("either socket's end is the other's", async () => {
    for (const which of ["first", "twin"]) {
      const [ours, theirs] = socketPair();
      const [twinOurs, twinTheirs] = socketPair();
      const [peer, twin] = [new RawPeer(theirs), new RawPeer(twinOurs)];
      const connecting = VfioUserClient.attach(ours, { twinSocket: true });
      const asked = await peer.receive();
      const json = reply({ supported: true, fd_index: 0 });
      await peer.send(message(asked?.header.id ?? 0, 1, versionBody(0, 2, json), { flags: 1 }), [twinTheirs]);
      closeFd(twinTheirs);
      const client = await connecting;
      const closed = new Promise((resolve) => client.onClose(resolve));
      const [first, second] = which === "first" ? [peer, twin] : [twin, peer];
      first.close();
      expect(await second.receive()).toBeNull();
      await closed;
      expect(client.open).toBe(false);
      second.close();
    }
  });
});
