// What `show fwd stats all` and `stop` print: fwd_stats_display of DPDK's testpmd, with the same labels and widths, so that
// scripts written for it find what they look for.
import type { EthStats } from "@emudev/ethdev";
import type { Arrangement, Forwarding, FwdStream, StreamCounts } from "../control/forwarding.ts";
import { field } from "./format.ts";
import { burstLine, cyclesLine } from "./usage.ts";

const PORT_BORDER = "----------------------";
const ACCUMULATED_BORDER = "+++++++++++++++";

/** Statistics of an arrangement: of each port, of each stream where there are more of them than ports, and the sum. */
export function fwdStats(forwarding: Forwarding, arrangement: Arrangement): string {
  const streams = arrangement.lcores.flatMap((lcore) => lcore.streams);
  const parts =
    streams.length > arrangement.ports.length ? streams.map((s) => streamStats(s, forwarding.counts(s))) : [];
  const sum = { rx: 0, rxDropped: 0, tx: 0, txDropped: 0, nombuf: 0 };
  for (const dev of arrangement.ports) {
    const { stats, txDropped } = forwarding.portStats(dev);
    const bursts = {
      rx: burstsOf(forwarding, streams, dev.portId, "rx"),
      tx: burstsOf(forwarding, streams, dev.portId, "tx"),
    };
    parts.push(portFwdStats(dev.portId, stats, txDropped, bursts));
    sum.rx += stats.ipackets;
    sum.rxDropped += stats.imissed;
    sum.tx += stats.opackets;
    sum.txDropped += txDropped;
    sum.nombuf += stats.rx_nombuf;
  }
  parts.push(
    [
      "",
      `  ${ACCUMULATED_BORDER} Accumulated forward statistics for all ports${ACCUMULATED_BORDER}`,
      line("RX", sum.rx, sum.rxDropped),
      line("TX", sum.tx, sum.txDropped),
      ...(sum.nombuf > 0 ? [`  ${field("RX-nombufs: ", sum.nombuf, 14)}`] : []),
      `  ${ACCUMULATED_BORDER}++++++++++++++++++++++++++++++++++++++++++++++${ACCUMULATED_BORDER}`,
      "",
    ].join("\n"),
  );
  parts.push(cycles(forwarding, arrangement, sum));
  return parts.join("");
}

function cycles(forwarding: Forwarding, { lcores, mode }: Arrangement, sum: { rx: number; tx: number }): string {
  const busyNs = lcores.reduce((total, { id }) => total + forwarding.usage(id).busyNs, 0);
  const packets = mode === "txonly" ? sum.tx : sum.rx;
  return busyNs > 0 && packets > 0 ? cyclesLine(mode, busyNs, packets) : "";
}

/** Sizes of the bursts of a port's streams, summed. */
function burstsOf(
  forwarding: Forwarding,
  streams: readonly FwdStream[],
  portId: number,
  side: "rx" | "tx",
): readonly number[] {
  const own = streams.filter((stream) => (side === "rx" ? stream.rxPort : stream.txPort) === portId);
  const counts = own.map((stream) => forwarding.bursts(stream, side));
  return (counts[0] ?? []).map((_, size) => counts.reduce((sum, count) => sum + count[size]!, 0));
}

function portFwdStats(
  portId: number,
  stats: EthStats,
  txDropped: number,
  bursts: { rx: readonly number[]; tx: readonly number[] },
): string {
  const errors = [`  ${field("RX-error: ", stats.ierrors)}`, `  ${field("RX-nombufs: ", stats.rx_nombuf, 14)}`];
  return [
    "",
    `  ${PORT_BORDER} Forward statistics for port ${String(portId).padEnd(2)} ${PORT_BORDER}`,
    line("RX", stats.ipackets, stats.imissed),
    ...(stats.ierrors + stats.rx_nombuf > 0 ? errors : []),
    line("TX", stats.opackets, txDropped),
    ...[burstLine("RX", bursts.rx), burstLine("TX", bursts.tx)]
      .filter((text) => text !== "")
      .map((text) => text.trimEnd()),
    `  ${PORT_BORDER}--------------------------------${PORT_BORDER}`,
    "",
  ].join("\n");
}

function streamStats(stream: FwdStream, counts: StreamCounts): string {
  const two = (n: number): string => String(n).padStart(2);
  const from = `RX Port=${two(stream.rxPort)}/Queue=${two(stream.rxQueue)}`;
  const to = `TX Port=${two(stream.txPort)}/Queue=${two(stream.txQueue)}`;
  const { rx, tx, dropped } = counts;
  return [
    "",
    `  ------- Forward Stats for ${from} -> ${to} -------`,
    `  ${field("RX-packets: ", rx, 14)} ${field("TX-packets: ", tx, 14)} ${field("TX-dropped: ", dropped, 14)}`,
    "",
  ].join("\n");
}

function line(side: "RX" | "TX", packets: number, dropped: number): string {
  const first = field(`${side}-packets: `, packets, 14);
  return `  ${first} ${field(`${side}-dropped: `, dropped, 14)}${field(`${side}-total: `, packets + dropped)}`;
}
