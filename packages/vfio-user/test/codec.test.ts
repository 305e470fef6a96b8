// Every message codec: golden bytes written from the specification's tables, round trips on random values, every
// truncation, and what `invalid` says to reserved bits and impossible values.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { wire } from "../src/index.ts";

const { deviceFeature, dmaLogging, migData, migState } = wire;
const { deviceInfo, dmaAccess, dmaMap, dmaUnmap, header, irqInfo, regionAccess, regionInfo, setIrqs, version } = wire;

const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const bytes = fc.uint8Array({ maxLength: 64 });

interface Codec {
  SIZE: number;
  encodeInto(view: DataView, offset: number, msg: never): number;
  decode(view: DataView, offset: number, length: number): unknown;
}

const CODECS: [string, Codec, Record<string, fc.Arbitrary<unknown>>][] = [
  ["header", header, { id: u16, command: u16, size: u32, flags: u32, error: u32 }],
  ["VERSION", version, { major: u16, minor: u16, json: bytes }],
  ["DMA_MAP", dmaMap, { argsz: u32, flags: u32, fileOffset: u64, iova: u64, size: u64 }],
  ["DMA_UNMAP", dmaUnmap, { argsz: u32, flags: u32, iova: u64, size: u64 }],
  ["DEVICE_GET_INFO", deviceInfo, { argsz: u32, flags: u32, numRegions: u32, numIrqs: u32 }],
  [
    "DEVICE_GET_REGION_INFO",
    regionInfo,
    { argsz: u32, flags: u32, index: u32, capOffset: u32, size: u64, offset: u64 },
  ],
  ["DEVICE_GET_IRQ_INFO", irqInfo, { argsz: u32, flags: u32, index: u32, count: u32 }],
  ["DEVICE_SET_IRQS", setIrqs, { argsz: u32, flags: u32, index: u32, start: u32, count: u32, data: bytes }],
  ["DEVICE_FEATURE", deviceFeature, { argsz: u32, flags: u32 }],
  ["MIG_DATA_READ and MIG_DATA_WRITE", migData, { argsz: u32, size: u32 }],
  ["REGION_READ and REGION_WRITE", regionAccess, { offset: u64, region: u32, count: u32 }],
  ["DMA_READ and DMA_WRITE", dmaAccess, { iova: u64, count: u64 }],
];

describe.each(CODECS)("%s", (_name, codec, fields) => {
  test("what was encoded is decoded, at any offset, touching nothing else", () => {
    fc.assert(
      fc.property(fc.record(fields), fc.integer({ min: 0, max: 9 }), (msg, offset) => {
        const buffer = new Uint8Array(256).fill(0xa5);
        const written = codec.encodeInto(new DataView(buffer.buffer), offset, msg as never);
        expect(buffer.subarray(0, offset).every((byte) => byte === 0xa5)).toBe(true);
        expect(buffer.subarray(offset + written).every((byte) => byte === 0xa5)).toBe(true);
        expect(codec.decode(new DataView(buffer.buffer), offset, written)).toEqual(msg);
      }),
    );
  });

  test("every truncation is seen", () => {
    const view = new DataView(new ArrayBuffer(64));
    for (let length = 0; length < codec.SIZE; length++) expect(codec.decode(view, 0, length)).toBeNull();
    expect(codec.decode(view, 0, codec.SIZE)).not.toBeNull();
  });

  test("any bytes decode to something or nothing, never to an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 80 }), (data) => {
        codec.decode(new DataView(data.buffer, data.byteOffset, data.length), 0, data.length);
      }),
    );
  });
});

function encoded(codec: Codec, msg: object): string {
  const buffer = new Uint8Array(64);
  return Buffer.from(buffer.subarray(0, codec.encodeInto(new DataView(buffer.buffer), 0, msg as never))).toString(
    "hex",
  );
}

test("golden bytes of migration", () => {
  expect(encoded(deviceFeature, { argsz: 16, flags: 0x10001 })).toBe("1000000001000100");
  expect(encoded(migData, { argsz: 12, size: 4 })).toBe("0c00000004000000");
  const buffer = new Uint8Array(64);
  const view = new DataView(buffer.buffer);
  const hex = (bytes: number): string => Buffer.from(buffer.subarray(0, bytes)).toString("hex");
  expect(hex(migState.encodeFlagsInto(view, 0, 5))).toBe("0500000000000000");
  expect(hex(migState.encodeInto(view, 0, "preCopyP2p"))).toBe("07000000ffffffff");
  expect(hex(dmaLogging.encodeReportInto(view, 0, { iova: 0x10000n, size: 0x20000n, pageSize: 0x1000n }))).toBe(
    "0000010000000000" + "0000020000000000" + "0010000000000000",
  );
  const control = { pageSize: 4096n, ranges: [{ iova: 0x1000n, size: 0x2000n }] };
  expect(hex(dmaLogging.encodeControlInto(view, 0, control))).toBe(
    "0010000000000000" + "01000000" + "00000000" + "0010000000000000" + "0020000000000000",
  );
  expect(dmaLogging.decodeControl(view, 0, 32)).toEqual(control);
  for (let length = 0; length < 32; length++) expect(dmaLogging.decodeControl(view, 0, length)).toBeNull();
  expect(dmaLogging.bitmapBytes(65n, 1n)).toBe(16n);
});

