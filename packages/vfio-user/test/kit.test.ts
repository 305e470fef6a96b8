// The device kit over a real socket, driven by our client: what a declaration becomes, how accesses reach its handlers, memory
// that the client maps, messages with masks and pending bits, DMA and its refusals, resets.

import { closeFd, eventfd, eventfdRead, fdCount, memfdCreate, pread, pwrite } from "@emudev/linux";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type ClientOptions,
  PCI_IRQ,
  PCI_REGION,
  type PciDevice,
  type PciDeviceSpec,
  pciDevice,
  registers,
  VfioUserClient,
} from "../src/index.ts";
import { newPath } from "./support.ts";

const { MSI, MSIX, ERR, REQ } = PCI_IRQ;
const IDENTITY = { vendor: 0x1234, device: 0x5678, class: 0xff0000 };
const EFAULT = expect.objectContaining({ errno: 14 });

let device: PciDevice;
let client: VfioUserClient;
let path: string;

async function start(spec: Partial<PciDeviceSpec>, options?: ClientOptions): Promise<void> {
  path = newPath();
  device = pciDevice({ ...IDENTITY, ...spec });
  await device.listen(path);
  client = await VfioUserClient.connect(path, options);
}

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
const config = async (offset: number, bytes: number): Promise<number> =>
  Buffer.from(await client.regionRead(PCI_REGION.CONFIG, offset, bytes)).readUIntLE(0, bytes);
const setConfig = (offset: number, ...bytes: number[]): Promise<void> =>
  client.regionWrite(PCI_REGION.CONFIG, offset, Uint8Array.from(bytes));

afterEach(async () => {
  client?.close();
  await device?.close();
});

describe("a declaration", () => {
  test("becomes a PCI Express function with a BAR of its own for MSI-X", async () => {
    await start({
      revision: 3,
      subsystem: { vendor: 0x1af4, device: 0x1100 },
      bars: { 0: { size: 2 ** 34, kind: "mem64", prefetchable: true }, 4: { size: 32, kind: "io" } },
      interrupts: { msix: 300, msi: { vectors: 4, maskable: true }, intx: true },
      extended: [{ kind: "dsn", serial: 0x0102030405060708n }],
      rom: new Uint8Array(3000).fill(0xaa),
    });
    expect([await config(0, 4), await config(8, 4), await config(0x2c, 4)]).toEqual([
      0x56781234, 0xff000003, 0x11001af4,
    ]);
    const sizes = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((index) => client.getRegionInfo(index)));
    expect(sizes.map(({ size }) => Number(size))).toEqual([2 ** 34, 0, 0, 0, 32, 16384, 4096, 4096]);
    const irqs = await Promise.all([0, 1, 2, 3, 4].map((index) => client.getIrqInfo(index)));
    expect(irqs.map(({ count }) => count)).toEqual([1, 4, 300, 1, 1]);
    const chain: number[] = [];
    for (let at = await config(0x34, 1); at !== 0; at = await config(at + 1, 1)) chain.push(await config(at, 1));
    expect(chain).toEqual([0x10, 0x05, 0x11]);
    expect(await config(0x100, 2)).toBe(3);
    await setConfig(0x30, 0xff, 0xff, 0xff, 0xff);
    expect(await config(0x30, 4)).toBe(0xfffff001);
    expect([...(await client.regionRead(PCI_REGION.ROM, 2998, 4))]).toEqual([0xaa, 0xaa, 0, 0]);
    await expect(client.regionWrite(PCI_REGION.ROM, 0, u32(0))).rejects.toMatchObject({ errno: 22 });
  });

  test.each<[string, Partial<PciDeviceSpec>, RegExp]>([
    ["two ways to answer", { bars: { 0: { size: 64, read: () => 0, memory: true } } }, /choose one/],
    ["registers beyond the BAR", { bars: { 0: { size: 16, registers: registers({ A: { offset: 16 } }) } } }, /0x14/],
    ["areas that cannot be mapped", { bars: { 0: { size: 8192, areas: [{ offset: 2048, size: 4096 }] } } }, /pages/],
    [
      "no room for MSI-X",
      { bars: { 0: { size: 64, kind: "mem64" } }, interrupts: { msix: { vectors: 9, bar: 0 } } },
      /MSI-X/,
    ],
    [
      "a table in mapped memory",
      { bars: { 0: { size: 4096, memory: true } }, interrupts: { msix: { vectors: 1, bar: 0 } } },
      /memory/,
    ],
    ["a BAR of odd size", { bars: { 0: { size: 100 } } }, /BAR0 has 100 bytes; a size is a power of two/],
    ["a BAR beyond the last", { bars: { 6: { size: 4096 } } }, /BAR0 to BAR5/],
    ["a vendor id of 17 bits", { vendor: 0x10000 }, /vendor id 65536; it is a number of 16 bits/],
  ])("with %s is refused at once", (_name, spec, message) => {
    expect(() => pciDevice({ ...IDENTITY, ...spec })).toThrow(message);
  });

  test("overlapping or unaligned registers are refused", () => {
    expect(() => registers({ A: { offset: 0 }, B: { offset: 2, bytes: 2 } })).toThrow(/overlaps/);
    expect(() => registers({ A: { offset: 2 } })).toThrow(/aligned to its 4 bytes/);
  });

  test("registers that make no sense are named, also to who writes JavaScript", () => {
    expect(() => registers({ A: { ofset: 0 } as never })).toThrow(/A has no offset/);
    expect(() => registers({ A: { offset: 0, bytes: 8 as never } })).toThrow(/A has 8 bytes/);
    expect(() => registers({ A: { offset: 0, bytes: 1, reset: 300 } })).toThrow(/300 does not fit/);
    const file = registers({ A: { offset: 0 }, B: { offset: 4 } });
    expect(() => file.get("C" as never)).toThrow(/there is no C; there are A, B/);
    expect(() => file.set("C" as never, 1)).toThrow(/there is no C/);
  });
});

