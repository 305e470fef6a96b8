// PCI configuration space against the PCI and PCI Express specifications: what a driver finds, what it may change, and
// what it cannot.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PciConfig, type PciConfigSpec } from "../src/index.ts";

const AVF: PciConfigSpec = {
  vendorId: 0x8086,
  deviceId: 0x1889,
  classCode: 0x020000,
  revisionId: 1,
  subsystemVendorId: 0x8086,
  bars: [
    { index: 0, bytes: 0x10000, kind: "mem64", prefetchable: true },
    { index: 3, bytes: 0x4000, kind: "mem64", prefetchable: true },
  ],
  msix: { at: 0x70, vectors: 5, table: { bar: 3, offset: 0 }, pba: { bar: 3, offset: 0x2000 } },
  pcie: { at: 0xa0, flr: true },
};

function read(config: PciConfig, offset: number, bytes: number): number {
  const into = new Uint8Array(8);
  config.read(offset, into.subarray(0, bytes));
  return Number(new DataView(into.buffer).getBigUint64(0, true));
}

function write(config: PciConfig, offset: number, bytes: number, value: number): void | Promise<void> {
  const data = new Uint8Array(8);
  new DataView(data.buffer).setBigUint64(0, BigInt(value >>> 0), true);
  return config.write(offset, data.subarray(0, bytes));
}

test("identification is what QEMU read of a real configuration", () => {
  const config = new PciConfig(AVF);
  expect(config.bytes).toBe(4096);
  expect(read(config, 0x00, 4)).toBe(0x18898086);
  expect(read(config, 0x08, 4)).toBe(0x02000001);
  expect(read(config, 0x0a, 2)).toBe(0x0200);
  expect(read(config, 0x0e, 1)).toBe(0);
  expect(read(config, 0x06, 2)).toBe(0x10);
  expect(read(config, 0x10, 4)).toBe(0xc);
  expect(read(config, 0x1c, 4)).toBe(0xc);
  expect(read(config, 0x2c, 2)).toBe(0x8086);
  expect(read(config, 0x3d, 1)).toBe(0);
  expect(read(config, 0x72, 2)).toBe(4);
  expect(read(config, 0x74, 4)).toBe(3);
  expect(read(config, 0x78, 4)).toBe(0x2003);
  expect(read(config, 0xa0, 2)).toBe(0x10);
  expect(read(config, 0xa2, 2)).toBe(2);
  expect(read(config, 0xa4, 4) & (1 << 28)).not.toBe(0);
  expect(read(config, 0x100, 4)).toBe(0);
});

test("the capability chain visits every capability once, in ascending order, and ends", () => {
  const found: number[] = [];
  const config = new PciConfig({ ...AVF, pm: {} });
  for (let at = read(config, 0x34, 1); at !== 0; at = read(config, at + 1, 1)) found.push(read(config, at, 1));
  expect(found).toEqual([0x01, 0x11, 0x10]);
  expect(read(new PciConfig({ ...AVF, msix: undefined, pcie: undefined }), 0x06, 2)).toBe(0);
});

describe("BAR sizing", () => {
  test.each([
    ["mem32", 16, 0xfffffff0],
    ["mem32", 0x10000, 0xffff0000],
    ["mem32", 2 ** 31, 0x80000000],
    ["io", 4, 0xfffffffd],
    ["io", 256, 0xffffff01],
  ] as const)("%s of %i bytes", (kind, bytes, sized) => {
    const config = new PciConfig({ ...AVF, msix: undefined, bars: [{ index: 1, bytes, kind }] });
    write(config, 0x14, 4, 0xffffffff);
    expect(read(config, 0x14, 4)).toBe(sized);
    write(config, 0x14, 4, 0);
    expect(read(config, 0x14, 4)).toBe(kind === "io" ? 1 : 0);
  });

  test.each([16, 0x4000, 2 ** 31, 2 ** 32, 2 ** 34])("mem64 of %i bytes", (bytes) => {
    const config = new PciConfig({ ...AVF, msix: undefined, bars: [{ index: 2, bytes, kind: "mem64" }] });
    write(config, 0x18, 4, 0xffffffff);
    write(config, 0x1c, 4, 0xffffffff);
    const sized = (BigInt(read(config, 0x1c, 4)) << 32n) | BigInt(read(config, 0x18, 4));
    expect((~(sized & ~0xfn) & ((1n << 64n) - 1n)) + 1n).toBe(BigInt(bytes));
    expect(config.barAddress(2)).toBe(sized & ~0xfn);
  });

  test("BARs that are not there stay 0, the expansion ROM too", () => {
    const config = new PciConfig(AVF);
    for (const at of [0x18, 0x24, 0x30]) {
      write(config, at, 4, 0xffffffff);
      expect(read(config, at, 4)).toBe(0);
    }
  });

  test("an address is kept, byte by byte as well", () => {
    const config = new PciConfig(AVF);
    write(config, 0x10, 4, 0xfebe0000);
    write(config, 0x17, 1, 0x12);
    expect(read(config, 0x10, 4)).toBe(0xfebe000c);
    expect(config.barAddress(0)).toBe(0x12000000febe0000n);
    expect(config.barAddress(1)).toBe(0n);
  });
});

