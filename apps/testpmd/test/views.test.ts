// The labels and widths that scripts written for DPDK's testpmd look for.
import { cpuMhz } from "@emudev/eal";
import { describe, expect, it } from "vitest";
import { formatLink, formatMac, formatSpeed } from "../src/views/format.ts";
import { portStats, ratesSince } from "../src/views/port-stats.ts";
import { burstLine, cyclesLine, lcoreTable } from "../src/views/usage.ts";

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

  it("write cycles and bursts as testpmd does", () => {
    const mhz = cpuMhz();
    expect(cyclesLine("io", 2000, 20)).toBe(
      `\n  CPU cycles/packet=${((2 * mhz) / 20).toFixed(2)} (busy cycles=${2 * mhz} / total io packets=20) at ${mhz} MHz Clock\n`,
    );
    const bursts = Array.from({ length: 33 }, () => 0);
    expect(burstLine("RX", bursts)).toBe("");
    Object.assign(bursts, { 0: 20, 32: 70 });
    expect(burstLine("RX", bursts)).toBe("  RX-bursts : 90 [78% of 32 pkts + 22% of 0 pkts]\n");
    Object.assign(bursts, { 4: 5, 5: 3, 6: 2 });
    expect(burstLine("TX", bursts)).toBe(
      "  TX-bursts : 100 [70% of 32 pkts + 20% of 0 pkts + 5% of 4 pkts + 5% of other]\n",
    );
  });

  it("write a table of lcores, with times only where turns were timed", () => {
    const lcore = { id: 1, index: 1, cpus: [1], off: 0, state: "running" } as const;
    const usage = { loops: 1000, busyLoops: 250, naps: 3, napUs: 2600, timedNs: 0, busyNs: 0 };
    const [, untimed] = lcoreTable([{ lcore, usage, packets: 500 }]).split("\n");
    expect(untimed!.trim().split(/\s+/)).toEqual(["1", "1", "running", "1000", "25.0%", "3", "3", "-", "-", "-"]);
    const timed = lcoreTable([{ lcore, usage: { ...usage, timedNs: 40_000, busyNs: 10_000 }, packets: 500 }]);
    const cycles = (10 * cpuMhz()) / 500;
    expect(timed.split("\n")[1]!.trim().split(/\s+/).slice(7)).toEqual(["25.0%", "20.0", cycles.toFixed(0)]);
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
