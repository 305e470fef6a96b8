// What `show port stats` and `show port xstats` print: nic_stats_display and nic_xstats_display of DPDK's testpmd.
import type { EthDev, EthStats } from "@emudev/ethdev";
import { field } from "./format.ts";

const BORDER = "########################";

/** Rates between two readings of a port's statistics. */
export interface Rates {
  rxPps: number;
  txPps: number;
  rxBps: number;
  txBps: number;
}

/** The rates since a reading `ms` milliseconds ago; all 0 without one. */
export function ratesSince(now: EthStats, before: EthStats | undefined, ms: number): Rates {
  const rate = (key: keyof EthStats, factor: number): number =>
    before === undefined || ms <= 0 ? 0 : Math.max(0, Math.round(((now[key] - before[key]) * factor * 1000) / ms));
  return {
    rxPps: rate("ipackets", 1),
    txPps: rate("opackets", 1),
    rxBps: rate("ibytes", 8),
    txBps: rate("obytes", 8),
  };
}

export function portStats(portId: number, s: EthStats, rates: Rates): string {
  const rate = (value: number): string => String(value).padStart(12);
  return [
    "",
    `  ${BORDER} NIC statistics for port ${String(portId).padEnd(2)} ${BORDER}`,
    `  ${field("RX-packets: ", s.ipackets, 10)} ${field("RX-missed: ", s.imissed, 10)} ${field("RX-bytes:  ", s.ibytes)}`,
    `  ${field("RX-errors: ", s.ierrors)}`,
    `  ${field("RX-nombuf:  ", s.rx_nombuf, 10)}`,
    `  ${field("TX-packets: ", s.opackets, 10)} ${field("TX-errors: ", s.oerrors, 10)} ${field("TX-bytes:  ", s.obytes)}`,
    "",
    "  Throughput (since last show)",
    `  Rx-pps: ${rate(rates.rxPps)}          Rx-bps: ${rate(rates.rxBps)}`,
    `  Tx-pps: ${rate(rates.txPps)}          Tx-bps: ${rate(rates.txBps)}`,
    `  ${BORDER}############################${BORDER}`,
    "",
  ].join("\n");
}

export function portXstats(dev: EthDev): string {
  const lines = dev.xstatsGet().map(({ name, value }) => `${name}: ${value}`);
  return [`###### NIC extended statistics for port ${String(dev.portId).padEnd(2)}`, ...lines, ""].join("\n");
}
