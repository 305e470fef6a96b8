// What the server answers to each command, byte by byte over a real socket: libvfio-user's own test list as far as a
// socket can show it, with its errno values. Every refusal must also leave no fd behind.

import { closeFd, eventfd, socketPair } from "@emudev/linux";
import { describe, expect, test } from "vitest";
import { refusal } from "../src/index.ts";
import { device, peer, server, useGreetedPeer } from "./fixture.ts";
import { concat, fields } from "./support.ts";

const OK = 0;
const EINVAL = 22;
const EMFILE = 24;
const ENOTSUP = 95;

useGreetedPeer({ maxDmaMaps: 64 });

describe("any command", () => {
  test("numbers that are not served are EINVAL", async () => {
    for (const command of [0, 11, 12, 14, 19, 999]) {
      expect(await peer.errno(command, new Uint8Array(32))).toBe(EINVAL);
    }
  });

  test("a second VERSION is EINVAL and the connection lives on", async () => {
    expect(await peer.errno(1, new Uint8Array(4))).toBe(EINVAL);
    expect(await peer.errno(13)).toBe(OK);
  });

  test("size 15 in the header is EINVAL and the next message starts behind the header", async () => {
    expect(await peer.errno(4, undefined, { size: 15 })).toBe(EINVAL);
    expect(await peer.errno(4, fields(16, 0, 0, 0))).toBe(OK);
  });

  test("a size beyond any message is EINVAL, then the connection ends", async () => {
    expect(await peer.errno(10, undefined, { size: (1 << 20) + 33 })).toBe(EINVAL);
    expect(await peer.receive()).toBeNull();
  });

  test("a reply that nobody asked for is EINVAL, other types too", async () => {
    expect(await peer.errno(11, new Uint8Array(16), { flags: 1 })).toBe(EINVAL);
    for (const type of [2, 15]) expect(await peer.errno(4, fields(16, 0, 0, 0), { flags: type })).toBe(EINVAL);
  });

  test("the reply has the id and command of its message; ids need no order", async () => {
    for (const id of [0xffff, 0, 0, 7]) {
      const { header } = await peer.ask(4, fields(16, 0, 0, 0), { id });
      expect(header).toEqual({ id, command: 4, size: 32, flags: 1, error: 0 });
    }
  });

  test("fds with a command that takes none are EINVAL and closed", async () => {
    const pair = socketPair();
    for (const command of [4, 5, 7, 9, 10, 13, 3, 99]) {
      expect(await peer.errno(command, new Uint8Array(32), { fds: [pair[0], pair[1]] })).toBe(EINVAL);
    }
    for (const fd of pair) closeFd(fd);
  });

  test("more fds than max_msg_fds are EMFILE and closed", async () => {
    const fd = eventfd();
    expect(await peer.errno(8, fields(20, 0x24, 2, 0, 17), { fds: new Array(17).fill(fd) })).toBe(EMFILE);
    expect(await peer.errno(8, fields(20, 0x24, 2, 0, 17), { fds: new Array(200).fill(fd) })).toBe(EMFILE);
    closeFd(fd);
  });

  test("a No_reply command is never answered, not even when it fails", async () => {
    await peer.send(concat(posted(10, 99, 0n, [1]), posted(10, 0, 0x20000n, [1]), posted(13, 0, 0n, [])));
    await peer.send(posted(10, 0, 8n, [42]));
    expect((await peer.ask(9, fields(8n, 0, 1), { id: 77 })).header.id).toBe(77);
    expect(device.bar0[8]).toBe(42);
    expect(server.stats.refused).toBe(3);
  });
});

function posted(command: number, region: number, offset: bigint, data: number[]): Uint8Array {
  const body = concat(fields(offset, region, data.length), Uint8Array.from(data));
  return concat(fields(command << 16, 16 + body.length, 0x10, 0), body);
}

describe("DEVICE_GET_INFO", () => {
  test("flags RESET and PCI, 9 regions, 5 interrupt indexes", async () => {
    expect((await peer.ask(4, fields(16, 0, 0, 0))).body).toEqual(fields(16, 3, 9, 5));
  });
  test("a larger argsz is fine, the reply's is 16", async () => {
    expect((await peer.ask(4, fields(32, 0, 0, 0))).body).toEqual(fields(16, 3, 9, 5));
  });
  test("a short message or argsz is EINVAL", async () => {
    for (let bytes = 0; bytes < 16; bytes++) expect(await peer.errno(4, new Uint8Array(bytes).fill(16))).toBe(EINVAL);
    expect(await peer.errno(4, fields(15, 0, 0, 0))).toBe(EINVAL);
  });
});

describe("DEVICE_GET_REGION_INFO", () => {
  const ask = (argsz: number, index: number): Uint8Array => fields(argsz, 0, index, 0, 0n, 0n);

  test("regions that are there, that are not, and configuration space", async () => {
    expect((await peer.ask(5, ask(32, 0))).body).toEqual(fields(32, 3, 0, 0, 0x10000n, 0n));
    expect((await peer.ask(5, ask(32, 1))).body).toEqual(fields(32, 0, 1, 0, 0n, 0n));
    expect((await peer.ask(5, ask(1000, 7))).body).toEqual(fields(32, 3, 7, 0, 4096n, 0n));
  });
  test("a short message, a small argsz or a bad index is EINVAL", async () => {
    for (let bytes = 0; bytes < 32; bytes++) expect(await peer.errno(5, new Uint8Array(bytes).fill(32))).toBe(EINVAL);
    expect(await peer.errno(5, ask(31, 0))).toBe(EINVAL);
    expect(await peer.errno(5, ask(32, 9))).toBe(EINVAL);
    expect(await peer.errno(5, ask(32, 0xffffffff))).toBe(EINVAL);
  });
});

