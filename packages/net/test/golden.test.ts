// Packets written out by hand, field by field, from the layouts in the RFCs: what the views read in them, and that the
// same packet built through the views has the same bytes. Checksums were added up by hand or come from the RFCs.
import { describe, expect, it } from "vitest";
import {
  ARP_OP,
  Arp,
  crc32c,
  ETHER_SIZE,
  ETHER_TYPE,
  Ethernet,
  formatIpv4,
  formatIpv6,
  formatMac,
  ICMP_TYPE,
  Icmp,
  IP_PROTOCOL,
  IPV4_SIZE,
  IPV6_SIZE,
  Ipv4,
  Ipv6,
  inet,
  layer3,
  parseIpv4,
  parseIpv6,
  parseMac,
  Sctp,
  TCP_FLAG,
  Tcp,
  transportChecksum,
  Udp,
  udpChecksum,
  Vlan,
} from "../src/index.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"));
const A = { mac: parseMac("02:00:00:00:00:aa")!, ip: parseIpv4("192.0.2.1")!, ip6: parseIpv6("2001:db8::1")! };
const B = { mac: parseMac("02:00:00:00:00:bb")!, ip: parseIpv4("192.0.2.2")!, ip6: parseIpv6("2001:db8::2")! };

describe("ARP (RFC 826)", () => {
  const request = hex(`ffffffffffff 0200000000aa 0806
    0001 0800 06 04 0001 0200000000aa c0000201 000000000000 c0000202`);

  it("is read", () => {
    const ethernet = new Ethernet(request);
    expect(ethernet.problem()).toBeNull();
    expect(ethernet.isBroadcast).toBe(true);
    expect(formatMac(ethernet.source)).toBe("02:00:00:00:00:aa");
    expect(layer3(request)).toEqual({ type: ETHER_TYPE.ARP, offset: 14 });
    const arp = new Arp(request, ETHER_SIZE);
    expect(arp.problem()).toBeNull();
    expect([arp.op, formatIpv4(arp.senderIp), formatIpv4(arp.targetIp)]).toEqual([1, "192.0.2.1", "192.0.2.2"]);
  });

  it("is built", () => {
    const bytes = new Uint8Array(42);
    const ethernet = new Ethernet(bytes);
    ethernet.destination = hex("ffffffffffff");
    ethernet.source = A.mac;
    ethernet.type = ETHER_TYPE.ARP;
    const arp = new Arp(bytes, ETHER_SIZE).init(ARP_OP.REQUEST);
    arp.senderMac = A.mac;
    arp.senderIp = A.ip;
    arp.targetIp = B.ip;
    expect(bytes).toEqual(request);
  });

  it("for other networks, or cut short, is named", () => {
    for (const [at, value] of [
      [15, 6],
      [17, 1],
      [18, 8],
      [19, 16],
    ] as const) {
      const other = request.slice();
      other[at] = value;
      expect(new Arp(other, ETHER_SIZE).problem()).toMatch(/other than IPv4 over Ethernet/);
    }
    expect(new Arp(request.subarray(0, 41), ETHER_SIZE).problem()).toBe("ARP header needs 28 bytes, has 27");
  });
});