test("the command register keeps its writable bits and tells the device", () => {
  const commands: number[] = [];
  const config = new PciConfig({ ...AVF, onCommand: (command) => commands.push(command) });
  write(config, 4, 2, 0xffff);
  expect(read(config, 4, 2)).toBe(0x0547);
  expect([config.memoryEnabled, config.busMaster]).toEqual([true, true]);
  write(config, 4, 1, 0);
  write(config, 4, 1, 0);
  expect(commands).toEqual([0x0547, 0x0500]);
});

test("MSI-X control: enable and mask, by a word and by its high byte alone", () => {
  const states: unknown[] = [];
  const config = new PciConfig({ ...AVF, onMsix: (state) => states.push(state) });
  write(config, 0x72, 2, 0xffff);
  expect(read(config, 0x72, 2)).toBe(0xc004);
  write(config, 0x73, 1, 0x80);
  expect(read(config, 0x72, 2)).toBe(0x8004);
  write(config, 0x73, 2, 0x0000);
  expect(read(config, 0x72, 2)).toBe(0x0004);
  expect(states).toEqual([
    { enabled: true, masked: true },
    { enabled: true, masked: false },
    { enabled: false, masked: false },
  ]);
});

describe("Function Level Reset", () => {
  test("is started by bit 15 of Device Control, which reads as 0, and resets the space", async () => {
    const flr: number[] = [];
    const config = new PciConfig({ ...AVF, onFlr: async () => void flr.push(config.command) });
    write(config, 4, 2, 7);
    write(config, 0xa8, 2, 0x2020);
    expect([read(config, 0xa8, 2), flr.length]).toEqual([0x2020, 0]);
    await write(config, 0xa8, 2, 0xa020);
    expect(flr).toEqual([0]);
    expect([read(config, 0xa8, 2), read(config, 4, 2)]).toEqual([0, 0]);
    await write(config, 0xa9, 1, 0x80);
    await write(config, 0xa6, 8, 0x80000000);
    expect(flr.length).toBe(3);
  });

  test("does not start where it is not declared, or by neighbouring writes", () => {
    let flr = 0;
    const count = (): void => void flr++;
    write(new PciConfig({ ...AVF, pcie: {}, onFlr: count }), 0x68, 4, 0xffffffff);
    const config = new PciConfig({ ...AVF, onFlr: count });
    write(config, 0xa8, 1, 0xff);
    write(config, 0xaa, 2, 0xffff);
    write(config, 0xa4, 4, 0xffffffff);
    expect(flr).toBe(0);
  });

  test("a refusal of the device goes to whoever wrote", () => {
    const config = new PciConfig({
      ...AVF,
      onFlr: () => {
        throw new Error("no");
      },
    });
    expect(() => write(config, 0xa8, 2, 0x8000)).toThrow("no");
  });
});

test("power management keeps its state bits and clears PME status by 1", () => {
  const config = new PciConfig({ ...AVF, pm: { at: 0x40 } });
  expect(read(config, 0x42, 2)).toBe(3);
  write(config, 0x44, 2, 0xffff);
  expect(read(config, 0x44, 2)).toBe(0x010b);
  write(config, 0x44, 2, 0);
  expect(read(config, 0x44, 2)).toBe(0x0008);
});

const EVERY: PciConfigSpec = {
  ...AVF,
  msix: undefined,
  pcie: undefined,
  romBytes: 65536,
  capabilities: [
    { kind: "msix", vectors: 5, table: { bar: 3, offset: 0 }, pba: { bar: 3, offset: 0x2000 } },
    { kind: "vendor", data: Uint8Array.of(1, 2, 3), writable: Uint8Array.of(0xf0, 0, 0xff) },
    { kind: "msi", vectors: 16, maskable: true },
    { kind: "pm" },
    { kind: "pcie" },
  ],
  extended: [
    { kind: "vendor", id: 7, revision: 2, data: Uint8Array.of(9, 9), writable: Uint8Array.of(0, 0x0f) },
    { kind: "dsn", serial: 0x1122334455667788n },
  ],
};