test("accesses reach handlers aligned and no wider than they want", async () => {
  const seen: string[] = [];
  await start({
    bars: {
      0: {
        size: 64,
        read(offset, bytes) {
          seen.push(`r${offset}:${bytes}`);
          return 0x11223344 + offset;
        },
        write: (offset, value, bytes) => void seen.push(`w${offset}:${bytes}=${value.toString(16)}`),
      },
      1: { size: 64, access: 1, read: (offset) => offset },
      2: { size: 64, readBytes: (offset, into) => void into.fill(offset), writeBytes: () => {} },
      3: { size: 64 },
    },
  });
  expect([...(await client.regionRead(0, 8, 4))]).toEqual([0x4c, 0x33, 0x22, 0x11]);
  await client.regionRead(0, 3, 6);
  await client.regionWrite(0, 4, Uint8Array.of(1, 2, 3, 0xf4, 5, 6, 7));
  expect(seen).toEqual(["r8:4", "r3:1", "r4:4", "r8:1", "w4:4=f4030201", "w8:2=605", "w10:1=7"]);
  expect([...(await client.regionRead(1, 5, 3))]).toEqual([5, 6, 7]);
  expect([...(await client.regionRead(2, 7, 3))]).toEqual([7, 7, 7]);
  expect([...(await client.regionRead(3, 0, 3))]).toEqual([0, 0, 0]);
});

test("registers: parts, hooks, read-only ones, and a reset", async () => {
  const regs = registers({
    A: { offset: 0, reset: 0xfedcba98 },
    B: { offset: 4, bytes: 2, readOnly: true, reset: 7 },
    C: { offset: 6, bytes: 1, write: (value) => value & 0x0f },
    D: { offset: 8, read: () => 42 },
  });
  await start({ bars: { 0: { size: 16, registers: regs } } });
  await client.regionWrite(0, 1, Uint8Array.of(0, 0));
  expect(regs.get("A")).toBe(0xfe000098);
  await client.regionWrite(0, 4, u32(0xffffffff));
  expect([...(await client.regionRead(0, 0, 12))]).toEqual([0x98, 0, 0, 0xfe, 7, 0, 0x0f, 0, 42, 0, 0, 0]);
  regs.set("B", 0x12345);
  expect(regs.get("B")).toBe(0x2345);
  await client.reset();
  expect([regs.get("A"), regs.get("B"), regs.get("C")]).toEqual([0xfedcba98, 7, 0]);
});

