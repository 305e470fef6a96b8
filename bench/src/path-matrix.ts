// `path/WAY-SIZE-Qq`: packets a second between two processes of ours, one core each, over Q queue pairs: from the guest, to the
// guest, and round trip (the guest's own packets come back to it). 64 to 9000 bytes; in 2 MiB pages where they can be
// reserved, with one queue also in 4 KiB pages (`-4k`). When sending ends, every packet sent must have been received, with
// all its bytes. The long form only; called by benches.ts.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { getAffinity } from "@emudev/linux";
import { type Result, summarize } from "./measure.ts";
import { withHugePages } from "./peers/huge-pages.ts";
import { oursArgs } from "./peers/pairs.ts";
import { type Reading, Testpmd } from "./peers/testpmd.ts";

export const PATH_SIZES = [64, 256, 1518, 9000];
const QUEUES = [1, 2, 4];
const WAYS = ["from-guest", "to-guest", "round-trip"] as const;
type Way = (typeof WAYS)[number];
const HUGE_PAGES = 768;
const SETTLE_MS = 300;
const STRETCHES = 5;
const STRETCH_MS = 300;
const DRAIN_MS = 5000;
const LINK_MS = 10_000;
/** Bursts that go round and round in a round trip: what fits the rings with room to spare. */
const BURSTS_FLYING = 8;
const CRC = 4;

interface Pair {
  device: Testpmd;
  guest: Testpmd;
}

/** All figures of a size, or why there are none. */
export async function pathMatrix(name: string, size: number): Promise<Result[] | string> {
  const cpus = getAffinity();
  if (cpus.length < 2) return "two CPUs are needed";
  const folder = mkdtempSync(join(tmpdir(), "path-"));
  const results: Result[] = [];
  const run = async (queues: number, pages: readonly string[], suffix: string): Promise<void> => {
    const at = join(folder, `${queues}q${suffix}`);
    const pair = await start(at, size, queues, [cpus[0]!, cpus[1]!], pages);
    try {
      for (const way of WAYS) {
        const rates = await ratesOf(pair, way, size - CRC);
        results.push(summarize(`${name}/${way}-${size}-${queues}q${suffix}`, "packets/s", rates, []));
      }
    } finally {
      await pair.guest.quit();
      await pair.device.quit();
    }
  };
  try {
    if (process.getuid?.() === 0)
      await withHugePages(HUGE_PAGES, async () => {
        for (const queues of QUEUES) await run(queues, [], "");
      });
    await run(1, ["--no-huge"], "-4k");
    return results;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function start(
  path: string,
  size: number,
  queues: number,
  cpus: readonly [number, number],
  pages: readonly string[],
): Promise<Pair> {
  const jumbo = size > 1518 ? ["--mbuf-size=9344", `--max-pkt-len=${size + 18}`] : [];
  const app = [
    ...["-i", "--port-topology=loop", `--txpkts=${size - CRC}`, `--rxq=${queues}`, `--txq=${queues}`],
    ...["--rxd=512", "--txd=512", "--total-num-mbufs=8192", ...jumbo],
  ];
  const vdevs = [`emu_iavf0,path=${path},id=0`, "net_avfbe0,id=0,avf_emu_id=0,rss=0"];
  const server = oursArgs(cpus[0], vdevs, app, pages);
  const client = oursArgs(cpus[1], [`net_iavf0,path=${path}`], app, pages);
  const device = new Testpmd(server.command, server.args);
  let guest: Testpmd | undefined;
  try {
    await device.ready();
    guest = new Testpmd(client.command, client.args);
    await guest.ready();
    for (const end = performance.now() + LINK_MS; !(await guest.linkUp()); await sleep(50))
      if (performance.now() > end) throw new Error("the link does not come up");
    return { device, guest };
  } catch (error) {
    await guest?.quit();
    await device.quit();
    throw error;
  }
}

/** Of some stretches of one run. @param bytes of a packet without CRC */
async function ratesOf({ device, guest }: Pair, way: Way, bytes: number): Promise<number[]> {
  const [from, to] = way === "to-guest" ? [device, guest] : [guest, device];
  await from.ask(`set fwd ${way === "round-trip" ? "io" : "txonly"}`);
  await to.ask(`set fwd ${way === "round-trip" ? "io" : "rxonly"}`);
  const before = { from: await stats(from), to: await stats(to) };
  await to.ask("start");
  await from.ask(way === "round-trip" ? `start tx_first ${BURSTS_FLYING}` : "start");
  await sleep(SETTLE_MS);
  // What has come back to the sender, or what has arrived.
  const end = way === "round-trip" ? from : to;
  const rates: number[] = [];
  let last = await end.stats();
  for (let i = 0; i < STRETCHES; i++) {
    await sleep(STRETCH_MS);
    const now = await end.stats();
    rates.push((1000 * (now.rx - last.rx)) / (now.at - last.at));
    last = now;
  }
  await from.ask("stop");
  const sent = (await stats(from)).tx - before.from.tx;
  for (const late = performance.now() + DRAIN_MS; ; await sleep(20)) {
    const now = await stats(to);
    const received = now.rx - before.to.rx;
    if (received === sent && sent > 0) {
      const each = (now.rxBytes - before.to.rxBytes) / received;
      if (each !== bytes) throw new Error(`${way}: ${each} bytes a packet instead of ${bytes}`);
      break;
    }
    if (performance.now() > late) throw new Error(`${way}: ${received} received of ${sent}; the figure means nothing`);
  }
  await to.ask("stop");
  // What is left of a round trip is taken out of the rings, or the next way would count it.
  if (way === "round-trip") {
    await from.ask("set fwd rxonly");
    await from.ask("start");
    await sleep(SETTLE_MS);
    await from.ask("stop");
  }
  return rates;
}

async function stats(side: Testpmd): Promise<Reading & { rxBytes: number }> {
  const reading = await side.stats();
  const text = await side.ask("show port stats 0");
  return { ...reading, rxBytes: Number(/RX-bytes: +(\d+)/.exec(text)?.[1] ?? Number.NaN) };
}