test("capabilities stand in the chain in the order in which they are declared", () => {
  const config = new PciConfig(EVERY);
  const chain: number[] = [];
  for (let at = read(config, 0x34, 1); at !== 0; at = read(config, at + 1, 1)) chain.push(read(config, at, 1));
  expect(chain).toEqual([0x11, 0x09, 0x05, 0x01, 0x10]);
  expect([read(config, 0x100, 4), read(config, 0x104, 4)]).toEqual([0x10c1000b, 0x00a20007]);
  expect([read(config, 0x10c, 4), read(config, 0x110, 4)]).toEqual([0x00010003, 0x55667788]);
  const placed = new PciConfig({ ...AVF, pcie: undefined, capabilities: [{ kind: "pm", at: 0xf0 }] });
  expect([read(placed, 0x34, 1), read(placed, 0xf1, 1)]).toEqual([0xf0, 0x70]);
});

test.each([
  [false, false],
  [true, false],
  [false, true],
  [true, true],
])("MSI with 64-bit addresses %s and masks %s", (address64, maskable) => {
  const states: unknown[] = [];
  const config = new PciConfig({
    ...AVF,
    capabilities: [{ kind: "msi", at: 0x40, vectors: 8, address64, maskable }],
    onMsi: (state) => states.push(state),
  });
  const data = address64 ? 0x4c : 0x48;
  expect(read(config, 0x42, 2)).toBe(0x06 | (address64 ? 0x80 : 0) | (maskable ? 0x100 : 0));
  write(config, data, 2, 0xbeef);
  expect(read(config, data, 2)).toBe(0xbeef);
  write(config, 0x42, 2, 0x31);
  expect([config.msiEnabled, config.msiVectors]).toEqual([true, 8]);
  write(config, data + 4, 4, 0xffffffff);
  expect(read(config, data + 4, 4)).toBe(maskable ? 0xff : 0);
  expect(config.msiMask).toBe(maskable ? 0xff : 0);
  config.msiPending = 0x42;
  expect(read(config, data + 8, 4)).toBe(maskable ? 0x42 : 0);
  expect(() => write(config, 0x42, 1, 0x41)).toThrow(expect.objectContaining({ errno: 22 }));
  expect(() => write(config, 0x40, 4, 0x410000)).toThrow(expect.objectContaining({ errno: 22 }));
  const enabled = { enabled: true, vectors: 8, mask: 0 };
  expect(states).toEqual(maskable ? [enabled, { ...enabled, mask: 0xff }] : [enabled]);
});

test("the expansion ROM is sized and enabled; the interrupt status bit is the device's", () => {
  const config = new PciConfig(EVERY);
  write(config, 0x30, 4, 0xffffffff);
  expect(read(config, 0x30, 4)).toBe(0xffff0001);
  config.interruptStatus = true;
  write(config, 6, 2, 0xffff);
  expect(read(config, 6, 2)).toBe(0x18);
  config.interruptStatus = false;
  expect(read(config, 6, 2)).toBe(0x10);
});

test.each([
  ["AVF, PM and PCI Express", { ...AVF, pm: {}, pcie: {} }],
  ["every capability", EVERY],
])(
  "%s: whatever is written in whatever pieces, read-only bits keep their value and reset restores the rest",
  (_name, spec) => {
    const config = new PciConfig(spec);
    const all = (): Uint8Array => {
      const into = new Uint8Array(4096);
      config.read(0, into);
      return into;
    };
    const initial = all();
    const writeAt = (offset: number, data: Uint8Array): void => {
      try {
        config.write(offset, data);
      } catch (error) {
        // wholly in a header, in read-only bytes of power management, or too many MSI vectors
        if (![1, 22, 95].includes((error as { errno: number }).errno)) throw error;
      }
    };
    // which bits can be written at all: byte by byte, and the numbers of MSI vectors that are allowed
    const writable = new Uint8Array(4096);
    for (const value of [0xff, 0x41, 0x31, 0]) {
      for (let at = 0; at < 4096; at++) writeAt(at, Uint8Array.of(value));
      all().forEach((byte, at) => {
        writable[at] = (writable[at] as number) | (byte ^ (initial[at] as number));
      });
    }
    fc.assert(
      fc.property(fc.nat(0x140), fc.uint8Array({ minLength: 1, maxLength: 16 }), (offset, data) => {
        writeAt(offset, data);
        all().forEach((byte, at) => {
          const fixed = ~(writable[at] as number);
          if ((byte & fixed) !== ((initial[at] as number) & fixed)) throw new Error(`byte ${at} is ${byte}`);
        });
      }),
      { numRuns: 300 },
    );
    config.reset();
    expect(all()).toEqual(initial);
  },
);