test("mapped memory: areas through an fd, the rest trapped, accesses over both", async () => {
  await start({
    bars: {
      0: {
        size: 4 * 4096,
        areas: [
          { offset: 4096, size: 4096 },
          { offset: 12288, size: 4096 },
        ],
        read: () => 0x77777777,
      },
    },
    interrupts: { msix: { vectors: 2, bar: 0, table: 0, pba: 0x100 } },
  });
  const info = await client.getRegionInfo(0);
  expect(info.areas).toEqual([
    { offset: 4096, size: 4096 },
    { offset: 12288, size: 4096 },
  ]);
  pwrite(info.fd, Uint8Array.of(1, 2, 3), Number(info.offset) + 4096);
  expect([...(await client.regionRead(0, 4094, 5))]).toEqual([0x77, 0x77, 1, 2, 3]);
  device.memory(0).write(12288, Uint8Array.of(9));
  const byte = new Uint8Array(1);
  pread(info.fd, byte, Number(info.offset) + 12288);
  expect(byte[0]).toBe(9);
  expect([...(await client.regionRead(0, 12, 1))]).toEqual([1]); // the table's mask bit
  expect(() => device.memory(1)).toThrow(/BAR1/);
  closeFd(info.fd);
});

describe("MSI-X", () => {
  let fds: number[];
  beforeEach(async () => {
    await start({ interrupts: { msix: 3 } });
    fds = [eventfd(), eventfd(), eventfd()];
  });
  afterEach(() => {
    for (const fd of fds) closeFd(fd);
  });
  const pba = async (): Promise<number> => (await client.regionRead(5, 2048, 8))[0]!;
  const entry = (vector: number, control: number): Promise<void> =>
    client.regionWrite(5, 16 * vector + 12, u32(control));
  const counts = (): number[] => fds.map((fd) => eventfdRead(fd));
  const control = (high: number): Promise<void> => setConfig(0x7e, 2, high);

  test("bound vectors fire; nobody listens, nothing is pending", async () => {
    expect(device.irq.raise(0)).toBe(false);
    await client.setIrqs(MSIX, 0, fds);
    expect([device.irq.mode, device.irq.raise(1), device.irq.raise(3), device.irq.raise(-1)]).toEqual([
      "msix",
      true,
      false,
      false,
    ]);
    expect([counts(), await pba()]).toEqual([[0, 1, 0], 0]);
  });

  test("a vector masked in the table is pending, and delivered when it is unmasked", async () => {
    await client.setIrqs(MSIX, 0, fds);
    expect(await config(0x7c, 1)).toBe(0x11);
    await entry(1, 1);
    device.irq.raise(1);
    device.irq.raise(1);
    device.irq.raise(2);
    expect([counts(), await pba()]).toEqual([[0, 0, 1], 2]);
    await entry(1, 0xfffffffe);
    expect([counts(), await pba()]).toEqual([[0, 1, 0], 0]);
    expect([...(await client.regionRead(5, 28, 4))]).toEqual([0, 0, 0, 0]);
  });

  test("the function mask holds all of them back", async () => {
    await client.setIrqs(MSIX, 0, fds);
    await control(0xc0);
    device.irq.raise(0);
    device.irq.raise(2);
    expect([counts(), await pba()]).toEqual([[0, 0, 0], 5]);
    await control(0x80);
    expect([counts(), await pba()]).toEqual([[1, 0, 1], 0]);
  });

  test("an enabled vector without eventfd, as QEMU leaves it, is delivered when one is bound; a reset forgets it", async () => {
    await control(0x80);
    expect(device.irq.raise(2)).toBe(true);
    expect(await pba()).toBe(4);
    await client.setIrqs(MSIX, 2, [fds[2]!]);
    expect([counts(), await pba()]).toEqual([[0, 0, 1], 0]);
    device.irq.raise(1);
    await client.reset();
    await client.setIrqs(MSIX, 1, [fds[1]!]);
    expect([counts(), await pba()]).toEqual([[0, 0, 0], 0]);
  });
});

