// The arena: what its memfd promises, memzones (zeroed, aligned, errors that help), and windows onto real files.
import { fstatSync, ftruncateSync, readFileSync, readSync, writeSync } from "node:fs";
import { closeFd, fileStat, LinuxError, memfdCreate, PROT } from "@emudev/linux";
import { describe, expect, test } from "vitest";
import { ARENA_BYTES, Arena, ShmError, windowAlignment } from "../src/index.ts";
import { runThread } from "./support.ts";

const MIB = 2 ** 20;
const PAGE = 4096;
const arena = Arena.create({ ownBytes: 16 * MIB });
const RW = PROT.READ | PROT.WRITE;

function readFile(fd: number, offset: number, bytes: number): number[] {
  const into = new Uint8Array(bytes);
  readSync(fd, into, 0, bytes, offset);
  return [...into];
}

/** The kernel's mappings that begin in the part for windows. */
function windowMappings(): number {
  const start = arena.base + arena.ownBytes;
  const starts = readFileSync("/proc/self/maps", "utf8").matchAll(/^([0-9a-f]+)-/gm);
  const isInside = (at: number): boolean => at >= start && at < arena.base + ARENA_BYTES;
  return [...starts].filter(([, at]) => isInside(Number.parseInt(at!, 16))).length;
}

describe("create", () => {
  test.each([0, 4096, 65536 + 4096, 2 ** 31 + 65536, 1.5])("refuses ownBytes %d", (ownBytes) => {
    expect(() => Arena.create({ ownBytes })).toThrow(ShmError);
  });

  test("the own part is the memfd: bytes go both ways, and a peer that has the fd cannot shrink it", () => {
    const zone = arena.memzoneReserve("both ways", 64);
    arena.u8.set([1, 2, 3], zone.off);
    expect(readFile(arena.fd, zone.off, 3)).toEqual([1, 2, 3]);
    writeSync(arena.fd, Uint8Array.of(9), 0, 1, zone.off + 1);
    expect(arena.u8[zone.off + 1]).toBe(9);
    expect(fstatSync(arena.fd).size).toBe(16 * MIB);
    expect(() => ftruncateSync(arena.fd, PAGE)).toThrow(/EPERM/);
    expect(() => ftruncateSync(arena.fd, 32 * MIB)).toThrow(/EPERM/);
    arena.memzoneFree("both ways");
  });

  test("a worker that attaches shares every byte", async () => {
    const { off } = arena.memzoneReserve("worker", 128);
    const answer = runThread<string>("arena-thread.mjs", { handle: arena.handle, from: off, to: off + 64 });
    await new Promise((done) => setTimeout(done, 100));
    Atomics.store(arena.i32, off >>> 2, 41);
    Atomics.notify(arena.i32, off >>> 2);
    expect(["ok", "not-equal"]).toContain(await answer);
    expect(arena.u32[(off + 64) >>> 2]).toBe(42);
    arena.memzoneFree("worker");
  });

  test("counter() reads a u64 as a number", () => {
    const { off } = arena.memzoneReserve("counter", 8);
    arena.u64[off >>> 3] = 2n ** 53n - 1n;
    expect(arena.counter(off)).toBe(Number.MAX_SAFE_INTEGER);
    arena.memzoneFree("counter");
  });
});

describe("memzones", () => {
  test("are found by name, in order, and never begin in the first page", () => {
    const b = arena.memzoneReserve("b", 100);
    const a = arena.memzoneReserve("a", 1);
    expect(b.off).toBeGreaterThanOrEqual(PAGE);
    expect(arena.memzoneLookup("a")).toEqual({ name: "a", off: a.off, bytes: 1 });
    expect(arena.memzones().map((zone) => zone.name)).toEqual(["b", "a"]);
    expect(() => arena.memzoneReserve("a", 1)).toThrow(/a exists/);
    arena.memzoneFree("a");
    arena.memzoneFree("b");
    expect(() => arena.memzoneFree("b")).toThrow(/b does not exist/);
    expect(arena.memzoneLookup("b")).toBeUndefined();
  });

  test("read 0, also where a freed one was", () => {
    const first = arena.memzoneReserve("dirty", 3 * MIB);
    arena.u8.fill(0xff, first.off, first.off + first.bytes);
    arena.memzoneFree("dirty");
    const second = arena.memzoneReserve("clean", 4 * MIB);
    expect(second.off).toBe(first.off);
    expect(arena.u8.subarray(second.off, second.off + second.bytes).every((byte) => byte === 0)).toBe(true);
    arena.memzoneFree("clean");
  });

  test("a page-aligned one shares its pages with no other", () => {
    arena.memzoneReserve("before", 64);
    const paged = arena.memzoneReserve("paged", PAGE + 1, PAGE);
    const after = arena.memzoneReserve("after", 2 * PAGE);
    expect((arena.base + paged.off) % PAGE).toBe(0);
    expect(after.off >= paged.off + 2 * PAGE || after.off + after.bytes <= paged.off).toBe(true);
    for (const name of ["before", "paged", "after"]) arena.memzoneFree(name);
  });

  test("a large alignment is one of addresses, whatever the arena's base", () => {
    const zone = arena.memzoneReserve("aligned", 64, 2 * MIB);
    expect((arena.base + zone.off) % (2 * MIB)).toBe(0);
    arena.memzoneFree("aligned");
  });

  test("want of room is an error that says what to do; freeing makes room", () => {
    expect(() => arena.memzoneReserve("too large", 16 * MIB)).toThrow(
      /16\.0 MiB are free; start with more memory \(-m\)/,
    );
    arena.memzoneReserve("half", 8 * MIB);
    expect(() => arena.memzoneReserve("other half", 8 * MIB)).toThrow(ShmError);
    arena.memzoneFree("half");
    arena.memzoneReserve("nearly all", 15 * MIB);
    arena.memzoneFree("nearly all");
  });

  test.each([
    [0, 64],
    [-1, 64],
    [2 ** 32 + 1, 64],
    [64, 3],
    [64, 0],
  ])("refuses %d bytes aligned to %d", (bytes, align) => {
    expect(() => arena.memzoneReserve("refused", bytes, align)).toThrow(ShmError);
  });
});

