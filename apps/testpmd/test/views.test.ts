// The labels and widths that scripts written for DPDK's testpmd look for.
import { describe, expect, it } from "vitest";
import { formatLink, formatMac, formatSpeed } from "../src/views/format.ts";
import { portStats, ratesSince } from "../src/views/port-stats.ts";

const stats = {
  ipackets: 10,
  opackets: 20,
  ibytes: 640,
  obytes: 1280,
  imissed: 1,
  ierrors: 2,
  oerrors: 3,
  rx_nombuf: 4,
};

describe("views", () => {
  it("write port statistics as testpmd does", () => {
    const rates = { rxPps: 1, txPps: 2, rxBps: 512, txBps: 1024 };
    expect(portStats(3, stats, rates).split("\n")).toEqual([
      "",
      "  ######################## NIC statistics for port 3  ########################",
      "  RX-packets: 10         RX-missed: 1          RX-bytes:  640",
      "  RX-errors: 2",
      "  RX-nombuf:  4         ",
      "  TX-packets: 20         TX-errors: 3          TX-bytes:  1280",
      "",
      "  Throughput (since last show)",
      "  Rx-pps:            1          Rx-bps:          512",
      "  Tx-pps:            2          Tx-bps:         1024",
      "  ############################################################################",
      "",
    ]);
  });

  it("give rates since the last show, 0 at the first", () => {
    const before = { ...stats, ipackets: 5, obytes: 280 };
    expect(ratesSince(stats, undefined, 0)).toEqual({ rxPps: 0, txPps: 0, rxBps: 0, txBps: 0 });
    expect(ratesSince(stats, before, 500)).toEqual({ rxPps: 10, txPps: 0, rxBps: 0, txBps: 16000 });
    expect(ratesSince(before, stats, 500).rxPps).toBe(0);
  });

  it("write addresses, speeds and links as rte_ethdev does", () => {
    expect(formatMac(Uint8Array.of(2, 0, 0, 0, 0xab, 1))).toBe("02:00:00:00:AB:01");
    expect([0, 10, 100, 1000, 2500, 10000, 100000].map(formatSpeed)).toEqual([
      "None",
      "10 Mbps",
      "100 Mbps",
      "1 Gbps",
      "2.5 Gbps",
      "10 Gbps",
      "100 Gbps",
    ]);
    const link = { up: true, speedMbps: 10000, fullDuplex: true, autoneg: false };
    expect(formatLink(link)).toBe("Link up at 10 Gbps FDX Fixed");
    expect(formatLink({ ...link, up: false })).toBe("Link down");
  });
});
