// `pair/...`: two ports joined to each other in one process, one lcore forwarding between them in mode io, so that the same
// packets go round: ours an AVF and its device, over vfio-user, beside DPDK's two memif ports, in the same run, in turning
// order. Packets a second from one port to the other, which must have been sent there. The ratio is time by time, to the faster.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { getAffinity } from "@emudev/linux";
import { type Result, summarize } from "../measure.ts";
import { withHugePages } from "../peers/huge-pages.ts";
import { dpdkArgs, dpdkMissing, oursArgs, type Side } from "../peers/pairs.ts";
import { Testpmd } from "../peers/testpmd.ts";

const SIZES = [64, 256, 1518];
const QUICK_SIZES = [64, 1518];
const HUGE_PAGES = 384;
const SETTLE_MS = 500;
const LINK_MS = 10_000;
/** Bursts of 32 that go round: half of a ring each way. */
const BURSTS = 16;
const DESCRIPTORS = 1024;
/** Copying as it does by default, and with the client's packets where they lie. */
const MEMIFS = [
  ["memif", ""],
  ["memif-zero-copy", ",zero-copy=yes"],
] as const;
/** Packets that may be under way while counters are read. */
const UNDER_WAY = 4 * DESCRIPTORS;

/** The figures, or why there are none. */
export async function pairBench(name: string, quick: boolean): Promise<Result[] | string> {
  const cpus = getAffinity();
  if (cpus.length < 2) return "two CPUs are needed";
  const missing = dpdkMissing() ?? (await hugePagesMissing());
  if (missing !== undefined) console.error(`${name}: without memif beside it: ${missing}`);
  const folder = mkdtempSync(join(tmpdir(), "pair-"));
  const rounds = quick ? 1 : 7;
  const ms = quick ? 500 : 1500;
  const all = async (): Promise<Result[]> => {
    const results: Result[] = [];
    for (const size of quick ? QUICK_SIZES : SIZES) {
      const sides = sidesOf(size - 4, cpus.at(-1)!, folder, missing === undefined);
      results.push(...(await alternate(`${name}`, size, sides, rounds, ms)));
    }
    return results;
  };
  try {
    return await (missing === undefined ? withHugePages(HUGE_PAGES, all) : all());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function hugePagesMissing(): Promise<string | undefined> {
  try {
    await withHugePages(HUGE_PAGES, async () => {});
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function sidesOf(size: number, cpu: number, folder: string, dpdk: boolean): Record<string, Side> {
  const app = ["-i", "--forward-mode=io", `--txpkts=${size}`, "--total-num-mbufs=16384"];
  app.push(`--rxd=${DESCRIPTORS}`, `--txd=${DESCRIPTORS}`);
  const avf = `${folder}/avf-${size}`;
  const devices = [`emu_iavf0,path=${avf},id=0`, "net_avfbe0,id=0,avf_emu_id=0", `net_iavf0,path=${avf}`];
  const sides: Record<string, Side> = { "vfio-user": oursArgs(cpu, devices, app) };
  if (dpdk) {
    const memif = (index: number, role: string, zeroCopy: string): string =>
      `net_memif${index},role=${role},id=0,socket=${folder}/memif-${size},socket-abstract=no,rsize=10${zeroCopy}`;
    for (const [who, zeroCopy] of MEMIFS)
      sides[who] = dpdkArgs(cpu, [memif(0, "server", ""), memif(1, "client", zeroCopy)], app);
  }
  return sides;
}

async function alternate(
  name: string,
  size: number,
  sides: Record<string, Side>,
  rounds: number,
  ms: number,
): Promise<Result[]> {
  const names = Object.keys(sides);
  const rates = new Map<string, number[]>(names.map((who) => [who, []]));
  for (let round = 0; round < rounds; round++)
    for (let turn = 0; turn < names.length; turn++) {
      const who = names[(turn + round) % names.length]!;
      rates.get(who)!.push(await rateOf(who, sides[who]!, ms));
    }
  return names.map((who) => {
    const own = rates.get(who)!;
    const peers = who === "vfio-user" ? names.filter((peer) => peer !== who).map((peer) => rates.get(peer)!) : [];
    const ratios =
      peers.length === 0 ? [] : own.map((rate, round) => Math.max(...peers.map((peer) => peer[round]!)) / rate);
    return summarize(`${name}/${who}-${size}`, "packets/s", own, ratios);
  });
}

/** Packets a second from the first port to the second. */
async function rateOf(who: string, side: Side, ms: number): Promise<number> {
  const testpmd = new Testpmd(side.command, side.args);
  try {
    await testpmd.ready();
    for (const end = performance.now() + LINK_MS; !((await testpmd.linkUp(0)) && (await testpmd.linkUp(1))); ) {
      if (performance.now() > end) throw new Error(`${who}: the link does not come up`);
      await sleep(100);
    }
    await testpmd.ask(`start tx_first ${BURSTS}`);
    await sleep(SETTLE_MS);
    const [sent, got] = [await testpmd.stats(0), await testpmd.stats(1)];
    await sleep(ms);
    const [gotAfter, sentAfter] = [await testpmd.stats(1), await testpmd.stats(0)];
    const received = gotAfter.rx - got.rx;
    if (!(received > 0) || received > sentAfter.tx - sent.tx + UNDER_WAY)
      throw new Error(`${who}: ${received} received of ${sentAfter.tx - sent.tx}; the figure would mean nothing`);
    return (1000 * received) / (gotAfter.at - got.at);
  } finally {
    await testpmd.quit();
  }
}