describe("IPv4 (RFC 791) with ICMP (RFC 792)", () => {
  // Sums by hand: header 4500+001c+0001+0000+4001+c000+0201+c000+0202 = 20921 -> 0923, complement f6dc.
  // Message 0800+1234+0001 = 1a35, complement e5ca.
  const ping = hex(`45 00 001c 0001 0000 40 01 f6dc c0000201 c0000202  08 00 e5ca 1234 0001`);

  it("is read", () => {
    const ip = new Ipv4(ping);
    expect(ip.problem()).toBeNull();
    expect([ip.version, ip.headerLength, ip.totalLength, ip.id, ip.ttl, ip.protocol]).toEqual([4, 20, 28, 1, 64, 1]);
    expect([ip.isFragment, ip.dontFragment]).toEqual([false, false]);
    const icmp = new Icmp(ping, ip.headerLength);
    expect([icmp.type, icmp.code, icmp.id, icmp.sequence]).toEqual([ICMP_TYPE.ECHO_REQUEST, 0, 0x1234, 1]);
    expect(inet.checksum(ping, 20, 8)).toBe(0);
  });

  it("is built", () => {
    const bytes = new Uint8Array(28).fill(0xee);
    const ip = new Ipv4(bytes).init();
    ip.totalLength = 28;
    ip.id = 1;
    ip.protocol = IP_PROTOCOL.ICMP;
    ip.source = A.ip;
    ip.destination = B.ip;
    ip.fixChecksum();
    bytes.fill(0, 20);
    const icmp = new Icmp(bytes, IPV4_SIZE);
    icmp.type = ICMP_TYPE.ECHO_REQUEST;
    icmp.id = 0x1234;
    icmp.sequence = 1;
    icmp.fixChecksum(8);
    expect(bytes).toEqual(ping);
  });

  it.each([
    ["a changed byte", 8, 63, /wrong IPv4 header checksum/],
    ["another version", 0, 0x65, /IP version 6, not 4/],
    ["a header of 16 bytes", 0, 0x44, /IPv4 header of 16 bytes/],
    ["a header that ends behind the packet", 0, 0x48, /IPv4 header of 32 bytes/],
    ["a packet shorter than its header", 3, 19, /IPv4 packet of 19 bytes/],
  ])("with %s is named", (_, at, value, reason) => {
    const bad = ping.slice();
    bad[at] = value;
    expect(new Ipv4(bad).problem()).toMatch(reason);
  });

  it("fragments are recognised by either mark", () => {
    for (const [word, fragment, whole] of [
      [0x4000, false, true],
      [0x2000, true, false],
      [0x0001, true, false],
      [0x8000, false, false],
    ] as const) {
      const bytes = ping.slice();
      bytes.set([word >> 8, word & 255], 6);
      expect([new Ipv4(bytes).isFragment, new Ipv4(bytes).dontFragment]).toEqual([fragment, whole]);
    }
  });
});

describe("IPv6 (RFC 8200) with ICMPv6 (RFC 4443)", () => {
  // Pseudo-header 2*(2001+0db8)+0001+0002+0008+003a = 5bb7; message 8000+1234+0001 = 9235; sum edec, complement 1213.
  const ping = hex(`60000000 0008 3a 40 20010db8000000000000000000000001 20010db8000000000000000000000002
    80 00 1213 1234 0001`);

  it("is read and built", () => {
    const ip = new Ipv6(ping);
    expect(ip.problem()).toBeNull();
    expect([ip.version, ip.payloadLength, ip.nextHeader, ip.hopLimit]).toEqual([6, 8, IP_PROTOCOL.ICMPV6, 64]);
    expect([formatIpv6(ip.source), formatIpv6(ip.destination)]).toEqual(["2001:db8::1", "2001:db8::2"]);
    const bytes = new Uint8Array(48);
    const made = new Ipv6(bytes).init();
    made.payloadLength = 8;
    made.nextHeader = IP_PROTOCOL.ICMPV6;
    made.source = A.ip6;
    made.destination = B.ip6;
    const icmp = new Icmp(bytes, IPV6_SIZE);
    icmp.type = ICMP_TYPE.V6_ECHO_REQUEST;
    icmp.id = 0x1234;
    icmp.sequence = 1;
    icmp.fixChecksum6(8, A.ip6, B.ip6);
    expect(bytes).toEqual(ping);
    expect(transportChecksum(A.ip6, B.ip6, IP_PROTOCOL.ICMPV6, ping.subarray(40))).toBe(0);
  });

  it("cut short or of another version is named", () => {
    expect(new Ipv6(ping.subarray(0, 39)).problem()).toBe("IPv6 header needs 40 bytes, has 39");
    expect(new Ipv6(ping.map((byte, i) => (i === 0 ? 0x45 : byte))).problem()).toBe("IP version 4, not 6");
  });
});

describe("UDP (RFC 768)", () => {
  // Pseudo-header c000+0201+c000+0202+0011+000a = 1841e -> 841f; segment 0009+0400+000a+6869 = 6c7c; sum f09b,
  // complement 0f64.
  const datagram = hex("0009 0400 000a 0f64 6869");

  it("is read and built", () => {
    const udp = new Udp(datagram);
    expect(udp.problem()).toBeNull();
    expect([udp.sourcePort, udp.destinationPort, udp.length, udp.checksum]).toEqual([9, 1024, 10, 0x0f64]);
    expect(transportChecksum(A.ip, B.ip, IP_PROTOCOL.UDP, datagram)).toBe(0);
    const bytes = new Uint8Array(10);
    const made = new Udp(bytes);
    made.sourcePort = 9;
    made.destinationPort = 1024;
    made.length = 10;
    bytes.set([0x68, 0x69], 8);
    made.checksum = udpChecksum(A.ip, B.ip, bytes);
    expect(bytes).toEqual(datagram);
  });

  it("sends a checksum that comes out as 0 as 0xffff, for 0 means that there is none", () => {
    // The payload complements the sum of all the rest: 841f + 0009 + 0400 + 000a - 000a + 000a = 8832, complement 77cd.
    const bytes = hex("0009 0400 000a 0000 77cd");
    expect(transportChecksum(A.ip, B.ip, IP_PROTOCOL.UDP, bytes)).toBe(0);
    expect(udpChecksum(A.ip, B.ip, bytes)).toBe(0xffff);
  });

  it("shorter than its header is named", () => {
    expect(new Udp(hex("0009 0400 0007 0000")).problem()).toBe("UDP datagram of 7 bytes");
    expect(new Udp(hex("0009 0400 0008")).problem()).toBe("UDP header needs 8 bytes, has 6");
  });
});

