// The kit's view of the client's memory: mapped where the file cannot shrink, read and written otherwise, always within what
// the client has given and allowed.
import { ftruncateSync, openSync, rmSync } from "node:fs";
import { closeFd, dupFd, fdCount, getSeals, memfdCreate, pread, pwrite, SEAL } from "@emudev/linux";
import { expect, test } from "vitest";
import { DMA_FLAG, DmaMemory, type DmaRegion, ERRNO } from "../src/index.ts";
import { newPath } from "./support.ts";

const BOTH = DMA_FLAG.READ | DMA_FLAG.WRITE;
const none = {
  dmaRead: () => Promise.reject(new Error("no messages")),
  dmaWrite: () => Promise.reject(new Error("no")),
};
const region = (fd: number, rest: Partial<DmaRegion> = {}): DmaRegion => ({
  iova: 0x10000n,
  size: 8192n,
  prot: BOTH,
  mode: "map",
  fd: dupFd(fd),
  fileOffset: 0n,
  ...rest,
});

test("memory of a memfd is mapped, sealed against shrinking, and let go of", async () => {
  const before = fdCount();
  const fd = memfdCreate("memory", 16384);
  let isMaster = true;
  const dma = new DmaMemory(none, () => isMaster);
  dma.map(region(fd, { fileOffset: 5000n, size: 10000n }));
  expect((getSeals(fd) & SEAL.SHRINK) !== 0).toBe(true);
  const view = dma.view(0x10000n + 1000n, 4, true);
  view?.set([1, 2, 3, 4]);
  const bytes = new Uint8Array(4);
  pread(fd, bytes, 6000);
  expect([...bytes]).toEqual([1, 2, 3, 4]);
  await dma.write(0x10000n, Uint8Array.of(9));
  pwrite(fd, Uint8Array.of(8), 14999);
  expect([...(await dma.read(0x10000n, 1)), ...(await dma.read(0x10000n + 9999n, 1))]).toEqual([9, 8]);
  expect(dma.view(0x10000n + 9999n, 1, false)?.[0]).toBe(8);
  expect([dma.view(0x10000n + 9999n, 2, false), dma.view(0xffffn, 1, false)]).toEqual([null, null]);
  isMaster = false;
  expect(dma.view(0x10000n, 1, false)).toBeNull();
  dma.unmapAll();
  isMaster = true;
  expect(dma.view(0x10000n, 1, false)).toBeNull();
  closeFd(fd);
  expect(fdCount()).toBe(before);
});

test("what the client allows is what a view allows", async () => {
  const fd = memfdCreate("memory", 8192);
  const dma = new DmaMemory(none, () => true);
  dma.map(region(fd, { prot: DMA_FLAG.READ }));
  expect(dma.view(0x10000n, 16, true)).toBeNull();
  expect(dma.view(0x10000n, 16, false)).toHaveLength(16);
  await expect(dma.write(0x10000n, new Uint8Array(1))).rejects.toMatchObject({ errno: ERRNO.EFAULT });
  dma.unmapAll();
  closeFd(fd);
});

test("a file that can be cut is never mapped: it is cut, and the access refused", async () => {
  const path = newPath();
  const fd = openSync(path, "w+");
  ftruncateSync(fd, 8192);
  const dma = new DmaMemory(none, () => true);
  dma.map(region(fd));
  await dma.write(0x10000n + 4096n, Uint8Array.of(7));
  expect([...(await dma.read(0x10000n + 4096n, 1))]).toEqual([7]);
  expect(dma.view(0x10000n, 1, false)).toBeNull();
  ftruncateSync(fd, 0);
  await expect(dma.read(0x10000n, 1)).rejects.toMatchObject({ errno: ERRNO.EFAULT });
  dma.unmap(0x10000n);
  // as a client that asks for file access gets it
  const memory = memfdCreate("memory", 8192);
  dma.map(region(memory, { mode: "file" }));
  expect(dma.view(0x10000n, 1, false)).toBeNull();
  expect(getSeals(memory) & SEAL.SHRINK).toBe(0);
  dma.unmapAll();
  closeFd(memory);
  closeFd(fd);
  rmSync(path);
});

test("a file that was cut between the server's look at it and the seal is not mapped", () => {
  const memory = memfdCreate("memory", 4096);
  const dma = new DmaMemory(none, () => true);
  dma.map(region(memory)); // 8192 bytes
  expect(dma.view(0x10000n, 1, false)).toBeNull();
  dma.unmapAll();
  closeFd(memory);
});

test("an access that fails in one region leaves no rejection of another's unattended", async () => {
  const unattended: unknown[] = [];
  const listener = (reason: unknown): void => void unattended.push(reason);
  process.on("unhandledRejection", listener);
  let leave = (_error: Error): void => {};
  const messages = {
    dmaRead: () => new Promise<Uint8Array>((_, reject) => (leave = reject)),
    dmaWrite: () => new Promise<void>((_, reject) => (leave = reject)),
  };
  const dma = new DmaMemory(messages, () => true);
  const memory = memfdCreate("memory", 4096);
  dma.map({ ...region(memory), fd: -1, mode: "message", size: 4096n });
  dma.map(region(memory, { iova: 0x11000n, mode: "file", size: 4096n }));
  ftruncateSync(memory, 0);
  await expect(dma.read(0x10ff0n, 32)).rejects.toMatchObject({ errno: ERRNO.EFAULT });
  leave(new Error("the client has left"));
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(unattended).toEqual([]);
  process.off("unhandledRejection", listener);
  dma.unmapAll();
  closeFd(memory);
});
