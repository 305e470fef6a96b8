// The decoders of `vfu trace` against messages written down byte by byte from the specification's tables (and from what QEMU sends),
// without a proxy: text, fields, and what is called malformed. No bytes at all may make one throw.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { filterOf, unknownNames } from "../src/trace/filter.ts";
import { jsonLine } from "../src/trace/format/json.ts";
import { bareLine, textLine } from "../src/trace/format/text.ts";
import { Tracer } from "../src/trace/tracer.ts";
import { json, passed, type Told, u16, u32, u64 } from "./trace-messages.ts";

function line(command: number, payload: string, told: Told = {}, tracer = new Tracer({ dataMost: 16 })): string {
  return bareLine(tracer.entry(passed(command, payload, told)));
}

function fault(command: number, payload: string, told: Told = {}): string | null {
  return new Tracer({ dataMost: 16 }).entry(passed(command, payload, told)).fault;
}

describe("commands", () => {
  it("VERSION: numbers and all capabilities, QEMU's too", () => {
    const qemu = `{"capabilities": {"max_msg_fds": 16, "write_multiple": true, "migration": {"pgsize": 4096}}}`;
    expect(line(1, `0000 0000 ${json(qemu)}`)).toBe(
      "VERSION 0.0 max_msg_fds=16 write_multiple=true migration={pgsize:4096}",
    );
    expect(line(1, "0000 0100")).toBe("VERSION 0.1");
    expect(fault(1, `0000 0000 ${json("{")}`)).toBe("the capabilities are not JSON");
    expect(fault(1, "0000")).toBe("payload of 2 bytes, at least 4 are needed");
    expect(line(1, `0000 0000 ${json(`{"capabilities":{"x\\u001b[2J":1}}`)}`)).not.toContain("\x1b");
  });

  it("DMA_MAP and DMA_UNMAP", () => {
    const map = u32(32) + u32(3) + u64(0x100000n) + u64(0x100000n) + u64(0x1ff00000n);
    expect(line(2, map, { fds: ["memfd:ram"] })).toBe(
      "DMA_MAP 0x100000..0x20000000 read|write offset 0x100000 1 fd: memfd:ram",
    );
    const rom = u32(32) + u32(1) + u64(0n) + u64(0xfffc0000n) + u64(0x40000n);
    expect(line(2, rom)).toBe("DMA_MAP 0xfffc0000..0x100000000 read no fd");
    expect(line(2, "", { reply: true })).toBe("DMA_MAP reply");
    expect(fault(2, u32(32) + u32(4) + u64(0n) + u64(0n) + u64(4096n))).toMatch(/say how to use an fd/);
    expect(fault(2, map, { fds: ["a", "b"] })).toMatch(/2 fds/);
    expect(line(3, u32(24) + u32(0) + u64(0xc0000n) + u64(0x20000n))).toBe("DMA_UNMAP 0xc0000..0xe0000");
    expect(line(3, u32(24) + u32(2) + u64(0n) + u64(0n))).toBe("DMA_UNMAP all");
  });

  it("DEVICE_GET_INFO, DEVICE_GET_IRQ_INFO, DEVICE_RESET", () => {
    expect(line(4, u32(16) + u32(3) + u32(9) + u32(5), { reply: true })).toBe(
      "DEVICE_GET_INFO reply reset|pci 9 regions, 5 interrupt indexes",
    );
    expect(line(7, u32(16) + u32(1) + u32(2) + u32(5), { reply: true })).toBe(
      "DEVICE_GET_IRQ_INFO reply msix eventfd count 5",
    );
    expect(line(7, u32(16) + u32(0) + u32(3) + u32(0))).toBe("DEVICE_GET_IRQ_INFO err");
    expect(line(13, "")).toBe("DEVICE_RESET");
    expect(fault(13, "00")).toMatch(/1 bytes of payload/);
  });

  it("DEVICE_GET_REGION_INFO with its capabilities, and a chain that is no chain", () => {
    const head = (argsz: number, capOffset = 32): string =>
      u32(argsz) + u32(15) + u32(0) + u32(capOffset) + u64(0x10000n) + u64(0n);
    const areas = u32(2) + u32(0) + u64(0n) + u64(0x1000n) + u64(0x2000n) + u64(0x1000n);
    const sparse = u16(1) + u16(1) + u32(0) + areas;
    const told = { reply: true, fds: ["memfd:emu_iavf0"] };
    expect(line(5, head(80) + sparse, told)).toBe(
      "DEVICE_GET_REGION_INFO reply bar0 read|write|mmap|caps size 0x10000 " +
        "sparse-mmap 0x0..0x1000, 0x2000..0x3000 1 fd: memfd:emu_iavf0",
    );
    expect(line(5, head(80), { reply: true })).toMatch(/capabilities need an argsz of 80$/);
    expect(fault(5, head(80, 76) + sparse, told)).toMatch(/outside the reply/);
    expect(fault(5, head(80, 8) + sparse, told)).toMatch(/outside the reply/);
    expect(fault(5, head(80) + u16(1) + u16(1) + u32(32) + areas, told)).toMatch(/backwards/);
  });

  it("DEVICE_GET_REGION_IO_FDS: entries of 40 and of 48 bytes", () => {
    const spec = u64(0x10n) + u64(4n) + u32(0) + u32(0) + u32(0) + u32(0) + u64(0n);
    expect(line(6, u32(56) + u32(0) + u32(0) + u32(1) + spec, { reply: true, fds: ["eventfd"] })).toBe(
      "DEVICE_GET_REGION_IO_FDS reply bar0 1 entries: 0x10/4 ioeventfd fd 0 1 fd: eventfd",
    );
    const shadow = u64(0x20n) + u64(4n) + u32(0) + u32(2) + u32(0) + u32(1) + u64(8n) + u64(0n);
    const reply = { reply: true };
    expect(line(6, u32(64) + u32(0) + u32(0) + u32(1) + shadow, reply)).toMatch(/0x20\/4 ioeventfd\+shadow fd 0/);
    expect(fault(6, u32(60) + u32(0) + u32(0) + u32(1) + shadow, reply)).toBe("1 entries in an argsz of 60");
  });

  it("DEVICE_SET_IRQS says what it does", () => {
    const irqs = (flags: number, index: number, start: number, count: number): string =>
      u32(20) + u32(flags) + u32(index) + u32(start) + u32(count);
    expect(line(8, irqs(0x24, 3, 0, 1), { fds: ["eventfd"] })).toBe("DEVICE_SET_IRQS err 0 bind 1 fd: eventfd");
    expect(line(8, irqs(0x24, 2, 0, 1))).toBe("DEVICE_SET_IRQS msix 0 unbind");
    expect(line(8, irqs(0x21, 2, 0, 0))).toBe("DEVICE_SET_IRQS msix disable all");
    expect(line(8, irqs(0x11, 0, 0, 1))).toBe("DEVICE_SET_IRQS intx 0 unmask");
    expect(line(8, `${irqs(0x22, 2, 1, 3)}010001`)).toBe("DEVICE_SET_IRQS msix 1..3 trigger where 101");
    expect(fault(8, irqs(0x27, 2, 0, 1))).toMatch(/one data flag/);
    expect(fault(8, irqs(0x24, 2, 0, 3), { fds: ["eventfd"] })).toBe("1 fds for 3 vectors");
  });

  it("REGION_READ and REGION_WRITE: registers have names once the device is known", () => {
    const tracer = new Tracer({ dataMost: 16 });
    const at = (offset: bigint, region: number, count: number): string => u64(offset) + u32(region) + u32(count);
    expect(line(10, `${at(0x8400n, 0, 4)}05000000`, {}, tracer)).toBe("REGION_WRITE bar0+0x8400 4 <- 0x00000005");
    expect(line(9, at(0n, 7, 4), {}, tracer)).toBe("REGION_READ config+0x0 VENDOR_ID 4");
    expect(line(9, `${at(0n, 7, 4)}86808918`, { reply: true }, tracer)).toBe(
      "REGION_READ reply config+0x0 VENDOR_ID 4 -> 0x18898086",
    );
    expect(line(10, `${at(0x8400n, 0, 4)}05000000`, { flags: 0x10 }, tracer)).toBe(
      "REGION_WRITE posted bar0+0x8400 VF_ATQT1 4 <- 0x00000005",
    );
    expect(line(10, `${at(0x0cn, 0, 4)}01000000`, {}, tracer)).toBe(
      "REGION_WRITE bar0+0xc QTX_TAIL1(3) 4 <- 0x00000001",
    );
    expect(line(10, `${at(0x10n, 7, 4)}ffffffff`, {}, tracer)).toBe("REGION_WRITE config+0x10 BAR0 4 <- 0xffffffff");
    expect(line(9, at(0x0an, 7, 2), {}, tracer)).toBe("REGION_READ config+0xa CLASS_CODE+1 2");
    expect(fault(10, at(0n, 0, 4))).toBe("count 4 with 0 bytes of data");
    expect(fault(9, at(0n, 0, 0xffffffff), { reply: true })).toMatch(/count 4294967295/);
  });

  it("names capabilities in config space where the device has them", () => {
    const tracer = new Tracer({ dataMost: 16 });
    const config = new Uint8Array(256);
    config.set([0x86, 0x80, 0x89, 0x18]);
    config.set([0x40], 0x34);
    config.set([0x10, 0x70], 0x40);
    config.set([0x11, 0x00, 0x04, 0x80], 0x70);
    const data = Buffer.from(config).toString("hex");
    line(9, u64(0n) + u32(7) + u32(256) + data, { reply: true }, tracer);
    expect(line(9, u64(0x72n) + u32(7) + u32(2), {}, tracer)).toBe("REGION_READ config+0x72 MSIX.CONTROL 2");
    expect(line(9, u64(0x4an) + u32(7) + u32(2), {}, tracer)).toBe("REGION_READ config+0x4a PCIE.DEVICE_STATUS 2");
  });

  it("REGION_WRITE_MULTI", () => {
    const entry = (offset: bigint, data: string): string => u64(offset) + u32(0) + u32(4) + data.padEnd(16, "0");
    expect(line(15, u64(2n) + entry(0x8400n, "01000000") + entry(0n, "02000000"), { flags: 0x10 })).toBe(
      "REGION_WRITE_MULTI posted 2 writes: bar0+0x8400 <- 0x00000001, bar0+0x0 <- 0x00000002",
    );
    expect(line(15, u64(2n), { reply: true })).toBe("REGION_WRITE_MULTI reply 2 written");
    expect(fault(15, u64(3n) + entry(0n, "00"))).toBe("32 bytes for 3 writes");
  });

  it("DMA_READ and DMA_WRITE come from the server; their short replies are good", () => {
    expect(line(11, u64(0x1000n) + u64(4n), { server: true })).toBe("DMA_READ 0x1000 4");
    expect(line(11, `${u64(0x1000n) + u64(4n)}01020304`, { reply: true, server: true })).toBe(
      "DMA_READ reply 0x1000 4 -> 0x04030201",
    );
    expect(line(12, `${u64(0x1000n) + u64(3n)}010203`, { server: true })).toBe("DMA_WRITE 0x1000 3 <- 01 02 03");
    expect(line(12, u64(0x1000n) + u32(3), { reply: true, server: true })).toBe("DMA_WRITE reply 0x1000 3");
    expect(fault(12, "", { reply: true, server: true })).toBeNull();
  });

  it("DEVICE_FEATURE: states, flags, DMA logging", () => {
    expect(line(16, u32(8) + u32(0x10001))).toBe("DEVICE_FEATURE get MIGRATION");
    expect(line(16, u32(16) + u32(0x10001) + u64(5n), { reply: true })).toBe(
      "DEVICE_FEATURE reply get MIGRATION stop_copy|pre_copy",
    );
    expect(line(16, u32(16) + u32(0x20002) + u32(3) + u32(0))).toBe("DEVICE_FEATURE set MIG_DEVICE_STATE stop-copy");
    const start = u32(64) + u32(0x20006) + u64(4096n) + u32(1) + u32(0) + u64(0x1000n) + u64(0x2000n);
    expect(line(16, start)).toBe("DEVICE_FEATURE set DMA_LOGGING_START pages of 4096: 0x1000..0x3000");
    const report = u32(64) + u32(0x10008) + u64(0n) + u64(0x4000n) + u64(4096n);
    expect(line(16, `${report}0500000000000000`, { reply: true })).toBe(
      "DEVICE_FEATURE reply get DMA_LOGGING_REPORT 0x0..0x4000 pages of 4096 -> 2 dirty: 0x0000000000000005",
    );
    expect(fault(16, u32(8) + u32(0x20006))).toMatch(/too few/);
  });

  it("MIG_DATA_READ and MIG_DATA_WRITE", () => {
    expect(line(17, u32(24) + u32(16))).toBe("MIG_DATA_READ 16");
    expect(line(17, `${u32(12) + u32(4)}0a0b0c0d`, { reply: true })).toBe("MIG_DATA_READ reply 4 -> 0x0d0c0b0a");
    expect(line(17, u32(8) + u32(0), { reply: true })).toBe("MIG_DATA_READ reply 0, the end");
    expect(fault(18, u32(12) + u32(4))).toBe("size 4 with 0 bytes of data");
  });
});

