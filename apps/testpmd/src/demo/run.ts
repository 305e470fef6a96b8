// The course of the demo: both sides up, link up, send, stop, drain until nothing moves, account. Called by main.ts with two
// live processes, which it does not end.
import { type Flow, flow, isQuiet } from "./account.ts";
import type { Counts } from "./messages.ts";
import type { DemoOptions } from "./options.ts";
import type { SideProcess } from "./side.ts";
import { line, type Row, table } from "./table.ts";

// Patience for a machine that is busy with other things.
const LINK_MS = 20_000;
const FLOW_MS = 20_000;
const FLOW_STEP_MS = 2;
const DRAIN_MS = 10_000;
const DRAIN_STEP_MS = 50;
/** Equal reports in a row that count as rest: an idle lcore naps for a millisecond at most. */
const QUIET_REPORTS = 3;

export interface Outcome {
  flows: Record<string, Flow>;
  /** Between the start and the end of sending. */
  seconds: number;
  /** Both sides came to rest. */
  drained: boolean;
  held: Record<string, number>;
  ok: boolean;
}

export const GUEST_TO_DEVICE = "guest to device";
export const DEVICE_TO_GUEST = "device to guest";

type Pair = [device: Counts, guest: Counts];

/** @param end ends the sending early, also before it has begun */
export async function run(
  options: DemoOptions,
  device: SideProcess,
  guest: SideProcess,
  end: AbortSignal,
  say: (line: string) => void,
): Promise<Outcome> {
  const report = (): Promise<Pair> => Promise.all([device.report(), guest.report()]);
  await Promise.race([Promise.all([device.loaded, guest.loaded]), device.failed, guest.failed]);
  await device.up();
  await guest.up();
  const mbps = await linkUp(report);
  say(`The guest's driver has brought the card up; the link is up at ${mbps / 1000} Gbit/s.`);
  const senders = { both: [device, guest], "guest-tx": [guest], "device-tx": [device] }[options.mode];
  const idle = await report();
  for (const side of senders) side.send(true);
  const first = await flowing(options, idle, report, end);
  await watch(options, first, report, end, say);
  for (const side of senders) side.send(false);
  const [stopped] = await report();
  const { pair, drained } = await drain(report);
  const flows = flowsOf(options, pair);
  const held: Record<string, number> = {};
  for (const [i, name] of ["device", "guest"].entries())
    for (const [what, count] of Object.entries(pair[i]!.held)) held[`${name}: ${what}`] = count;
  // Who ends it early may have seen no packet.
  const ok =
    drained &&
    Object.values(flows).every(({ unaccounted, received }) => unaccounted === 0 && (received > 0 || end.aborted));
  return { flows, seconds: (stopped.at - first[0].at) / 1000, drained, held, ok };
}

function flowsOf({ mode }: DemoOptions, [device, guest]: Pair): Record<string, Flow> {
  const flows: Record<string, Flow> = {};
  if (mode !== "device-tx") flows[GUEST_TO_DEVICE] = flow(guest, device, { from: "guest", to: "device" });
  if (mode !== "guest-tx") flows[DEVICE_TO_GUEST] = flow(device, guest, { from: "device", to: "guest" });
  return flows;
}

async function linkUp(report: () => Promise<Pair>): Promise<number> {
  for (const started = performance.now(); performance.now() - started < LINK_MS; await pause(10)) {
    const [device, guest] = await report();
    if (device.linkMbps > 0 && guest.linkMbps > 0) return guest.linkMbps;
  }
  throw new Error(`the link did not come up within ${LINK_MS / 1000} s`);
}

/**
 * Waits until packets arrive on every flow: on a busy machine the lcores may not have got a CPU yet.
 * @returns the last report in which they did not: here the time of sending begins
 */
async function flowing(options: DemoOptions, idle: Pair, report: () => Promise<Pair>, end: AbortSignal): Promise<Pair> {
  for (let before = idle; ; await pause(FLOW_STEP_MS, end)) {
    const now = await report();
    const all = Object.values(flowsOf(options, now)).every(({ received }) => received > 0);
    if (all || end.aborted) return before;
    if (now[0].at - idle[0].at > FLOW_MS) throw new Error(`no packet has arrived within ${FLOW_MS / 1000} s`);
    before = now;
  }
}

/** Shows rates once a second until the time is over or somebody ends it. */
async function watch(
  options: DemoOptions,
  first: Pair,
  report: () => Promise<Pair>,
  end: AbortSignal,
  say: (line: string) => void,
): Promise<void> {
  const live = process.stdout.isTTY && !options.json;
  const over = performance.now() + (options.seconds ?? Number.POSITIVE_INFINITY) * 1000;
  let before = first;
  let drawn = 0;
  for (let second = 1; ; second++) {
    await pause(Math.max(0, Math.min(1000, over - performance.now())), end);
    if (end.aborted) return;
    const now = await report();
    const rows = rowsOf(options, before, now);
    if (live) {
      const lines = table(rows, second);
      // Back over the table drawn before, each line cleared to its end.
      process.stdout.write(`${drawn > 0 ? `\x1b[${drawn}A` : ""}${lines.map((text) => `${text}\x1b[K\n`).join("")}`);
      drawn = lines.length;
    } else say(line(rows, second));
    before = now;
    if (performance.now() >= over - 1) return;
  }
}

function rowsOf(options: DemoOptions, before: Pair, now: Pair): Row[] {
  const seconds = Math.max((now[0].at - before[0].at) / 1000, 1e-3);
  const flows = flowsOf(options, now);
  const earlier = flowsOf(options, before);
  return Object.entries(flows).map(([name, flow]) => {
    const was = earlier[name]!;
    const per = (field: "sent" | "received" | "receivedBytes"): number => (flow[field] - was[field]) / seconds;
    return { name, sentRate: per("sent"), receivedRate: per("received"), mbps: (per("receivedBytes") * 8) / 1e6, flow };
  });
}

async function drain(report: () => Promise<Pair>): Promise<{ pair: Pair; drained: boolean }> {
  let pair = await report();
  let quiet = 0;
  for (const started = performance.now(); performance.now() - started < DRAIN_MS; ) {
    await pause(DRAIN_STEP_MS);
    const now = await report();
    quiet = isQuiet(pair, now) ? quiet + 1 : 0;
    pair = now;
    if (quiet >= QUIET_REPORTS) return { pair, drained: true };
  }
  return { pair, drained: false };
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    // Without an end the timer only keeps the clock.
    const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1));
    if (signal?.aborted) done();
    else signal?.addEventListener("abort", done);
  });
}
