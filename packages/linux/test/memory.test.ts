// Memory files, seals and mappings with real memory: over shared memory of ours, as the arena does it, and elsewhere.
import { ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  addressOf,
  addSeals,
  closeFd,
  dupFd,
  fdCount,
  fileStat,
  getSeals,
  mapAnywhere,
  mapNothing,
  mappingCount,
  mapShared,
  memfdCreate,
  PROT,
  pread,
  pwrite,
  SEAL,
  SocketMessenger,
  socketPair,
} from "../src/index.ts";

const PAGE = 4096;
const RW = PROT.READ | PROT.WRITE;
let before = 0;
beforeEach(() => {
  fdCount();
  before = fdCount();
});
afterEach(() => expect(fdCount()).toBe(before));

/** A stand-in for the arena: shared memory whose pages we may replace. */
const memory = new SharedArrayBuffer(64 * PAGE);
const bytes = new Uint8Array(memory);
const start = Math.ceil(addressOf(bytes) / PAGE) * PAGE;
const first = start - addressOf(bytes);

describe("memfds", () => {
  it("are zeroed, sized, and known by device and inode", () => {
    const fd = memfdCreate("one", 3 * PAGE);
    const other = memfdCreate("one", PAGE);
    const copy = dupFd(fd);
    expect(fileStat(fd)).toMatchObject({ size: BigInt(3 * PAGE), blockSize: PAGE, type: "file" });
    expect(fileStat(copy).ino).toBe(fileStat(fd).ino);
    expect(fileStat(other).ino).not.toBe(fileStat(fd).ino);
    for (const each of [fd, other, copy]) closeFd(each);
  });

  it("sealed against shrinking, cannot be truncated, and seals hold through a copy sent to a peer", () => {
    const fd = memfdCreate("sealed", 2 * PAGE);
    expect(getSeals(fd)).toBe(0);
    const [a, b] = socketPair();
    new SocketMessenger(a).send(new Uint8Array(1), 0, 1, [fd]);
    const receiver = new SocketMessenger(b);
    receiver.recv(new Uint8Array(1), 0, 1);
    const received = receiver.fds[0];
    addSeals(received, SEAL.SHRINK);
    expect(getSeals(fd)).toBe(SEAL.SHRINK);
    expect(() => ftruncateSync(fd, PAGE)).toThrow(/EPERM/);
    ftruncateSync(fd, 3 * PAGE);
    addSeals(fd, SEAL.GROW | SEAL.SEAL);
    expect(() => ftruncateSync(received, 4 * PAGE)).toThrow(/EPERM/);
    expect(() => addSeals(received, SEAL.WRITE)).toThrow(/F_ADD_SEALS\(fd \d+\): EPERM/);
    for (const each of [fd, received, a, b]) closeFd(each);
  });

  it("made without leave to be sealed refuse; what is no memory file reads as not sealable", () => {
    const fd = memfdCreate("plain", PAGE, { seals: false });
    expect(getSeals(fd)).toBe(SEAL.SEAL);
    expect(() => addSeals(fd, SEAL.SHRINK)).toThrow(/EPERM/);
    const file = openSync("/proc/self/maps", "r");
    expect(getSeals(file)).toBe(-1);
    closeFd(file);
    closeFd(fd);
    expect(() => getSeals(fd)).toThrow(/EBADF/);
    expect(() => memfdCreate("huge number", -1)).toThrow(/ftruncate\(huge number\): EINVAL/);
  });

  it("are read and written at any place, with 64-bit offsets", () => {
    const fd = memfdCreate("sparse", 0x3_0000_0000);
    expect(pwrite(fd, Buffer.from("far away"), 0x2_0000_0001n)).toBe(8);
    const into = new Uint8Array(8);
    expect(pread(fd, into, 0x2_0000_0001)).toBe(8);
    expect(Buffer.from(into).toString()).toBe("far away");
    expect(pread(fd, into, 0x3_0000_0000 - 3)).toBe(3);
    expect(pread(fd, into, 0x3_0000_0000)).toBe(0);
    expect(() => pread(9999, into, 0)).toThrow(/pread\(fd 9999\): EBADF/);
    closeFd(fd);
  });
});

describe("mappings", () => {
  it("over memory of ours are the file, both ways, until nothing is put there", () => {
    const fd = memfdCreate("window", 4 * PAGE);
    writeSync(fd, "from the file", PAGE);
    mapShared(start + PAGE, 2 * PAGE, RW, fd, PAGE);
    expect(Buffer.from(bytes.subarray(first + PAGE, first + PAGE + 13)).toString()).toBe("from the file");
    bytes[first + 2 * PAGE] = 42;
    const one = new Uint8Array(1);
    readSync(fd, one, 0, 1, 2 * PAGE);
    expect(one[0]).toBe(42);
    mapNothing(start + PAGE, 2 * PAGE);
    expect(bytes[first + 2 * PAGE]).toBe(0);
    bytes[first + 2 * PAGE] = 1;
    readSync(fd, one, 0, 1, 2 * PAGE);
    expect(one[0]).toBe(42);
    closeFd(fd);
  });

  it("survive the fd they were made from", () => {
    const fd = memfdCreate("window", PAGE);
    const copy = dupFd(fd);
    mapShared(start, PAGE, RW, fd, 0);
    closeFd(fd);
    bytes[first] = 7;
    const into = new Uint8Array(1);
    pread(copy, into, 0);
    expect(into[0]).toBe(7);
    mapNothing(start, PAGE);
    closeFd(copy);
  });

  it("that cannot be made say why, and leave what was there", () => {
    bytes[first + PAGE] = 9;
    const fd = memfdCreate("window", 2 * PAGE);
    expect(() => mapShared(start + 12, PAGE, RW, fd, 0)).toThrow(/mmap\(fd \d+\): EINVAL/);
    expect(() => mapShared(start, PAGE, RW, fd, 12)).toThrow(/EINVAL.*file offset 12/);
    expect(() => mapShared(start, 0, RW, fd, 0)).toThrow(/EINVAL/);
    expect(() => mapShared(0, PAGE, RW, fd, 0)).toThrow(/EINVAL/);
    expect(() => mapShared(start, PAGE, RW, 9999, 0)).toThrow(/EBADF/);
    expect(() => mapNothing(start, 0)).toThrow(/EINVAL/);
    const readOnly = openSync(`/proc/self/fd/${fd}`, "r");
    expect(() => mapShared(start, PAGE, RW, readOnly, 0)).toThrow(/EACCES/);
    mapShared(start, PAGE, PROT.READ, readOnly, 0);
    mapNothing(start, PAGE);
    expect(bytes[first + PAGE]).toBe(9);
    closeFd(readOnly);
    closeFd(fd);
  });

  it("anywhere are unmapped once, and are gone then", () => {
    const fd = memfdCreate("elsewhere", 16 * PAGE);
    const mappings = mappingCount();
    const all = Array.from({ length: 8 }, (_, i) => mapAnywhere(PAGE, i & 1 ? RW : PROT.READ, fd, i * 2 * PAGE));
    expect(mappingCount()).toBeGreaterThanOrEqual(mappings + 8);
    new Uint8Array(all[1].buffer)[5] = 3;
    const into = new Uint8Array(1);
    pread(fd, into, 2 * PAGE + 5);
    expect(into[0]).toBe(3);
    for (const each of all) each.unmap();
    for (const each of all) each.unmap();
    expect(mappingCount()).toBeLessThan(mappings + 8);
    expect(() => mapAnywhere(PAGE, RW, fd, 3)).toThrow(/mmap.*EINVAL/);
    closeFd(fd);
  });
});