describe("what surrounds a payload", () => {
  it("errors have the errno's name; numbers and types that nobody knows are malformed", () => {
    expect(line(2, "", { reply: true, flags: 0x21, error: 22 })).toBe("DMA_MAP EINVAL");
    expect(fault(99, "0102")).toBe("command 99 is not known");
    expect(fault(14, "0102")).toBeNull();
    expect(fault(4, "", { flags: 7 })).toMatch(/type 7/);
    expect(fault(4, "", { size: 3 })).toMatch(/smaller than its own header/);
    expect(fault(9, "0102", { kind: "torn", size: 32 })).toBe("the stream ends after 18 of 32 bytes");
  });

  it("a reply's latency is counted from its own request, ids used twice in their order", () => {
    const tracer = new Tracer({ dataMost: 16 });
    tracer.entry(passed(13, "", { id: 7, time: 1000n }));
    tracer.entry(passed(13, "", { id: 7, time: 5000n }));
    tracer.entry(passed(11, u64(0n) + u64(4n), { id: 7, time: 6000n, server: true }));
    expect(tracer.entry(passed(13, "", { id: 7, time: 11_000n, reply: true })).latencyNs).toBe(10_000n);
    expect(tracer.entry(passed(13, "", { id: 7, time: 12_000n, reply: true })).latencyNs).toBe(7000n);
    expect(tracer.entry(passed(13, "", { id: 7, time: 13_000n, reply: true })).latencyNs).toBeNull();
  });

  it("--only takes names, patterns, places and kinds, and ! for what is not wanted", () => {
    const tracer = new Tracer({ dataMost: 16 });
    const write = tracer.entry(passed(10, `${u64(0x10n) + u32(7) + u32(4)}00000000`, { flags: 0x10 }));
    const error = tracer.entry(passed(13, "", { reply: true, flags: 0x21, error: 5 }));
    const shown = (only: string): boolean[] => [write, error].map(filterOf(only));
    expect(shown("region_*")).toEqual([true, false]);
    expect(shown("config")).toEqual([true, false]);
    expect(shown("BAR?")).toEqual([true, false]);
    expect(shown("errors,posted")).toEqual([true, true]);
    expect(shown("!REGION_WRITE")).toEqual([false, true]);
    expect(shown("malformed")).toEqual([false, false]);
    expect(() => filterOf("a b")).toThrow(/--only/);
  });

  it("no bytes make a decoder throw, and every line is one line without control characters", () => {
    const tracer = new Tracer({ dataMost: 8 });
    const header = fc.tuple(fc.nat(65535), fc.nat(20), fc.constantFrom(0, 1, 0x10, 0x21, 0x31, 7));
    const seed = Number(process.env.EMUDEV_SEED ?? 1);
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 200 }), fc.nat(20), ([id, command, flags], payload, cut) => {
        const message = passed(command, Buffer.from(payload).toString("hex"), { id, flags });
        const bytes = message.bytes.subarray(0, Math.max(message.bytes.length - cut, 1));
        const entry = tracer.entry({ ...message, bytes, kind: cut === 0 ? "message" : "torn" });
        expect(textLine(entry)).not.toMatch(/\p{Cc}/u);
        JSON.parse(jsonLine(entry));
      }),
      { numRuns: 2000, seed },
    );
  });
});

describe("--only", () => {
  it("warns of names that no message can have", () => {
    expect(unknownNames("BOGUS,QTX_TAIL1(0),VF_A*,!REGION_READ,errors,COMMAND,bar7,MSIX.CONTROL,*_NOPE")).toEqual([
      "BOGUS",
      "bar7",
      "*_NOPE",
    ]);
    expect(unknownNames(undefined)).toEqual([]);
  });
});