describe("DEVICE_GET_IRQ_INFO", () => {
  test("counts per index, 0 for those that are not there", async () => {
    expect((await peer.ask(7, fields(16, 0, 2, 0))).body).toEqual(fields(16, 1, 2, 5));
    expect((await peer.ask(7, fields(32, 0, 0, 0))).body).toEqual(fields(16, 0, 0, 0));
  });
  test("a short message, a small argsz or a bad index is EINVAL", async () => {
    for (let bytes = 0; bytes < 16; bytes++) expect(await peer.errno(7, new Uint8Array(bytes).fill(16))).toBe(EINVAL);
    expect(await peer.errno(7, fields(15, 0, 2, 0))).toBe(EINVAL);
    expect(await peer.errno(7, fields(16, 0, 5, 0))).toBe(EINVAL);
  });
});

describe("REGION_READ and REGION_WRITE", () => {
  const access = (region: number, offset: bigint, count: number, data: number[] = []): Uint8Array =>
    concat(fields(offset, region, count), Uint8Array.from(data));

  test("a write is answered by its head, a read by head and data", async () => {
    expect((await peer.ask(10, access(0, 16n, 4, [1, 2, 3, 4]))).body).toEqual(access(0, 16n, 4));
    expect((await peer.ask(9, access(0, 14n, 8))).body).toEqual(access(0, 14n, 8, [0, 0, 1, 2, 3, 4, 0, 0]));
    expect(device.take()).toEqual(["write 0+16:1,2,3,4", "read 0+14:8"]);
  });

  test("the whole of configuration space in one read", async () => {
    expect((await peer.ask(9, access(7, 0n, 4096))).body.length).toBe(16 + 4096);
  });

  test("a count of 0 succeeds with the header alone", async () => {
    expect((await peer.ask(9, access(0, 0n, 0))).header.size).toBe(16);
    expect((await peer.ask(10, access(0, 0n, 0))).header.size).toBe(16);
    expect(device.take()).toEqual([]);
  });

  test("outside the region, no region, too much, or data that does not fit the count: EINVAL", async () => {
    for (const command of [9, 10]) {
      const data = command === 10 ? [1] : [];
      expect(await peer.errno(command, access(0, 0x10000n, 1, data))).toBe(EINVAL);
      expect(await peer.errno(command, access(0, (1n << 64n) - 1n, 1, data))).toBe(EINVAL);
      expect(await peer.errno(command, access(1, 0n, 1, data))).toBe(EINVAL);
      expect(await peer.errno(command, access(9, 0n, 1, data))).toBe(EINVAL);
      expect(await peer.errno(command, access(0xffffffff, 0n, 1, data))).toBe(EINVAL);
      expect(await peer.errno(command, access(0, 0n, (1 << 20) + 1, data))).toBe(EINVAL);
      expect(await peer.errno(command, access(0, 0n, 0xffffffff, data))).toBe(EINVAL);
      for (let bytes = 0; bytes < 16; bytes++) expect(await peer.errno(command, new Uint8Array(bytes))).toBe(EINVAL);
    }
    expect(await peer.errno(9, access(0, 0xffffn, 2))).toBe(EINVAL);
    expect(await peer.errno(10, access(0, 0n, 2, [1]))).toBe(EINVAL);
    expect(await peer.errno(10, access(0, 0n, 1, [1, 2]))).toBe(EINVAL);
    expect(device.take()).toEqual([]);
  });

  test("a device's refusal is its errno; its bug is EIO", async () => {
    device.hold.regionRead = (_index: number, offset: number) => {
      if (offset === 0) throw refusal(13, "no");
      throw new TypeError("a bug");
    };
    expect(await peer.errno(9, access(0, 0n, 4))).toBe(13);
    expect(await peer.errno(9, access(0, 4n, 4))).toBe(5);
    device.hold.regionRead = () => Promise.reject(refusal(13, "no"));
    expect(await peer.errno(9, access(0, 4n, 4))).toBe(13);
  });
});

describe("DEVICE_RESET", () => {
  test("reaches the device; maps stay", async () => {
    await peer.ask(2, fields(32, 3, 0n, 0n, 0x1000n));
    expect(await peer.errno(13)).toBe(OK);
    expect(device.take()).toEqual(["map 0+4096 prot 3 no fd@0", "reset reset"]);
    expect(await peer.errno(3, fields(24, 0, 0n, 0x1000n))).toBe(OK);
  });
  test("with a payload is EINVAL, of a device that does not reset ENOTSUP", async () => {
    expect(await peer.errno(13, new Uint8Array(4))).toBe(EINVAL);
    device.info.resettable = false;
    expect(await peer.errno(13)).toBe(ENOTSUP);
  });
  test("Function Level Reset by configuration space reaches the device as flr", async () => {
    expect(await peer.errno(10, concat(fields(0xa8n, 7, 2), Uint8Array.of(0, 0x80)))).toBe(OK);
    expect(device.take()).toEqual(["write 7+168:0,128", "reset flr"]);
  });
});