test("MSI: vectors beyond those given share them; masked ones are pending in the capability", async () => {
  await start({ conventional: true, interrupts: { msi: { vectors: 4, maskable: true } } });
  const fds = [eventfd(), eventfd(), eventfd(), eventfd()];
  const counts = (): number[] => fds.map((fd) => eventfdRead(fd));
  await setConfig(0x42, 0x11); // enabled, two vectors
  await client.setIrqs(MSI, 0, fds.slice(0, 2));
  device.irq.raise(3);
  device.irq.raise(0);
  expect([device.irq.mode, counts()]).toEqual(["msi", [1, 1, 0, 0]]);
  await setConfig(0x50, 0x02);
  device.irq.raise(1);
  expect([counts(), await config(0x54, 1)]).toEqual([[0, 0, 0, 0], 2]);
  await setConfig(0x50, 0);
  expect([counts(), await config(0x54, 1)]).toEqual([[0, 1, 0, 0], 0]);
  for (const fd of fds) closeFd(fd);
});

test("INTx is silent while messages are enabled, and tells when they are off; error and request notifiers", async () => {
  await start({ interrupts: { intx: true, msix: 1 } });
  const fds = [eventfd(), eventfd(), eventfd()] as const;
  await client.setIrqs(PCI_IRQ.INTX, 0, [fds[0]]);
  await setConfig(0x7f, 0x80);
  device.irq.assert();
  expect([eventfdRead(fds[0]), (await config(6, 1)) & 8]).toEqual([0, 8]);
  await setConfig(0x7f, 0);
  expect([eventfdRead(fds[0]), device.irq.mode]).toEqual([1, "intx"]);
  expect([device.irq.error(), device.irq.request()]).toEqual([false, false]);
  await client.setIrqs(ERR, 0, [fds[1]]);
  await client.setIrqs(REQ, 0, [fds[2]]);
  expect([device.irq.error(), device.irq.request()]).toEqual([true, true]);
  expect([eventfdRead(fds[1]), eventfdRead(fds[2])]).toEqual([1, 1]);
  for (const fd of fds) closeFd(fd);
});

describe("DMA", () => {
  const guest = new Uint8Array(4096);
  const dma = {
    onDmaRead: (iova: bigint, bytes: number) => guest.slice(Number(iova - 0x40000n), Number(iova - 0x40000n) + bytes),
    onDmaWrite: (iova: bigint, data: Uint8Array) => guest.set(data, Number(iova - 0x40000n)),
  };
  let memory: number;
  beforeEach(async () => {
    await start({}, dma);
    memory = memfdCreate("guest", 16384);
    const fd = memory;
    await client.dmaMap({ iova: 0x10000n, size: 8192n, prot: 3, fd, fileOffset: 4096n });
    await client.dmaMap({ iova: 0x12000n, size: 4096n, prot: 1, fd, fileOffset: 0n });
    await client.dmaMap({ iova: 0x40000n, size: 4096n, prot: 3, fd: -1, fileOffset: 0n });
    await setConfig(4, 4);
  });
  afterEach(() => closeFd(memory));

  test("files by pread and pwrite, over neighbouring regions; the rest by messages", async () => {
    await device.dma.write(0x10ffen, Uint8Array.of(1, 2, 3, 4));
    const seen = new Uint8Array(4);
    pread(memory, seen, 8190);
    expect([...seen]).toEqual([1, 2, 3, 4]);
    pwrite(memory, Uint8Array.of(5, 6), 12286);
    pwrite(memory, Uint8Array.of(7, 8), 0);
    expect([...(await device.dma.read(0x11ffen, 4))]).toEqual([5, 6, 7, 8]);
    await device.dma.write(0x40010n, Uint8Array.of(9, 10));
    expect([...guest.subarray(16, 18)]).toEqual([9, 10]);
    expect([...(await device.dma.read(0x4000fn, 3))]).toEqual([0, 9, 10]);
  });

  test("is EFAULT outside, over an end, into read-only memory, and without bus mastering", async () => {
    await expect(device.dma.read(0xffffn, 2)).rejects.toEqual(EFAULT);
    await expect(device.dma.write(0x11ffen, new Uint8Array(4).fill(1))).rejects.toEqual(EFAULT);
    expect([...(await device.dma.read(0x11ffen, 2))]).toEqual([0, 0]); // nothing of it was written
    await expect(device.dma.read(0x12ffen, 4)).rejects.toEqual(EFAULT);
    await expect(device.dma.read((1n << 64n) - 4n, 8)).rejects.toEqual(EFAULT);
    await expect(device.dma.read(0x10000n, 2 ** 40)).rejects.toEqual(EFAULT); // before anything is allocated
    await client.dmaUnmap(0x10000n, 8192n);
    await expect(device.dma.read(0x10000n, 1)).rejects.toEqual(EFAULT);
    await setConfig(4, 0);
    await expect(device.dma.read(0x12000n, 1)).rejects.toEqual(EFAULT);
  });
});

