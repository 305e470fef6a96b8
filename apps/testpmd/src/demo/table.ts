// What the demo shows while it runs and at its end: text from counts, nothing else. A rate is per second between two reports.
import type { Flow } from "./account.ts";
import type { Mode } from "./options.ts";

/** One direction of one moment. */
export interface Row {
  name: string;
  sentRate: number;
  receivedRate: number;
  /** Mbit/s of received packets, without preamble and gap. */
  mbps: number;
  flow: Flow;
}

const int = (value: number): string => Math.round(value).toLocaleString("en-US");
const mega = (rate: number): string => (rate / 1e6).toFixed(3);

/** The live table, a line of titles and one for each direction. */
export function table(rows: readonly Row[], second: number): string[] {
  const head = `  ${"".padEnd(16)}${"sent/s".padStart(14)}${"received/s".padStart(14)}${"Mbit/s".padStart(10)}`;
  const lines = [`${head}${"received".padStart(18)}${"dropped".padStart(12)}   ${second} s`];
  for (const { name, sentRate, receivedRate, mbps, flow } of rows) {
    const rates = `${int(sentRate).padStart(14)}${int(receivedRate).padStart(14)}${mbps.toFixed(0).padStart(10)}`;
    lines.push(`  ${name.padEnd(16)}${rates}${int(flow.received).padStart(18)}${int(dropped(flow)).padStart(12)}`);
  }
  return lines;
}

/** The same on one line, for outputs that are no terminal. */
export function line(rows: readonly Row[], second: number): string {
  const parts = rows.map(
    ({ name, sentRate, receivedRate, flow }) =>
      `${name} ${mega(sentRate)} M/s sent, ${mega(receivedRate)} M/s received, ${int(dropped(flow))} dropped`,
  );
  return `${String(second).padStart(4)} s  ${parts.join("; ")}`;
}

/** The account of one direction at the end. */
export function totals(name: string, flow: Flow, seconds: number): string[] {
  const lines = [
    `${name}: ${int(flow.sent)} packets sent, ${int(flow.received)} received ` +
      `(${mega(flow.received / seconds)} million a second)`,
  ];
  for (const [drop, count] of Object.entries(flow.drops)) lines.push(`    dropped, ${drop}: ${int(count)}`);
  if (flow.unaccounted !== 0) lines.push(`    UNACCOUNTED FOR: ${int(flow.unaccounted)}`);
  else if (Object.keys(flow.drops).length === 0) lines.push("    no packet was lost");
  else lines.push("    every packet is accounted for");
  return lines;
}

/** A line for the next: what the run is about to show. */
export function explain(mode: Mode, socket: string, pids: { device: number; guest: number }, cpus: string): string[] {
  const who = {
    both: "Both sides send and receive.",
    "guest-tx": "The guest sends, the device receives.",
    "device-tx": "The device sends, the guest receives.",
  };
  return [
    "Two processes on this machine, one network card that does not exist:",
    `  device (pid ${pids.device})  emulates an Intel AVF network card and serves it on a vfio-user socket,`,
    `                     ${socket}; its port net_avfbe0 is the network behind the card`,
    `  guest  (pid ${pids.guest})  stands for a virtual machine: its port net_iavf0 drives the card as Linux's iavf would,`,
    "                     and lends the device its packet memory; no byte of a packet crosses the socket",
    `${who[mode]} ${cpus}`,
    "",
  ];
}

const dropped = (flow: Flow): number => Object.values(flow.drops).reduce((sum, count) => sum + count, 0);
