// Pings from a guest, by busybox's ping, and the counts of its summary line. Used by every guest test.
import { LabError } from "./lab-error.ts";
import type { Guest } from "./qemu.ts";

export interface PingOptions {
  count?: number;
  /** Seconds between two pings. */
  interval?: number;
  /** ICMP payload in bytes. */
  size?: number;
  /** CPU of the guest to run on. */
  cpu?: number;
}

/** Sends pings and returns how many were sent and how many came back. */
export async function ping(
  guest: Guest,
  host: string,
  options: PingOptions = {},
): Promise<{ sent: number; received: number }> {
  const { count = 10, interval = 0.02, size = 56, cpu } = options;
  const pinned = cpu === undefined ? "" : `taskset ${(1 << cpu).toString(16)} `;
  const { output } = await guest.run(`${pinned}ping -q -c ${count} -i ${interval} -s ${size} -W 5 ${host}`);
  const summary = /(\d+) packets transmitted, (\d+) packets received/.exec(output);
  if (summary === null) throw new LabError("COMMAND", `ping ${host} in guest '${guest.name}' said: ${output}`);
  return { sent: Number(summary[1]), received: Number(summary[2]) };
}

/** Sends pings and throws, with the log, unless each came back. */
export async function pingAll(guest: Guest, host: string, options: PingOptions = {}): Promise<void> {
  const { sent, received } = await ping(guest, host, options);
  if (received === sent && sent === (options.count ?? 10)) return;
  throw new LabError(
    "COMMAND",
    `guest '${guest.name}' got ${received} replies to ${sent} pings of ${host}${guest.log()}`,
  );
}
