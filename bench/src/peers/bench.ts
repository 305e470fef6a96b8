// `peers/...`: packets a second from one process to another, ours over vfio-user and DPDK's over vhost and memif, in the same
// run, in turning order. The receiver's own count over a stretch of time is the rate; what the sender counted must bear it
// out. The ratio is time by time, as everywhere here: 1.0 = as fast as vhost/virtio_user the same way, 0.9 = faster.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { getAffinity } from "@emudev/linux";
import { median, type Result, summarize } from "../measure.ts";
import { withHugePages } from "./huge-pages.ts";
import { dpdkMissing, type Pair, pairs } from "./pairs.ts";
import { type Reading, Testpmd } from "./testpmd.ts";

export const PEER_SIZES = [64, 256, 1518];
const ROUNDS = 5;
const SETTLE_MS = 700;
const MEASURE_MS = 1500;
const HUGE_PAGES = 768;
const LINK_MS = 10_000;

/** The figures of one size, or why there are none. */
export async function peersBench(name: string, size: number): Promise<Result[] | string> {
  const missing = dpdkMissing();
  if (missing !== undefined) return missing;
  const cpus = getAffinity();
  if (cpus.length < 2) return "two CPUs are needed";
  const folder = mkdtempSync(join(tmpdir(), "peers-"));
  try {
    return await withHugePages(HUGE_PAGES, () => atSize(name, size, [cpus[0]!, cpus[1]!], folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function atSize(name: string, size: number, cpus: readonly [number, number], folder: string): Promise<Result[]> {
  // As everywhere in networking, the size on the wire counts the CRC; testpmd's does not.
  const list = pairs(size - 4, cpus, folder);
  const rates = new Map<string, number[]>(list.map((pair) => [pair.name, []]));
  for (let round = 0; round < ROUNDS; round++)
    for (let turn = 0; turn < list.length; turn++) {
      const pair = list[(turn + round) % list.length]!;
      rates.get(pair.name)!.push(await rateOf(pair));
    }
  return list.map((pair) => {
    const own = rates.get(pair.name)!;
    const way = pair.name.split("/")[1];
    const peer = pair.name.startsWith("vfio-user") ? rates.get(`vhost/${way}`)! : [];
    const ratios = peer.map((rate, round) => rate / own[round]!);
    return summarize(`${name}/${pair.name}-${size}`, "packets/s", own, ratios.length > 0 ? [median(ratios)] : []);
  });
}

/** Packets a second that reach the receiver of a pair. */
async function rateOf(pair: Pair): Promise<number> {
  const server = new Testpmd(pair.server.command, pair.server.args);
  let client: Testpmd | undefined;
  try {
    await server.ready();
    client = new Testpmd(pair.client.command, pair.client.args);
    await client.ready();
    const [from, to] = pair.sends === "server" ? [server, client] : [client, server];
    await to.ask("start");
    await from.ask("start");
    await up(from);
    await sleep(SETTLE_MS);
    const [sent, got] = [await from.stats(), await to.stats()];
    await sleep(MEASURE_MS);
    const [gotAfter, sentAfter] = [await to.stats(), await from.stats()];
    return checkedRate(pair.name, { sent, got, gotAfter, sentAfter });
  } finally {
    await client?.quit();
    await server.quit();
  }
}

function checkedRate(name: string, reads: Record<"sent" | "got" | "gotAfter" | "sentAfter", Reading>): number {
  const { sent, got, gotAfter, sentAfter } = reads;
  const received = gotAfter.rx - got.rx;
  // Read around the receiver's stretch, the sender's is longer; 4096 packets may lie between the two.
  if (!(received > 0) || received > sentAfter.tx - sent.tx + 4096)
    throw new Error(`${name}: ${received} received of ${sentAfter.tx - sent.tx}; the figure would mean nothing`);
  return (1000 * received) / (gotAfter.at - got.at);
}

async function up(testpmd: Testpmd): Promise<void> {
  for (const end = performance.now() + LINK_MS; performance.now() < end; await sleep(100))
    if (await testpmd.linkUp()) return;
  throw new Error("the link does not come up");
}
