// What lcores did with their time: `show lcore usage`, and the lines that --record-core-cycles and --record-burst-stats add to
// the statistics of forwarding, the latter in the forms of DPDK's testpmd.
import { cpuMhz, cyclesOf, formatSet, type Lcore, type LcoreUsage } from "@emudev/eal";

const SHOWN_BURSTS = 3;

/** A row of the table of lcores: its packets are those that its streams moved. */
export interface LcoreRow {
  lcore: Lcore;
  usage: LcoreUsage;
  packets: number;
}

/** The table; times in nanoseconds and cycles are known where turns were timed. */
export function lcoreTable(rows: readonly LcoreRow[]): string {
  const head = [
    "lcore",
    "cpuset",
    "state",
    "turns",
    "busy turns",
    "naps",
    "napped ms",
    "busy",
    "ns/packet",
    "cycles/packet",
  ];
  const body = rows.map(({ lcore, usage, packets }) => {
    const { loops, busyLoops, naps, napUs, timedNs, busyNs } = usage;
    const timed = timedNs > 0 && packets > 0;
    return [
      `${lcore.id}`,
      formatSet(lcore.cpus),
      lcore.state,
      `${loops}`,
      `${percent(busyLoops, loops)}`,
      `${naps}`,
      `${Math.round(napUs / 1000)}`,
      timedNs > 0 ? percent(busyNs, timedNs) : "-",
      timed ? (busyNs / packets).toFixed(1) : "-",
      timed ? (cyclesOf(busyNs) / packets).toFixed(0) : "-",
    ];
  });
  const widths = head.map((title, i) => Math.max(title.length, ...body.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string => cells.map((cell, i) => cell.padStart(widths[i]!)).join("  ");
  return `${[head, ...body].map(line).join("\n")}\n`;
}

/** The line of --record-core-cycles. */
export function cyclesLine(mode: string, busyNs: number, packets: number): string {
  const cycles = cyclesOf(busyNs);
  const perPacket = (cycles / packets).toFixed(2);
  const total = `total ${mode} packets=${packets}`;
  return `\n  CPU cycles/packet=${perPacket} (busy cycles=${cycles} / ${total}) at ${cpuMhz()} MHz Clock\n`;
}

/** A line of --record-burst-stats: the most frequent sizes, "" when nothing was counted. */
export function burstLine(side: "RX" | "TX", bursts: readonly number[]): string {
  const total = bursts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return "";
  const sizes = bursts.map((count, size) => ({ count, size })).filter(({ count }) => count > 0);
  sizes.sort((a, b) => b.count - a.count);
  const shown = sizes
    .slice(0, SHOWN_BURSTS)
    .map(({ count, size }) => ({ share: Math.round((100 * count) / total), size }));
  const rest = 100 - shown.reduce((sum, { share }) => sum + share, 0);
  const parts = shown.map(({ share, size }) => `${share}% of ${size} pkts`);
  if (sizes.length > SHOWN_BURSTS) parts.push(`${Math.max(rest, 0)}% of other`);
  return `  ${side}-bursts : ${total} [${parts.join(" + ")}]\n`;
}

function percent(part: number, whole: number): string {
  return whole === 0 ? "-" : `${((100 * part) / whole).toFixed(1)}%`;
}
