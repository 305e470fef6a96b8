// Interrupts of the device kit without a client: which MSI vectors there are, what a client that holds the eventfds can do to
// the device, and where the MSI-X table may lie. kit.test.ts has them over a socket.

import { spawnSync } from "node:child_process";
import { closeFd, dupFd, eventfd, eventfdRead, fdCount } from "@emudev/linux";
import { expect, test } from "vitest";
import { PCI_IRQ, pciDevice } from "../src/index.ts";

const IDENTITY = { vendor: 0x1234, device: 0x5678, class: 0xff0000 };

test("a client that binds MSI eventfds and enables nothing has every vector that it bound", () => {
  const before = fdCount();
  const { irq } = pciDevice({ ...IDENTITY, conventional: true, interrupts: { msi: { vectors: 4 } } });
  const fds = [eventfd(), eventfd(), eventfd()];
  irq.bind(
    PCI_IRQ.MSI,
    0,
    fds.map((fd) => dupFd(fd)),
  );
  for (const vector of [1, 2, 3]) expect(irq.raise(vector)).toBe(true);
  expect(fds.map((fd) => eventfdRead(fd))).toEqual([1, 1, 1]);
  irq.bind(PCI_IRQ.MSI, 0, [-1, -1, -1]);
  expect(irq.raise(0)).toBe(false);
  for (const fd of fds) closeFd(fd);
  expect(fdCount()).toBe(before);
});

test("an MSI-X table and pending bits that overlap each other, or memory that the guest maps, are refused", () => {
  const areas = [{ offset: 0x1000, size: 0x1000 }];
  const declare = (table: number, pba: number) => () =>
    pciDevice({
      ...IDENTITY,
      bars: { 0: { size: 0x4000, areas, read: () => 0 } },
      interrupts: { msix: { vectors: 300, bar: 0, table, pba } },
    });
  expect(declare(0x2000, 0xff8)).toThrow(/memory of BAR0/); // 40 bytes of pending bits
  expect(declare(0x2000, 0x2010)).toThrow(/pending bit array overlap/);
  expect(declare(0x2000, 0x3300)).not.toThrow();
});

test("a client cannot make the device wait by filling its eventfds and letting them block", () => {
  const from = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href);
  const script = `
    const { default: koffi } = await import(${JSON.stringify(import.meta.resolve("koffi"))});
    const { eventfd, writeFrom } = await import(${JSON.stringify(import.meta.resolve("@emudev/linux"))});
    const { pciDevice } = await import(${from("../dist/index.js")});
    const { MaskFds } = await import(${from("../dist/server/mask-fds.js")});
    const clearFlags = (fd) => koffi.load(null).func("int fcntl(int, int, ...)")(fd, 4, "int", 0);
    const full = () => {
      const fd = eventfd();
      writeFrom(fd, new Uint8Array(new BigUint64Array([0xffff_ffff_ffff_fffen]).buffer), 0, 8);
      clearFlags(fd);
      return fd;
    };
    const { irq } = pciDevice({ vendor: 1, device: 2, class: 3, interrupts: { intx: true, msix: 1 } });
    irq.bind(0, 0, [full()]);
    irq.assert();
    irq.bind(2, 0, [full()]);
    for (let i = 0; i < 3; i++) irq.raise(0);
    const masks = new MaskFds();
    masks.bindMask(0, 0, [full()]);
    masks.signal(0, 0);
    console.log("not waiting");`;
  const args = ["--input-type=module", "-e", script];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 20_000 });
  expect(stdout + stderr).toBe("not waiting\n");
});
