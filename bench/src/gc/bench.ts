// `gc/...`: collections of garbage on a polling lcore, by V8's own trace (--trace-gc) of a testpmd whose lcore forwards between
// an AVF and its device: at full load, with its turns timed as well, and polling without a packet. None may happen once the
// code is compiled; a run in which one does fails, and says what V8 said. The main thread may collect: it moves no packet.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { getAffinity } from "@emudev/linux";
import type { Result } from "../measure.ts";
import { oursArgs } from "../peers/pairs.ts";
import { Testpmd } from "../peers/testpmd.ts";

/** What V8 prints of a collection: process, isolate (one for each thread), what and how large. */
const TRACE = /\[\d+:(0x[0-9a-f]+)\] [^\n]*\n/g;
const LINK_MS = 10_000;
/** A phase begins when its code has become optimised: when the lcore has not collected for so long. */
const CALM_MS = 1500;
const SETTLE_MS = 15_000;

interface Phase {
  name: string;
  /** Commands that begin it. */
  lines: readonly string[];
  traffic: boolean;
  ms: number;
}

const phases = (quick: boolean): Phase[] => [
  { name: "idle", lines: ["start"], traffic: false, ms: quick ? 1000 : 20_000 },
  { name: "full-load", lines: ["stop", "start tx_first 16"], traffic: true, ms: quick ? 3000 : 60_000 },
  { name: "timed", lines: ["set record-core-cycles on"], traffic: true, ms: quick ? 1000 : 20_000 },
];

/** Collections in each phase: zeros. @throws Error that names the first collection on the lcore */
export async function gcBench(name: string, quick: boolean): Promise<Result[]> {
  const folder = mkdtempSync(join(tmpdir(), "gc-"));
  const path = join(folder, "avf");
  const devices = [`emu_iavf0,path=${path},id=0`, "net_avfbe0,id=0,avf_emu_id=0", `net_iavf0,path=${path}`];
  const { command, args } = oursArgs(getAffinity().at(-1)!, devices, ["-i", "--forward-mode=io"]);
  // V8 prints through C's standard output, which would keep the lines in a buffer.
  const testpmd = new Testpmd("stdbuf", ["-oL", command, "--trace-gc", ...args], TRACE);
  try {
    await testpmd.ready();
    for (const end = performance.now() + LINK_MS; !((await testpmd.linkUp(0)) && (await testpmd.linkUp(1))); ) {
      if (performance.now() > end) throw new Error("the link does not come up");
      await sleep(100);
    }
    const results: Result[] = [];
    for (const phase of phases(quick)) {
      await inPhase(testpmd, phase);
      results.push({
        name: `${name}/${phase.name}`,
        value: 0,
        unit: `in ${phase.ms / 1000} s`,
        ratio: null,
        spread: 0,
      });
    }
    return results;
  } finally {
    await testpmd.quit();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function inPhase(testpmd: Testpmd, { name, lines, traffic, ms }: Phase): Promise<void> {
  for (const line of lines) await testpmd.ask(line);
  await calm(testpmd);
  const before = await testpmd.stats(1);
  const traced = testpmd.taken.length;
  await sleep(ms);
  const during = testpmd.taken.slice(traced);
  const moved = (await testpmd.stats(1)).rx - before.rx;
  if (moved > 0 !== traffic) throw new Error(`${name}: ${moved} packets moved; the figure would mean nothing`);
  const onLcore = ofLcore(testpmd, during);
  if (onLcore.length > 0)
    throw new Error(`${name}: ${onLcore.length} collections on the lcore: ${onLcore[0]![0].trim()}`);
}

/** Returns when the lcore has not collected for CALM_MS, or does not come to an end with it. */
async function calm(testpmd: Testpmd): Promise<void> {
  const end = performance.now() + SETTLE_MS;
  for (let seen = -1; performance.now() < end; await sleep(CALM_MS)) {
    const count = ofLcore(testpmd, testpmd.taken).length;
    if (count === seen) return;
    seen = count;
  }
}

function ofLcore({ taken }: Testpmd, lines: RegExpMatchArray[]): RegExpMatchArray[] {
  // The main thread has loaded its modules, and collected, before it makes an lcore.
  const main = taken[0]?.[1];
  if (main === undefined) throw new Error("V8 traces no collection at all; is stdbuf (coreutils) there?");
  return lines.filter(([, isolate]) => isolate !== main);
}