test("a hostile guest: whatever is accessed wherever, the device answers or refuses, and nothing else", async () => {
  await start({
    bars: {
      0: {
        size: 64,
        registers: registers({ A: { offset: 0, bytes: 1 }, B: { offset: 2, bytes: 2 }, C: { offset: 8 } }),
      },
      1: { size: 3 * 4096 + 4096, areas: [{ offset: 4096, size: 8192 }], read: (offset) => offset, write: () => {} },
    },
    interrupts: { intx: true, msi: { vectors: 32, maskable: true }, msix: 65 },
    extended: [{ kind: "vendor", id: 1, data: new Uint8Array(40), writable: true }],
  });
  const { model } = device;
  const sizes = model.regions.map(({ index, size }) => [index, size] as const);
  const access = fc.record({
    region: fc.nat(sizes.length - 1),
    at: fc.nat(2 ** 20),
    data: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    isWrite: fc.boolean(),
    vector: fc.integer({ min: -1, max: 70 }),
  });
  fc.assert(
    fc.property(fc.array(access, { maxLength: 30 }), (accesses) => {
      for (const { region, at, data, isWrite, vector } of accesses) {
        const [index, size] = sizes[region] as [number, number];
        const offset = at % (size - data.length + 1);
        try {
          if (isWrite) model.regionWrite(index, offset, data, false);
          else model.regionRead(index, offset, data);
        } catch (error) {
          if ((error as { code?: string }).code !== "VFU_REFUSED") throw error;
        }
        device.irq.raise(vector);
        if (vector & 1) device.irq.assert();
        else device.irq.deassert();
      }
    }),
    { numRuns: 200 },
  );
  await expect(client.maskIrqs(MSIX, 0, 1, true)).rejects.toMatchObject({ errno: 95 });
});

test("resets by command, by FLR and by the end of the client; nothing is left open", async () => {
  const reasons: string[] = [];
  const before = fdCount();
  await start({ interrupts: { intx: true, msix: 2 }, reset: (reason) => void reasons.push(reason) });
  const fd = eventfd();
  await client.setIrqs(MSIX, 0, [fd, fd]);
  await client.setIrqs(PCI_IRQ.INTX, 0, [fd]);
  await client.setIrqMaskFds(PCI_IRQ.INTX, 0, [fd], false);
  await client.reset();
  await setConfig(0x48, 0, 0x80);
  client.close();
  await device.close();
  expect(reasons).toEqual(["reset", "flr", "disconnect"]);
  closeFd(fd);
  expect(fdCount()).toBe(before);
});

test("a path that is taken is refused with what to do; the device can listen elsewhere and again", async () => {
  await start({});
  const other = pciDevice(IDENTITY);
  await expect(other.listen(path)).rejects.toMatchObject({
    code: "VFU_ADDRESS",
    message: /somebody listens at .*another path/,
  });
  await expect(device.listen(newPath())).rejects.toMatchObject({ code: "VFU_STATE" });
  client.close();
  await device.close();
  await other.listen(path);
  client = await VfioUserClient.connect(path);
  expect(await config(0, 2)).toBe(0x1234);
  client.close();
  await other.close();
});