test("golden bytes", () => {
  expect(encoded(header, { id: 0x1234, command: 9, size: 32, flags: 0x10, error: 5 })).toBe(
    "34120900" + "20000000" + "10000000" + "05000000",
  );
  expect(encoded(dmaMap, { argsz: 32, flags: 3, fileOffset: 0x100000n, iova: 0xfffc0000n, size: 0x40000n })).toBe(
    "20000000" + "03000000" + "0000100000000000" + "0000fcff00000000" + "0000040000000000",
  );
  expect(encoded(dmaUnmap, { argsz: 24, flags: 2, iova: 0n, size: 0n })).toBe(
    "18000000" + "02000000" + "0000000000000000" + "0000000000000000",
  );
  expect(encoded(deviceInfo, { argsz: 16, flags: 3, numRegions: 9, numIrqs: 5 })).toBe(
    "10000000" + "03000000" + "09000000" + "05000000",
  );
  expect(encoded(regionInfo, { argsz: 64, flags: 0xf, index: 0, capOffset: 32, size: 0x10000n, offset: 0n })).toBe(
    "40000000" + "0f000000" + "00000000" + "20000000" + "0000010000000000" + "0000000000000000",
  );
  expect(encoded(irqInfo, { argsz: 16, flags: 1, index: 2, count: 5 })).toBe(
    "10000000" + "01000000" + "02000000" + "05000000",
  );
  expect(encoded(setIrqs, { argsz: 20, flags: 0x22, index: 2, start: 1, count: 2, data: Uint8Array.of(1, 0) })).toBe(
    "14000000" + "22000000" + "02000000" + "01000000" + "02000000" + "0100",
  );
  expect(encoded(regionAccess, { offset: 0x8800n, region: 0, count: 4 })).toBe(
    "0088000000000000" + "00000000" + "04000000",
  );
  expect(encoded(dmaAccess, { iova: 0x16914000n, count: 32n })).toBe("0040911600000000" + "2000000000000000");
});

test("the sparse mmap capability, golden and back", () => {
  const areas = [
    { offset: 0n, size: 0x1000n },
    { offset: 0x2000n, size: 0x1000n },
  ];
  const bytes = new Uint8Array(regionInfo.sizeWith(2));
  const view = new DataView(bytes.buffer);
  expect(regionInfo.encodeSparseMmapInto(view, 32, areas)).toBe(48);
  expect(Buffer.from(bytes.subarray(32)).toString("hex")).toBe(
    "01000100" +
      "00000000" +
      "02000000" +
      "00000000" +
      "0000000000000000" +
      "0010000000000000" +
      "0020000000000000" +
      "0010000000000000",
  );
  const info = { argsz: 80, flags: 15, index: 0, capOffset: 32, size: 0x10000n, offset: 0n };
  expect(regionInfo.decodeAreas(view, 0, 80, info)).toEqual(areas);
  expect(regionInfo.decodeAreas(view, 0, 79, info)).toContain("do not fit");
  for (let length = 32; length < 48; length++)
    expect(regionInfo.decodeAreas(view, 0, length, info)).toBeTypeOf("string");
});

test("a capability chain of another process ends, whatever is in it", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 200 }),
      fc.integer({ min: 0, max: 220 }),
      (data, capOffset) => {
        const view = new DataView(data.buffer, data.byteOffset, data.length);
        const info = { argsz: 0, flags: 8, index: 0, capOffset, size: 0n, offset: 0n };
        regionInfo.decodeAreas(view, 0, data.length, info);
      },
    ),
  );
  const loop = new Uint8Array(64);
  const view = new DataView(loop.buffer);
  view.setUint16(32, 2, true);
  view.setUint32(36, 32, true);
  expect(
    regionInfo.decodeAreas(view, 0, 64, { argsz: 64, flags: 8, index: 0, capOffset: 32, size: 0n, offset: 0n }),
  ).toContain("backwards");
});