describe("windows", () => {
  test("show a file's bytes both ways, lie behind the own part, and read 0 once unmapped", () => {
    const fd = memfdCreate("window", 64 * 1024);
    writeSync(fd, Uint8Array.of(5, 6, 7), 0, 3, 8192);
    const off = arena.mapWindow(fd, 8192, 16384, RW)!;
    expect(off).toBeGreaterThanOrEqual(arena.ownBytes);
    expect([...arena.u8.subarray(off, off + 3)]).toEqual([5, 6, 7]);
    arena.u8[off + 16383] = 99;
    expect(readFile(fd, 8192 + 16383, 1)).toEqual([99]);
    expect(arena.windows()).toEqual([{ off, bytes: 16384 }]);
    arena.unmapWindow(off);
    expect(arena.u8[off]).toBe(0);
    expect(readFile(fd, 8192, 3)).toEqual([5, 6, 7]);
    expect(arena.windows()).toEqual([]);
    expect(() => arena.unmapWindow(off)).toThrow(ShmError);
    closeFd(fd);
  });

  test("leave no mappings behind, in whatever order they go", () => {
    const before = windowMappings();
    const fd = memfdCreate("many", 16 * PAGE);
    const offs = Array.from({ length: 100 }, (_, i) => arena.mapWindow(fd, 0, (1 + (i % 16)) * PAGE, RW)!);
    expect(windowMappings()).toBeGreaterThanOrEqual(before + 100);
    for (const off of offs) arena.u8[off] = 1;
    for (const [i, off] of offs.entries()) if (i % 3 === 0) arena.unmapWindow(off);
    for (const [i, off] of offs.entries()) if (i % 3 !== 0) arena.unmapWindow(off);
    expect(windowMappings()).toBe(before);
    closeFd(fd);
  });

  test("a file offset inside a block is mapped from the block's start", () => {
    const fd = memfdCreate("inside", 64 * 1024);
    writeSync(fd, Uint8Array.of(1), 0, 1, 5000);
    const off = arena.mapWindow(fd, 5000, 100, PROT.READ)!;
    expect(arena.u8[off]).toBe(1);
    expect((arena.base + off - 5000) % windowAlignment(fd)).toBe(0);
    arena.unmapWindow(off);
    expect(arena.windows()).toEqual([]);
    closeFd(fd);
  });

  test("keep the alignment of the file's blocks by address", () => {
    const fd = memfdCreate("aligned", 8 * MIB);
    const align = windowAlignment(fd);
    const { blockSize } = fileStat(fd);
    if (blockSize >= PAGE) expect(align).toBe(blockSize);
    const offs = [1, 2, 3].map(() => arena.mapWindow(fd, 0, PAGE, RW)!);
    for (const off of offs) expect((arena.base + off) % align).toBe(0);
    for (const off of offs) arena.unmapWindow(off);
    closeFd(fd);
  });

  test("no room is null, and nothing is held", () => {
    const fd = memfdCreate("large", PAGE);
    expect(arena.mapWindow(fd, 0, ARENA_BYTES - arena.ownBytes + 1, RW)).toBeNull();
    expect(arena.mapWindow(fd, 0, 2 ** 45, RW)).toBeNull();
    const whole = arena.mapWindow(fd, 0, ARENA_BYTES - arena.ownBytes, RW)!;
    expect(arena.mapWindow(fd, 0, PAGE, RW)).toBeNull();
    arena.unmapWindow(whole);
    closeFd(fd);
  });

  test("what the kernel refuses is a LinuxError, and nothing is held", () => {
    const fd = memfdCreate("gone", PAGE);
    closeFd(fd);
    expect(() => arena.mapWindow(fd, 0, PAGE, RW)).toThrow(LinuxError);
    expect(() => arena.mapWindow(fd, -1, PAGE, RW)).toThrow(ShmError);
    expect(() => arena.mapWindow(fd, 0, 0, RW)).toThrow(ShmError);
    expect(arena.windows()).toEqual([]);
  });

  test("parts of files go side by side into a reserved window", () => {
    const fd = memfdCreate("parts", 4 * PAGE);
    const off = arena.reserveWindow(3 * PAGE)!;
    expect(arena.u8[off]).toBe(0);
    writeSync(fd, Uint8Array.of(8), 0, 1, 3 * PAGE);
    arena.mapInto(off + PAGE, fd, 3 * PAGE, PAGE, RW);
    expect([arena.u8[off], arena.u8[off + PAGE]]).toEqual([0, 8]);
    arena.unmapFrom(off + PAGE, PAGE);
    expect(arena.u8[off + PAGE]).toBe(0);
    arena.unmapWindow(off);
    closeFd(fd);
  });

  const hugePages = Number(/HugePages_Free:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0);
  const hugeBytes = 1024 * Number(/Hugepagesize:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0);
  if (hugePages < 3)
    console.log(`skipped: hugetlb windows, for ${hugePages} of 3 huge pages are free (vm.nr_hugepages)`);
  test("a hugetlb file that finds too few free pages is refused, and leaves zero memory, no hole", () => {
    const fd = memfdCreate("toofew", (hugePages + 1) * hugeBytes, { hugetlb: true });
    if ((hugePages + 1) * hugeBytes <= 2 ** 31)
      expect(() => arena.mapWindow(fd, 0, (hugePages + 1) * hugeBytes, RW)).toThrow(/ENOMEM/);
    const off = arena.reserveWindow(16 * hugeBytes)!;
    for (let at = 0; at < 16 * hugeBytes; at += PAGE) expect(arena.u8[off + at]).toBe(0);
    arena.unmapWindow(off);
    closeFd(fd);
  });

  test("long windows are aligned as transparent huge pages want it, where the file offset is", () => {
    const fd = memfdCreate("long", 8 * MIB);
    const short = arena.mapWindow(fd, 0, PAGE, RW)!;
    const long = arena.mapWindow(fd, 2 * MIB, 4 * MIB, RW)!;
    expect((arena.base + long) % (2 * MIB)).toBe(0);
    arena.unmapWindow(short);
    arena.unmapWindow(long);
    closeFd(fd);
  });

  test.skipIf(hugePages < 3)("huge pages are mapped whole, from any offset inside, and unmapped whole", () => {
    const fd = memfdCreate("huge", 3 * hugeBytes, { hugetlb: true });
    const off = arena.mapWindow(fd, hugeBytes + PAGE, hugeBytes, RW)!;
    expect((arena.base + off) % hugeBytes).toBe(PAGE);
    arena.u8[off + hugeBytes - 1] = 77;
    const whole = arena.mapWindow(fd, 0, 3 * hugeBytes, RW)!;
    expect(arena.u8[whole + PAGE + 2 * hugeBytes - 1]).toBe(77);
    arena.unmapWindow(off);
    expect(arena.u8[off + hugeBytes - 1]).toBe(0);
    arena.unmapWindow(whole);
    expect(arena.windows()).toEqual([]);
    closeFd(fd);
  });

  test.skipIf(hugePages < 3)("an own part of huge pages is of whole ones, and reserved", () => {
    const own = Arena.create({ ownBytes: hugeBytes + 65536, hugePages: "auto" });
    expect([own.pageBytes, own.ownBytes]).toEqual([hugeBytes, 2 * hugeBytes]);
    const zone = own.memzoneReserve("last", 4096, 4096);
    own.u8.fill(7, zone.off, zone.off + 4096);
    const rows = readFileSync("/proc/self/smaps", "utf8").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
    const row = rows.find((text) => text.startsWith(`${own.base.toString(16).padStart(8, "0")}-`));
    expect(row).toMatch(new RegExp(`KernelPageSize: +${hugeBytes >> 10} kB`));
    expect(row).toContain("emudev-arena");
    closeFd(own.fd);
  });

  test("where huge pages are too few, the own part is of ordinary ones", () => {
    const own = Arena.create({
      ownBytes: 2 ** 31 - 2 ** 21,
      hugePages: hugePages * hugeBytes < 2 ** 31 ? "auto" : "off",
    });
    expect([own.pageBytes, own.ownBytes]).toEqual([PAGE, 2 ** 31 - 2 ** 21]);
    expect(own.u8[own.ownBytes - 1]).toBe(0);
    closeFd(own.fd);
  });
});
