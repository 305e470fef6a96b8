// What holds for any input: sums in parts, incremental updates, addresses there and back, views that never look past a
// packet they have called sound, and pcap files there and back, in every variant and with every truncation.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  Arp,
  crc32c,
  Ethernet,
  formatIpv4,
  formatIpv6,
  formatMac,
  Icmp,
  Ipv4,
  Ipv6,
  inet,
  layer3,
  PCAP_HEADER_SIZE,
  PcapError,
  parseIpv4,
  parseIpv6,
  parseMac,
  pcapHeader,
  putPcapRecord,
  readPcap,
  Sctp,
  Tcp,
  Udp,
  Vlan,
  writePcap,
} from "../src/index.ts";

const bytes = (max: number, min = 0) => fc.uint8Array({ minLength: min, maxLength: max });

describe("the internet checksum (RFC 1071)", () => {
  it("of RFC 1071's example", () => {
    // Section 3: 0001 f203 f4f5 f6f7 add up to 2ddf0, folded ddf2.
    expect(inet.checksum(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7))).toBe(~0xddf2 & 0xffff);
  });

  it("is the same in parts, in bigger words, and with a zero byte behind an odd length", () => {
    fc.assert(
      fc.property(bytes(200), fc.nat(100), (data, half) => {
        const cut = Math.min(2 * half, data.length & ~1);
        const whole = inet.checksum(data);
        expect(inet.finish(inet.sum(data, cut, data.length - cut, inet.sum(data, 0, cut)))).toBe(whole);
        expect(inet.checksum(Uint8Array.of(...data, ...(data.length & 1 ? [0] : [])))).toBe(whole);
        let wide = 0n;
        const padded = Uint8Array.of(...data, 0, 0, 0, 0).subarray(0, (data.length + 3) & ~3);
        for (let i = 0; i < padded.length; i += 4) wide += BigInt(new DataView(padded.buffer).getUint32(i));
        while (wide > 0xffffn) wide = (wide & 0xffffn) + (wide >> 16n);
        expect(~Number(wide) & 0xffff).toBe(whole);
      }),
    );
  });

  it("does not overflow over 16 MiB of ones", () => {
    expect(inet.checksum(new Uint8Array(1 << 24).fill(0xff))).toBe(0);
  });

  it("updated (RFC 1624) is the checksum computed anew, and finds RFC 1624's counter-example right", () => {
    // Section 4: HC = dd2f, m = 5555, m' = 3285 give 0000, where RFC 1141 gave ffff.
    expect(inet.update(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
    fc.assert(
      fc.property(bytes(60, 4), fc.nat(29), fc.nat(0xffff), (data, word, after) => {
        const at = 2 * (word % (data.length >> 1));
        const view = new DataView(data.buffer, data.byteOffset);
        const [check, before] = [inet.checksum(data), view.getUint16(at)];
        view.setUint16(at, after);
        fc.pre(data.some((byte) => byte !== 0)); // of nothing but zeroes +0 and -0 differ, and no header is that
        expect(inet.update(check, before, after)).toBe(inet.checksum(data));
      }),
    );
  });
});

it("CRC32c goes on where it stopped", () => {
  fc.assert(
    fc.property(bytes(100), fc.nat(100), (data, at) => {
      const cut = Math.min(at, data.length);
      expect(crc32c(data, cut, data.length - cut, crc32c(data, 0, cut))).toBe(crc32c(data));
    }),
  );
});

describe("addresses", () => {
  it("come back from their text", () => {
    fc.assert(fc.property(bytes(6, 6), (mac) => void expect(parseMac(formatMac(mac))).toEqual(mac)));
    fc.assert(fc.property(bytes(4, 4), (ip) => void expect(parseIpv4(formatIpv4(ip))).toEqual(ip)));
    const sparse = fc.array(fc.constantFrom(0, 0, 0, 1, 0xff), { minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(fc.oneof(bytes(16, 16), sparse.map(Uint8Array.from.bind(Uint8Array))), (ip) => {
        const text = formatIpv6(ip as Uint8Array);
        expect(parseIpv6(text)).toEqual(ip);
        // The URL parser of Node shortens by the same rules.
        expect(text).toBe(new URL(`http://[${text}]`).hostname.slice(1, -1));
      }),
    );
  });

  it("that are none are refused", () => {
    for (const text of ["", "02:00", "02:00:00:00:00:0g", "02-00-00-00-00-00", "02:00:00:00:00:00:00", "200:0:0:0:0:0"])
      expect(parseMac(text)).toBeNull();
    for (const text of ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.-4", "1.2.3.4 ", "0x1.2.3.4"])
      expect(parseIpv4(text)).toBeNull();
    for (const text of ["", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::12345", "::g", "::1.2.3"])
      expect(parseIpv6(text)).toBeNull();
    for (const text of ["1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1:", ":1", "fe80::1%eth0", "1.2.3.4", "::1.2.3.4:5"])
      expect(parseIpv6(text)).toBeNull();
    expect(parseIpv6("::ffff:192.0.2.1")).toEqual(Uint8Array.of(...Array(10).fill(0), 255, 255, 192, 0, 2, 1));
    expect(parseIpv6("::")).toEqual(new Uint8Array(16));
  });
});

describe("views of any bytes", () => {
  /** Reads every field, as a program would that has been told there is no problem. */
  const readAll = (view: object): void => {
    const getters = new Set<string>();
    for (let proto = Object.getPrototypeOf(view); proto !== Object.prototype; proto = Object.getPrototypeOf(proto))
      for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(proto))) if (get) getters.add(name);
    for (const name of getters) void (view as Record<string, unknown>)[name];
  };

  it("never throw once they have seen no problem, and never read beyond the bytes they were given", () => {
    const kinds = [Ethernet, Vlan, Arp, Ipv4, Ipv6, Icmp, Udp, Tcp, Sctp];
    fc.assert(
      fc.property(bytes(80), fc.nat(90), fc.constantFrom(...kinds), (data, offset, Kind) => {
        const view = new Kind(data, offset);
        const problem = view.problem();
        if (problem === null) readAll(view);
        else expect(problem).not.toBe("");
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(bytes(40), (data) => {
        const found = layer3(data);
        if (found !== null) expect(found.offset).toBeLessThanOrEqual(data.length);
      }),
    );
  });

  it("read and write only their own bytes within a larger buffer", () => {
    const buffer = new Uint8Array(64).fill(0xaa);
    const packet = buffer.subarray(10, 30);
    const udp = new Udp(packet, 4);
    [udp.sourcePort, udp.destinationPort, udp.length, udp.checksum] = [1, 2, 8, 3];
    expect([...buffer.subarray(12, 24)]).toEqual([0xaa, 0xaa, 0, 1, 0, 2, 0, 8, 0, 3, 0xaa, 0xaa]);
    expect(udp.available).toBe(16);
    expect(() => (new Ethernet(packet, 10).source = new Uint8Array(6))).toThrow(RangeError);
  });

  it("work over shared memory", () => {
    const shared = new Uint8Array(new SharedArrayBuffer(64));
    const ip = new Ipv4(shared, 14).init();
    ip.totalLength = 20;
    ip.fixChecksum();
    expect(ip.problem()).toBeNull();
  });
});

describe("pcap files", () => {
  const packet = fc.record({
    seconds: fc.nat(0xffffffff),
    nanoseconds: fc.nat(999_999_999),
    data: bytes(70),
  });
  const options = fc.record({
    bigEndian: fc.boolean(),
    nanoseconds: fc.boolean(),
    snapLength: fc.integer({ min: 1, max: 80 }),
  });

  it("come back as they were written, in both byte orders and units, cut at the snap length", () => {
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 6 }), options, (packets, how) => {
        const file = readPcap(writePcap(packets, how));
        expect([file.linkType, file.snapLength]).toEqual([1, how.snapLength]);
        expect(file.packets).toEqual(
          packets.map(({ seconds, nanoseconds, data }) => ({
            seconds,
            nanoseconds: how.nanoseconds ? nanoseconds : nanoseconds - (nanoseconds % 1000),
            originalLength: data.length,
            data: data.subarray(0, how.snapLength),
          })),
        );
      }),
    );
  });

  it("that are torn anywhere but between packets are refused, with the place", () => {
    fc.assert(
      fc.property(fc.array(packet, { minLength: 1, maxLength: 4 }), options, (packets, how) => {
        const file = writePcap(packets, how);
        const ends = [PCAP_HEADER_SIZE];
        for (const { data } of packets) ends.push(ends.at(-1)! + 16 + Math.min(data.length, how.snapLength));
        for (let length = 0; length < file.length; length++) {
          const part = file.subarray(0, length);
          if (ends.includes(length)) expect(readPcap(part).packets).toHaveLength(ends.indexOf(length));
          else
            expect(() => readPcap(part)).toThrow(length < 24 ? /header alone has 24/ : /torn pcap file: packet \d+ at/);
        }
      }),
      { numRuns: 30 },
    );
  });

  it("of any bytes are read or refused, never anything else", () => {
    const start = fc.constantFrom(
      pcapHeader(),
      writePcap([], { bigEndian: true, nanoseconds: true }),
      new Uint8Array(0),
    );
    fc.assert(
      fc.property(start, bytes(80), (head, tail) => {
        try {
          readPcap(Uint8Array.of(...head, ...tail));
        } catch (error) {
          expect(error).toBeInstanceOf(PcapError);
        }
      }),
    );
  });

  it("of other kinds are named", () => {
    const ng = new Uint8Array(28);
    ng.set([0x0a, 0x0d, 0x0d, 0x0a]);
    expect(() => readPcap(ng)).toThrow(/pcapng.*editcap -F pcap/);
    expect(() => readPcap(new Uint8Array(24))).toThrow(/magic number 0x0/);
    expect(() => readPcap(pcapHeader().fill(3, 4, 5))).toThrow(/version 3/);
    expect(() => pcapHeader(0)).toThrow(/snap length 0/);
  });

  it("can be put together in a buffer of the caller's", () => {
    const file = new Uint8Array(24 + 16 + 3);
    file.set(pcapHeader());
    putPcapRecord(new DataView(file.buffer), 24, 7, 8, 3, 60);
    file.set([1, 2, 3], 40);
    const [only] = readPcap(file).packets;
    expect(only).toEqual({ seconds: 7, nanoseconds: 8000, originalLength: 60, data: Uint8Array.of(1, 2, 3) });
  });
});
