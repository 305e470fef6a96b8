// Ten thousand connections to a real testpmd with the flags that it always has: what it holds afterwards is what it held
// after the first thousand. fds and mappings are the same, and resident memory, which V8 lets grow a little before it
// collects, within 8 MiB. EMUDEV_HOSTILE_CONNECTIONS makes longer runs.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { Connections } from "./hostile/connections.ts";

const FIRST = 1000;
const ALL = Math.max(Number(process.env.EMUDEV_HOSTILE_CONNECTIONS ?? 10_000), FIRST);
const GROWTH_MIB = 8;
const main = join(dirname(fileURLToPath(import.meta.url)), "../apps/testpmd/dist/main.js");

let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill("SIGKILL");
  child = undefined;
});

/** fds and mappings of memfds that a process holds, and its resident memory in MiB. */
function holds(pid: number): { fds: number; mappings: number; mib: number } {
  const read = (file: string): string => readFileSync(`/proc/${pid}/${file}`, "utf8");
  return {
    fds: readdirSync(`/proc/${pid}/fd`).length,
    mappings: read("maps")
      .split("\n")
      .filter((line) => line.includes("memfd")).length,
    mib: Number(/^VmRSS:\s+(\d+)/m.exec(read("status"))?.[1]) / 1024,
  };
}

/** What it holds once nothing of a client is left. */
async function settled(pid: number, fds?: number): Promise<ReturnType<typeof holds>> {
  for (let i = 0, last = holds(pid); ; i++) {
    await sleep(100);
    const now = holds(pid);
    if (now.fds === (fds ?? last.fds) && now.mappings === last.mappings) return now;
    if (i > 100) throw new Error(`it still holds ${JSON.stringify(now)}, expected ${fds} fds`);
    last = now;
  }
}

test(`${ALL} connections leave nothing behind`, { timeout: 60_000 + 10 * ALL }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "emudev-connections-"));
  const path = join(folder, "avf.sock");
  const vdevs = [`--vdev=emu_iavf0,path=${path},id=0`, "--vdev=net_avfbe0,id=0,avf_emu_id=0"];
  const args = [main, "--lcores", "0@0,1@0", "--in-memory", "-m", "128", "--log-level=error", ...vdevs, "--", "-i"];
  let output = "";
  const testpmd = spawn(process.execPath, args, { stdio: "pipe" });
  child = testpmd;
  const ended = new Promise<number | null>((done) => testpmd.once("exit", done));
  for (const stream of [testpmd.stdout, testpmd.stderr]) stream.on("data", (text) => (output += text));
  while (!existsSync(path)) {
    expect(testpmd.exitCode, output).toBe(null);
    await sleep(50);
  }
  const pid = testpmd.pid!;
  const idle = await settled(pid);

  const connections = new Connections(path);
  let first = idle;
  for (let made = 0; made < ALL; ) {
    try {
      await connections.kinds[made % connections.kinds.length]!();
      if (++made === FIRST) first = await settled(pid);
    } catch (error) {
      if (testpmd.exitCode !== null) throw new Error(`testpmd ended: ${output}`);
      // EAGAIN: more wait than the listener holds; EBUSY and the like: somebody's end has not been seen yet.
      if (!["EAGAIN", "VFU_ADDRESS", "VFU_REFUSED"].includes((error as { code: string }).code)) throw error;
      await sleep(1);
    }
  }
  connections.close();
  const last = await settled(pid, first.fds);
  expect({ fds: last.fds, mappings: last.mappings }).toEqual({ fds: idle.fds, mappings: idle.mappings });
  console.log(`${ALL} connections: ${first.mib.toFixed(1)} MiB after ${FIRST}, ${last.mib.toFixed(1)} MiB at the end`);
  expect(last.mib - first.mib).toBeLessThan(GROWTH_MIB);

  testpmd.stdin.end("quit\n");
  expect(await ended, output).toBe(0);
  rmSync(folder, { recursive: true, force: true });
});