test("a write does the same in pieces of any size as in one, but for what is refused as a whole", () => {
  const [whole, pieces] = [new PciConfig(EVERY), new PciConfig(EVERY)];
  const all = (config: PciConfig): number[] => {
    const into = new Uint8Array(4096);
    config.read(0, into);
    return [...into];
  };
  const errnoOf = (action: () => unknown): number => {
    try {
      action();
      return 0;
    } catch (error) {
      return (error as { errno: number }).errno;
    }
  };
  fc.assert(
    fc.property(
      fc.nat(0x140),
      fc.uint8Array({ minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 8, maxLength: 8 }),
      (offset, data, sizes) => {
        // Too many MSI vectors refuse all of a write, and so more of a longer one.
        if (errnoOf(() => whole.write(offset, data)) === 22) return;
        for (let at = 0, i = 0; at < data.length; at += sizes[i++] as number) {
          errnoOf(() => pieces.write(offset + at, data.slice(at, at + (sizes[i] as number))));
        }
        expect(all(pieces)).toEqual(all(whole));
      },
    ),
    { numRuns: 300 },
  );
});

test("accesses outside the space are refused with EINVAL", () => {
  const config = new PciConfig(AVF);
  for (const [offset, bytes] of [
    [4096, 1],
    [4093, 4],
    [-1, 1],
    [0, 4097],
    [1.5, 1],
    [Number.NaN, 1],
  ] as const) {
    expect(() => config.read(offset, new Uint8Array(bytes))).toThrow(expect.objectContaining({ errno: 22 }));
    expect(() => config.write(offset, new Uint8Array(bytes))).toThrow(expect.objectContaining({ errno: 22 }));
  }
  expect(new PciConfig({ ...AVF, bytes: 256 }).bytes).toBe(256);
  expect(new PciConfig({ ...AVF, pcie: undefined }).bytes).toBe(256);
});

test.each<[string, Partial<PciConfigSpec>]>([
  ["a BAR that is no power of two", { bars: [{ index: 0, bytes: 48, kind: "mem32" }], msix: undefined }],
  ["a memory BAR below 16 bytes", { bars: [{ index: 0, bytes: 8, kind: "mem32" }], msix: undefined }],
  ["a 64-bit BAR5", { bars: [{ index: 5, bytes: 4096, kind: "mem64" }], msix: undefined }],
  ["a BAR in the upper half of another", { bars: [...(AVF.bars ?? []), { index: 1, bytes: 16, kind: "mem32" }] }],
  ["a 4 GiB BAR of 32 bits", { bars: [{ index: 0, bytes: 2 ** 32, kind: "mem32" }], msix: undefined }],
  ["0 vectors", { msix: { vectors: 0, table: { bar: 3, offset: 0 }, pba: { bar: 3, offset: 0x2000 } } }],
  [
    "an MSI-X table outside its BAR",
    { msix: { vectors: 1025, table: { bar: 3, offset: 0 }, pba: { bar: 3, offset: 0 } } },
  ],
  [
    "an MSI-X table in a BAR that is not there",
    { msix: { vectors: 1, table: { bar: 4, offset: 0 }, pba: { bar: 3, offset: 0 } } },
  ],
  ["capabilities on top of each other", { pm: { at: 0x74 } }],
  ["a capability in the header", { pm: { at: 0x3c } }],
  ["an interrupt pin 5", { interruptPin: 5 }],
  ["a ROM of 1000 bytes", { romBytes: 1000 }],
  ["3 MSI vectors", { capabilities: [{ kind: "msi", vectors: 3 }] }],
  ["power management twice", { pm: {}, capabilities: [{ kind: "pm" }] }],
  ["more vendor-specific data than there is room", { capabilities: [{ kind: "vendor", data: new Uint8Array(180) }] }],
  [
    "a mask of another length",
    { capabilities: [{ kind: "vendor", data: new Uint8Array(4), writable: new Uint8Array(3) }] },
  ],
  ["extended capabilities in 256 bytes", { bytes: 256, extended: [{ kind: "dsn", serial: 1n }] }],
  ["a VSEC id of 17 bits", { extended: [{ kind: "vendor", id: 0x10000, data: new Uint8Array(1) }] }],
])("a declaration with %s is refused at once", (_name, wrong) => {
  expect(() => new PciConfig({ ...AVF, ...wrong })).toThrow(expect.objectContaining({ code: "VFU_ARGUMENT" }));
});
