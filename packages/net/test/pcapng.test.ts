// pcapng files: golden bytes from the draft's block layouts, other byte orders and resolutions, blocks and options that are
// passed over, and a file torn at every byte.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  LINKTYPE_USER0,
  PcapError,
  type PcapngPacket,
  pcapngInterface,
  pcapngPacket,
  pcapngSection,
  readPcapng,
} from "../src/index.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const join = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const packet = (data: number[], over: Partial<PcapngPacket> = {}): Uint8Array =>
  pcapngPacket({ interfaceId: 0, time: 1n, direction: "out", comments: [], data: Uint8Array.from(data), ...over });

describe("what is written", () => {
  it("has the draft's layout", () => {
    expect(hex(pcapngSection("x"))).toBe(
      `${"0a0d0d0a"}${"28000000"}${"4d3c2b1a"}01000000${"ff".repeat(8)}${"0400010078000000"}00000000${"28000000"}`,
    );
    expect(hex(pcapngInterface(LINKTYPE_USER0, "ab"))).toBe(
      `${"01000000"}${"28000000"}${"9300"}0000${"00000000"}${"0200020061620000"}${"0900010009000000"}00000000${"28000000"}`,
    );
    const time = (1n << 32n) + 2n;
    expect(hex(packet([1, 2, 3], { time, comments: ["hi"], originalLength: 9 }))).toBe(
      `${"06000000"}${"38000000"}${"00000000"}${"0100000002000000"}${"0300000009000000"}${"01020300"}` +
        `${"0100020068690000"}${"0200040002000000"}00000000${"38000000"}`,
    );
  });

  it("is read back as it was", () => {
    const direction = fc.constantFrom("in" as const, "out" as const, null);
    const any = fc.record({
      time: fc.bigInt({ min: 0n, max: (1n << 63n) - 1n }),
      direction,
      comments: fc.array(fc.string({ unit: "binary", maxLength: 20 }), { maxLength: 3 }),
      data: fc.uint8Array({ maxLength: 40 }),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 5 }), (packets) => {
        const blocks = packets.map((each) => pcapngPacket({ interfaceId: 1, ...each }));
        const faces = [pcapngInterface(1, "first"), pcapngInterface(LINKTYPE_USER0, "second")];
        const read = [...readPcapng(join(pcapngSection("test"), ...faces, ...blocks))];
        expect(read.map(({ time, direction, comments, data }) => ({ time, direction, comments, data }))).toEqual(
          packets.map((each) => ({ ...each, data: new Uint8Array(each.data) })),
        );
        for (const each of read) expect(each.interface).toMatchObject({ linkType: LINKTYPE_USER0, name: "second" });
      }),
      { seed: Number(process.env.EMUDEV_SEED ?? 1), numRuns: 50 },
    );
  });
});

describe("what others write", () => {
  it("is read in big-endian, in microseconds, and around blocks of other types", () => {
    const big = Buffer.from(
      `${"0a0d0d0a"}${"0000001c"}${"1a2b3c4d"}${"00010000"}${"ff".repeat(8)}${"0000001c"}` +
        `${"00000001"}${"00000014"}${"0001"}0000${"00000000"}${"00000014"}` +
        `${"00000bad"}${"0000000c"}${"0000000c"}` +
        `${"00000006"}${"00000028"}${"00000000"}${"00000000000f4240"}${"0000000200000002"}${"abcd0000"}00000000${"00000028"}`,
      "hex",
    );
    const [only] = readPcapng(big);
    expect(only).toMatchObject({ time: 1_000_000_000n, direction: null, comments: [], interface: { linkType: 1 } });
    expect(hex(only!.data)).toBe("abcd");
  });

  it("is refused when it is no pcapng, or names an interface that is not there", () => {
    expect(() => [...readPcapng(new Uint8Array(100))]).toThrow(/no pcapng file/);
    expect(() => [...readPcapng(join(pcapngSection("x"), packet([1])))]).toThrow(/names no interface/);
  });

  it("gives every whole packet of a torn file, then says where it is torn", () => {
    const head = join(pcapngSection("x"), pcapngInterface(1, "a"), packet([1]));
    const file = join(head, packet([2]));
    for (let length = head.length + 1; length < file.length; length++) {
      const read: number[] = [];
      const take = (): void => {
        for (const { data } of readPcapng(file.subarray(0, length))) read.push(data[0]!);
      };
      expect(take).toThrow(PcapError);
      expect(take).toThrow(`offset ${head.length}`);
      expect(read).toEqual([1, 1]);
    }
  });
});
