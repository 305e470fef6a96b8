// The memory table over real memfds: what is mapped where, what is refused, what lcores see, and that nothing leaks.

import { randomBytes } from "node:crypto";
import { ftruncateSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { closeFd, dupFd, eventfd, fdCount, getSeals, memfdCreate, pread, SEAL, socketPair } from "@emudev/linux";
import { loadKernels } from "@emudev/shm";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { mergeRegions } from "../src/control/mem-publish.ts";
import { type DmaTransport, type EmuDevMemTable, MEM_INDIRECT, MEM_TABLE_LAYOUT } from "../src/index.ts";
import { arena, makeTable, qsbr } from "./support.ts";

const MIB = 2 ** 20;
const RW = 3;
const R = 1;
const { mem_xlat } = loadKernels<{ mem_xlat(t: number, lo: number, hi: number, len: number, prot: number): number }>(
  new URL("../dist/kernels.wasm", import.meta.url),
  arena.memory,
);
const tables: EmuDevMemTable[] = [];
const make = (): EmuDevMemTable => {
  const table = makeTable();
  tables.push(table);
  return table;
};
afterEach(async () => {
  for (const table of tables.splice(0)) await table.close();
  expect(arena.windows()).toEqual([]);
});

const memfd = (bytes: number): number => memfdCreate("guest", bytes, { seals: true });
const published = (table: EmuDevMemTable): number => arena.u32[table.wordOff >>> 2]!;
const xlat = (table: EmuDevMemTable, iova: bigint, len: number, prot: number): number =>
  mem_xlat(published(table), Number(iova & 0xffffffffn), Number(iova >> 32n), len, prot) >>> 0;

/** Guest memory behind messages. */
function remoteMemory(iova: bigint, bytes: number): DmaTransport & { data: Uint8Array } {
  const data = new Uint8Array(bytes);
  return {
    data,
    read: async (at, n) => data.slice(Number(at - iova), Number(at - iova) + n),
    write: async (at, from) => data.set(from, Number(at - iova)),
  };
}

describe("maps", () => {
  test("of one file share one window of the whole file, and leave no fd behind", async () => {
    const table = make();
    const fd = memfd(4 * MIB);
    const before = fdCount();
    await table.map({ iova: 0n, size: BigInt(MIB), prot: RW, fd: dupFd(fd), fileOffset: 0n });
    await table.map({ iova: 1n << 32n, size: BigInt(MIB), prot: R, fd: dupFd(fd), fileOffset: BigInt(MIB) });
    await table.map({ iova: 2n << 32n, size: BigInt(MIB), prot: RW, fd: dupFd(fd), fileOffset: 0n });
    expect(arena.windows()).toHaveLength(1);
    expect(fdCount()).toBe(before);
    const low = table.translate(0n, 16, RW);
    expect(table.translate(1n << 32n, 16, R)).toBe(low + MIB);
    expect(table.translate(2n << 32n, 16, RW)).toBe(low);
    expect(table.translate(1n << 32n, 16, RW)).toBe(0); // read-only
    arena.u8[low + 5] = 77;
    const byte = new Uint8Array(1);
    pread(fd, byte, 5);
    expect(byte[0]).toBe(77);
    expect(getSeals(fd) & SEAL.SHRINK).toBe(SEAL.SHRINK);
    closeFd(fd);
  });

  test("neighbours that lie side by side are one region to lcores", async () => {
    const table = make();
    const fd = memfd(MIB);
    const half = BigInt(MIB / 2);
    await table.map({ iova: half, size: half, prot: RW, fd: dupFd(fd), fileOffset: half });
    await table.map({ iova: 0n, size: half, prot: RW, fd, fileOffset: 0n });
    expect(arena.u32[(published(table) + MEM_TABLE_LAYOUT.MEM_TABLE_COUNT) >>> 2]).toBe(1);
    expect(xlat(table, half - 8n, 16, RW)).toBe(table.translate(0n, 1, RW) + MIB / 2 - 8);
    expect(table.isMapped(0n, MIB)).toBe(true);
    expect(table.isMapped(0n, MIB + 1)).toBe(false);
  });

  test('mode "file": read and written by pread and pwrite alone, and not the same as a mapping of it', async () => {
    const table = make();
    const fd = memfd(MIB);
    const request = { iova: 0x1000n, size: 8192n, prot: RW, fileOffset: 4096n };
    await table.map({ ...request, fd: dupFd(fd), mode: "file" });
    expect(arena.windows()).toEqual([]);
    expect([table.translate(0x1000n, 1, 0), xlat(table, 0x1000n, 16, RW)]).toEqual([0, MEM_INDIRECT]);
    await table.write(0x1ffen, Uint8Array.of(1, 2, 3, 4));
    const bytes = new Uint8Array(4);
    pread(fd, bytes, 4096 + 0xffe);
    expect([...bytes]).toEqual([1, 2, 3, 4]);
    expect([...(await table.read(0x1fffn, 2))]).toEqual([2, 3]);
    await expect(table.read(0x2fffn, 2)).rejects.toMatchObject({ code: "EFAULT" });
    await table.map({ ...request, fd: dupFd(fd), mode: "file" });
    await expect(table.map({ ...request, fd: dupFd(fd), mode: "map" })).rejects.toMatchObject({ code: "EEXIST" });
    await table.unmapAll();
    await table.map({ ...request, fd, mode: "map" });
    expect(arena.windows()).toHaveLength(1);
  });

  test("a file larger than the arena: the range alone is mapped; a range larger than it: none, and it is still read", async () => {
    const table = make();
    const size = 6 * 1024 * MIB;
    const fd = memfd(size);
    await table.map({ iova: 0n, size: BigInt(MIB), prot: RW, fd: dupFd(fd), fileOffset: 4096n });
    expect(arena.windows().reduce((sum, window) => sum + window.bytes, 0)).toBeLessThan(2 * MIB);
    await table.map({ iova: 1n << 32n, size: BigInt(size - MIB), prot: RW, fd: dupFd(fd), fileOffset: BigInt(MIB) });
    const high = (1n << 32n) + 5n * 1024n * BigInt(MIB);
    expect(table.translate(high, 4, RW)).toBe(0);
    expect(xlat(table, high, 4, RW)).toBe(MEM_INDIRECT);
    await table.write(high - 2n, new Uint8Array([1, 2, 3, 4]));
    expect([...(await table.read(high - 1n, 3))]).toEqual([2, 3, 4]);
    const bytes = new Uint8Array(2);
    pread(fd, bytes, 5 * 1024 * MIB + MIB);
    expect([...bytes]).toEqual([3, 4]);
    closeFd(fd);
  });

  test("a repeated map is accepted, an overlapping one is not, and neither leaks its fd", async () => {
    const table = make();
    const fd = memfd(MIB);
    const before = fdCount();
    const request = { iova: 4096n, size: 8192n, prot: RW, fileOffset: 0n };
    await table.map({ ...request, fd: dupFd(fd) });
    await table.map({ ...request, fd: dupFd(fd) });
    for (const [iova, size] of [
      [0n, 4097n],
      [8192n, 4096n],
      [12287n, 1n],
      [0n, 65536n],
    ] as const)
      await expect(table.map({ ...request, iova, size, fd: dupFd(fd) })).rejects.toMatchObject({ code: "EEXIST" });
    expect(table.regions()).toHaveLength(1);
    expect(fdCount()).toBe(before);
    closeFd(fd);
  });

  test("what is no guest memory is refused, and its fd closed", async () => {
    const table = make();
    mkdirSync("/tmp/emudev", { recursive: true });
    writeFileSync("/tmp/emudev/readonly", new Uint8Array(8192));
    const before = fdCount();
    const [left, right] = socketPair();
    const cases: [() => number, bigint, bigint, string][] = [
      [() => memfd(4096), 0n, 4097n, "EINVAL"], // past the end
      [() => memfd(8192), 4097n, 4096n, "EINVAL"],
      [() => memfd(8192), 1n << 63n, 4096n, "EINVAL"],
      [() => memfd(8192), 0n, 0n, "EINVAL"],
      [() => openSync("/tmp", "r"), 0n, 4096n, "EINVAL"], // directory
      [() => eventfd(), 0n, 4096n, "EINVAL"],
      [() => left, 0n, 4096n, "EINVAL"], // socket
      [() => openSync("/dev/zero", "r+"), 0n, 4096n, "EINVAL"],
      [() => openSync("/tmp/emudev/readonly", "r"), 0n, 4096n, "EACCES"],
    ];
    for (const [fd, fileOffset, size, code] of cases)
      await expect(table.map({ iova: 0n, size, prot: RW, fd: fd(), fileOffset })).rejects.toMatchObject({ code });
    await expect(
      table.map({ iova: (1n << 64n) - 4096n, size: 8192n, prot: RW, fd: -1, fileOffset: 0n }),
    ).rejects.toMatchObject({ code: "EINVAL" });
    closeFd(right);
    expect(fdCount()).toBe(before);
    await table.map({ iova: 0n, size: 4096n, prot: R, fd: openSync("/tmp/emudev/readonly", "r"), fileOffset: 0n });
    await expect(table.write(0n, new Uint8Array(1))).rejects.toMatchObject({ code: "EFAULT" });
  });

  test("a read-only fd does not become writable because the file is mapped writable already", async () => {
    const table = make();
    mkdirSync("/tmp/emudev", { recursive: true });
    writeFileSync("/tmp/emudev/shared", new Uint8Array(8192));
    await table.map({ iova: 0n, size: 4096n, prot: RW, fd: openSync("/tmp/emudev/shared", "r+"), fileOffset: 0n });
    const readOnly = { iova: 65536n, size: 4096n, fileOffset: 4096n };
    const open = (): number => openSync("/tmp/emudev/shared", "r");
    await expect(table.map({ ...readOnly, prot: RW, fd: open() })).rejects.toMatchObject({ code: "EACCES" });
    await table.map({ ...readOnly, prot: R, fd: open() });
    expect(arena.windows()).toHaveLength(1);
  });

  test("4,096 maps are the limit", async () => {
    const table = make();
    const page = (i: number) => ({ iova: BigInt(i) * 8192n, size: 4096n, prot: RW, fd: -1, fileOffset: 0n });
    for (let i = 0; i < 4096; i++) await table.map(page(i));
    await expect(table.map(page(4096))).rejects.toMatchObject({ code: "ENOSPC" });
    await table.unmap(0n, 4096n);
    await table.map(page(4096));
  });
});

describe("unmap", () => {
  test("takes whole regions only, and waits for lcores before the mapping goes", async () => {
    const table = make();
    const fd = memfd(MIB);
    for (let i = 0n; i < 4n; i++)
      await table.map({ iova: i * 4096n, size: 4096n, prot: RW, fd: dupFd(fd), fileOffset: i * 8192n });
    closeFd(fd);
    await expect(table.unmap(0n, 2048n)).rejects.toMatchObject({ code: "EINVAL" });
    await expect(table.unmap(65536n, 4096n)).rejects.toMatchObject({ code: "ENOENT" });
    await table.unmap(0n, 8192n);
    expect(table.regions().map((region) => region.iova)).toEqual([8192n, 12288n]);

    qsbr.register(2);
    qsbr.online(2);
    const old = published(table);
    let done = false;
    const unmapped = table.unmapAll().then(() => {
      done = true;
    });
    expect(published(table)).not.toBe(old);
    expect(table.translate(8192n, 1, R)).toBe(0);
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    expect([done, arena.windows().length]).toEqual([false, 1]);
    await table.map({ iova: 8192n, size: 4096n, prot: RW, fd: -1, fileOffset: 0n }); // a map does not wait
    qsbr.offline(2);
    qsbr.unregister(2);
    await unmapped;
    expect(arena.windows()).toEqual([]);
    expect(table.regions()).toHaveLength(1);
  });

  test("old tables are freed", async () => {
    const table = make();
    const zones = arena.memzones().length;
    for (let i = 0n; i < 100n; i++) await table.map({ iova: i << 20n, size: 4096n, prot: R, fd: -1, fileOffset: 0n });
    await table.unmapAll();
    expect(arena.memzones().length).toBe(zones);
  });
});

describe("read and write", () => {
  test("go over regions of all three kinds at once", async () => {
    const table = make();
    const fd = memfd(8192);
    const huge = memfd(8 * 1024 * MIB);
    const remote = remoteMemory(0x5000n, 4096);
    await table.map({ iova: 0x4000n, size: 4096n, prot: RW, fd: dupFd(fd), fileOffset: 4096n });
    await table.map({ iova: 0x5000n, size: 4096n, prot: RW, fd: -1, fileOffset: 0n }, remote);
    await table.map({ iova: 0x6000n, size: BigInt(7 * 1024 * MIB), prot: RW, fd: dupFd(huge), fileOffset: 4096n });
    const data = new Uint8Array(randomBytes(4096 + 20));
    await table.write(0x4ff6n, data);
    expect(await table.read(0x4ff6n, data.length)).toEqual(data);
    const first = new Uint8Array(10);
    pread(fd, first, 8182);
    expect(first).toEqual(data.subarray(0, 10));
    expect(remote.data).toEqual(data.subarray(10, 4106));
    const last = new Uint8Array(10);
    pread(huge, last, 4096);
    expect(last).toEqual(data.subarray(4106));
    closeFd(fd);
    closeFd(huge);
  });

  test("outside memory is EFAULT, and then nothing is written", async () => {
    const table = make();
    const fd = memfd(4096);
    await table.map({ iova: 0x1000n, size: 4096n, prot: RW, fd: dupFd(fd), fileOffset: 0n });
    await expect(table.write(0x1ff0n, new Uint8Array(17).fill(1))).rejects.toMatchObject({ code: "EFAULT" });
    expect(await table.read(0x1ff0n, 16)).toEqual(new Uint8Array(16));
    for (const [iova, bytes] of [
      [0xfffn, 1],
      [0x2000n, 1],
      [(1n << 64n) - 1n, 4],
      [0x1000n, 4097],
    ] as const)
      await expect(table.read(iova, bytes)).rejects.toMatchObject({ code: "EFAULT" });
    await expect(table.read(0x1000n, 2 ** 31)).rejects.toMatchObject({ code: "EINVAL" });
    expect(await table.read(0x9000n, 0)).toEqual(new Uint8Array(0));
    closeFd(fd);
  });

  test("a region with neither file nor transport is EFAULT", async () => {
    const table = make();
    await table.map({ iova: 0n, size: 4096n, prot: R, fd: -1, fileOffset: 0n });
    await expect(table.read(0n, 4)).rejects.toThrow(/neither file nor transport/);
  });

  test("a file too large for the arena that shrank behind our back is EFAULT, not a short read", async () => {
    const table = make();
    const huge = memfdCreate("unsealable", 8 * 1024 * MIB, { seals: false });
    await table.map({ iova: 0n, size: BigInt(8 * 1024 * MIB), prot: RW, fd: dupFd(huge), fileOffset: 0n });
    ftruncateSync(huge, 4096);
    expect(await table.read(0n, 4096)).toHaveLength(4096);
    await expect(table.read(4090n, 16)).rejects.toMatchObject({ code: "EFAULT" });
    closeFd(huge);
  });

  test("a region that is unmapped while a message for the one before it is under way is not touched", async () => {
    const table = make();
    const fd = memfd(4096);
    const remote = remoteMemory(0x1000n, 4096);
    const answers: (() => void)[] = [];
    const held = () => new Promise<void>((done) => answers.push(done));
    const slow: DmaTransport = {
      read: (at, n) => held().then(() => remote.read(at, n)),
      write: (at, from) => held().then(() => remote.write(at, from)),
    };
    await table.map({ iova: 0x1000n, size: 4096n, prot: RW, fd: -1, fileOffset: 0n }, slow);
    await table.map({ iova: 0x2000n, size: 4096n, prot: RW, fd: dupFd(fd), fileOffset: 0n });
    const reading = table.read(0x1ff8n, 16);
    const writing = table.write(0x1ff8n, new Uint8Array(16).fill(1));
    await table.unmap(0x2000n, 4096n);
    for (const answer of answers) answer();
    await expect(reading).rejects.toThrow(/unmapped during the access/);
    await expect(writing).rejects.toThrow(/unmapped during the access/);
    const byte = new Uint8Array(1);
    pread(fd, byte, 0);
    expect(byte[0]).toBe(0);
    closeFd(fd);
  });
});

test("the kernel's translation and translate() agree with a plain search, whatever the table", async () => {
  const table = make();
  const region = fc.record({
    gap: fc.integer({ min: 0, max: 3 }),
    pages: fc.integer({ min: 1, max: 3 }),
    prot: fc.integer({ min: 0, max: 3 }),
    mapped: fc.boolean(),
  });
  const probe = fc.record({
    at: fc.integer({ min: -4096, max: 30 * 4096 }),
    len: fc.integer({ min: 1, max: 9000 }),
    prot: fc.integer({ min: 1, max: 3 }),
  });
  const fd = memfd(64 * 4096);
  await fc.assert(
    fc.asyncProperty(
      fc.array(region, { maxLength: 8 }),
      fc.array(probe, { minLength: 10, maxLength: 40 }),
      fc.constantFrom(0n, 1n << 32n, 0xffff_f000n, 1n << 63n, (1n << 64n) - 64n * 4096n),
      fc.array(fc.nat(7), { maxLength: 5 }),
      async (regions, probes, base, gone) => {
        let at = base + 4096n;
        for (const { gap, pages, prot, mapped } of regions) {
          at += BigInt(gap) * 4096n;
          const fileOffset = at - base;
          await table.map({ iova: at, size: BigInt(pages) * 4096n, prot, fd: mapped ? dupFd(fd) : -1, fileOffset });
          at += BigInt(pages) * 4096n;
        }
        const check = (): void => {
          const merged = mergeRegions(table.regions());
          expect(arena.u32[published(table) >>> 2]).toBe(merged.length);
          for (const { at: delta, len, prot } of probes) {
            const iova = BigInt.asUintN(64, base + BigInt(delta));
            const hit = merged.find((r) => r.iova <= iova && iova + BigInt(len) <= r.iova + r.size);
            const allowed = hit !== undefined && (hit.prot & prot) === prot;
            const off = allowed && hit.off !== 0 ? hit.off + Number(iova - hit.iova) : 0;
            expect(xlat(table, iova, len, prot)).toBe(off !== 0 ? off : allowed ? MEM_INDIRECT : 0);
            expect(table.translate(iova, len, prot)).toBe(off);
          }
        };
        check();
        for (const pick of gone) {
          const { length } = table.regions();
          if (length === 0) break;
          const { iova, size } = table.regions()[pick % length]!;
          await table.unmap(iova, size);
          check();
        }
        await table.unmapAll();
      },
    ),
    { numRuns: 60 },
  );
  closeFd(fd);
});