describe("TCP (RFC 9293)", () => {
  // Pseudo-header c000+0201+c000+0202+0006+0014 = 1841d -> 841e; segment 3039+0050+0102+0304+5002+ffff = 18490 -> 8491;
  // sum 108af -> 08b0, complement f74f.
  const syn = hex("3039 0050 01020304 00000000 50 02 ffff f74f 0000");

  it("is read and built", () => {
    const tcp = new Tcp(syn);
    expect(tcp.problem()).toBeNull();
    expect([tcp.sourcePort, tcp.destinationPort, tcp.sequence]).toEqual([12345, 80, 0x01020304]);
    expect([tcp.headerLength, tcp.flags, tcp.window]).toEqual([20, TCP_FLAG.SYN, 0xffff]);
    const bytes = new Uint8Array(20);
    const made = new Tcp(bytes);
    made.sourcePort = 12345;
    made.destinationPort = 80;
    made.sequence = 0x01020304;
    made.headerLength = 20;
    made.flags = TCP_FLAG.SYN;
    made.window = 0xffff;
    made.checksum = transportChecksum(A.ip, B.ip, IP_PROTOCOL.TCP, bytes);
    expect(bytes).toEqual(syn);
  });

  it("with a header that cannot be is named", () => {
    for (const [words, reason] of [
      [4, "TCP header of 16 bytes"],
      [6, "TCP header of 24 bytes"],
    ] as const) {
      const bad = syn.slice();
      bad[12] = words << 4;
      expect(new Tcp(bad).problem()).toBe(reason);
    }
  });
});

describe("SCTP (RFC 9260)", () => {
  it("keeps its CRC32c with the least significant byte first", () => {
    const packet = hex("0b59 0b59 00000e50 00000000 01000004");
    const sctp = new Sctp(packet);
    expect(sctp.problem()).toBeNull();
    expect([sctp.sourcePort, sctp.destinationPort, sctp.verificationTag]).toEqual([2905, 2905, 0x0e50]);
    sctp.checksum = 0x01020304;
    expect([...packet.subarray(8, 12)]).toEqual([4, 3, 2, 1]);
    expect(sctp.checksum).toBe(0x01020304);
  });

  // RFC 3720, appendix B.4; "123456789" is the usual check value of a CRC.
  it.each([
    ["32 zeroes", new Uint8Array(32), 0x8a9136aa],
    ["32 ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ["0 to 31", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ["31 to 0", Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    ["123456789", Uint8Array.from(Buffer.from("123456789")), 0xe3069283],
    ["nothing", new Uint8Array(0), 0],
  ])("CRC32c of %s", (_, bytes, crc) => {
    expect(crc32c(bytes)).toBe(crc);
  });
});

describe("VLAN tags (IEEE 802.1Q)", () => {
  const tagged = hex("0200000000aa 0200000000bb 88a8 0064 8100 e005 0800 45");

  it("are read, one or two", () => {
    const vlan = new Vlan(tagged, 14);
    expect([vlan.id, vlan.priority, vlan.type]).toEqual([100, 0, ETHER_TYPE.VLAN]);
    expect([vlan.at(18).id, vlan.priority, vlan.type]).toEqual([5, 7, ETHER_TYPE.IPV4]);
    expect(layer3(tagged)).toEqual({ type: ETHER_TYPE.IPV4, offset: 22 });
  });

  it("that end with the frame give no layer 3, and a third is not looked behind", () => {
    for (let length = 0; length < 22; length++) expect(layer3(tagged.subarray(0, length))).toBeNull();
    const three = hex("0200000000aa 0200000000bb 8100 0001 8100 0002 8100 0003 0800");
    expect(layer3(three)).toEqual({ type: ETHER_TYPE.VLAN, offset: 22 });
  });
});