test("reserved bits and impossible values are invalid", () => {
  const map = { argsz: 32, flags: 3, fileOffset: 0n, iova: 0n, size: 4096n };
  expect(dmaMap.invalid(map)).toBeNull();
  expect(dmaMap.invalid({ ...map, argsz: 31 })).not.toBeNull();
  for (let bit = 4; bit < 32; bit++) expect(dmaMap.invalid({ ...map, flags: (1 << bit) >>> 0 })).not.toBeNull();
  expect(dmaMap.invalid({ ...map, size: 0n })).not.toBeNull();
  expect(dmaMap.invalid({ ...map, iova: (1n << 64n) - 1n, size: 2n })).not.toBeNull();
  expect(dmaMap.invalid({ ...map, iova: (1n << 64n) - 4096n })).toBeNull();
  expect(dmaMap.invalid({ ...map, fileOffset: (1n << 64n) - 1n })).not.toBeNull();
  const unmap = { argsz: 24, flags: 0, iova: 0n, size: 4096n };
  expect(dmaUnmap.invalid(unmap)).toBeNull();
  expect(dmaUnmap.invalid({ ...unmap, argsz: 23 })).not.toBeNull();
  expect(dmaUnmap.invalid({ ...unmap, argsz: (1 << 20) + 1 })).not.toBeNull();
  expect(dmaUnmap.invalid({ ...unmap, flags: 4 })).not.toBeNull();
  expect(dmaUnmap.invalid({ ...unmap, flags: 3 })).not.toBeNull();
  expect(dmaUnmap.invalid({ ...unmap, flags: 2 })).not.toBeNull();
  expect(dmaUnmap.invalid({ argsz: 24, flags: 2, iova: 0n, size: 0n })).toBeNull();
  for (let bit = 2; bit < 32; bit++) expect(dmaUnmap.invalid({ ...unmap, flags: (1 << bit) >>> 0 })).not.toBeNull();
  expect(header.invalid({ id: 0, command: 1, size: 15, flags: 0, error: 0 })).not.toBeNull();
  for (let type = 2; type < 16; type++) {
    expect(header.invalid({ id: 0, command: 1, size: 16, flags: type, error: 0 })).not.toBeNull();
  }
});

describe("VERSION", () => {
  const fault = (json: string): string | null =>
    version.invalid({ major: 0, minor: 0, json: new TextEncoder().encode(json) });

  test("defaults hold where nothing is said", () => {
    for (const json of ["", "{}\0", '{"capabilities":{}}\0', '{"capabilities":{"unknown":[1]}}\0']) {
      const msg = { major: 0, minor: 0, json: new TextEncoder().encode(json) };
      expect(version.invalid(msg)).toBeNull();
      expect(version.capabilitiesOf(msg)).toEqual({
        maxMsgFds: 1,
        maxDataXferSize: 1 << 20,
        maxDmaMaps: 65535,
        pgsizes: 4096,
        writeMultiple: false,
        twinSocket: false,
        twinFdIndex: -1,
      });
    }
  });

  test("what libvfio-user's negotiation tests refuse is refused", () => {
    expect(version.invalid({ major: 999, minor: 0, json: new Uint8Array(0) })).toContain("major");
    for (const json of [
      "{}",
      '{"capabilities":{}\0',
      '{"capabilities:{}}\0',
      "[]\0",
      "null\0",
      '{"capabilities":"x"}\0',
      '{"capabilities":{"max_msg_fds":"8"}}\0',
      '{"capabilities":{"max_msg_fds":-1}}\0',
      '{"capabilities":{"max_msg_fds":1025}}\0',
      '{"capabilities":{"max_msg_fds":1.5}}\0',
      '{"capabilities":{"max_data_xfer_size":"1"}}\0',
      '{"capabilities":{"max_data_xfer_size":0}}\0',
      '{"capabilities":{"max_dma_maps":-1}}\0',
      '{"capabilities":{"migration":"x"}}\0',
      '{"capabilities":{"migration":{"pgsize":"4096"}}}\0',
      '{"capabilities":{"migration":{"pgsize":4095}}}\0',
      '{"capabilities":{"twin_socket":{"supported":1}}}\0',
      '{"capabilities":{"write_multiple":1}}\0',
    ]) {
      expect(fault(json), json).not.toBeNull();
    }
    expect(version.invalid({ major: 0, minor: 0, json: Uint8Array.of(0x22, 0xff, 0x22, 0) })).not.toBeNull();
  });

  test("any text is judged without an exception", () => {
    fc.assert(fc.property(fc.json(), (json) => void fault(`${json}\0`)));
    fc.assert(fc.property(fc.json(), (json) => void fault(`{"capabilities":${json}}\0`)));
    fc.assert(fc.property(bytes, (json) => void version.invalid({ major: 0, minor: 0, json })));
  });
});

test("SET_IRQS takes exactly one data flag and one action flag, whatever else is set", () => {
  fc.assert(
    fc.property(u32, u32, u32, fc.nat(8), (flags, start, count, fds) => {
      const msg = { argsz: 20, flags, index: 2, start, count, data: new Uint8Array(0) };
      const data = [1, 2, 4].filter((bit) => flags & bit).length;
      const action = [8, 16, 32].filter((bit) => flags & bit).length;
      if (setIrqs.invalid(msg, 5, fds) !== null) return;
      expect([data, action, flags >>> 6]).toEqual([1, 1, 0]);
      expect(start + count).toBeLessThanOrEqual(5);
    }),
    { numRuns: 2000 },
  );
});
