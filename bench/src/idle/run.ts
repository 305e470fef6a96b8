// One run of the idle bench: a device that sends packets back, in one poll mode, and a guest of a process of its own that sends
// one packet a second and then none. Called by bench.ts.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { TESTPMD } from "../peers/pairs.ts";
import { Testpmd } from "../peers/testpmd.ts";

const TICKS_PER_SECOND = 100; // USER_HZ, the same on every Linux

export interface IdleMode {
  /** Of --poll-mode. */
  name: string;
  /** Of --vdev=emu_iavf. */
  doorbell: "mem" | "fd";
}

/** Round trips in microseconds, and the device's share of a core (%) over `idleMs` without a packet. */
export async function idleRun(
  mode: IdleMode,
  path: string,
  cpus: readonly number[],
  count: number,
  idleMs: number,
): Promise<{ trips: number[]; share: number }> {
  const eal = ["--lcores", `0@${cpus[0]},1@${cpus[0]}`, "--in-memory", `--poll-mode=${mode.name}`];
  const vdevs = [`--vdev=emu_iavf0,path=${path},id=0,doorbell=${mode.doorbell}`, "--vdev=net_avfbe0,id=0,avf_emu_id=0"];
  const app = ["-i", "--forward-mode=io", "--port-topology=loop"];
  const device = new Testpmd(process.execPath, [TESTPMD, ...eal, ...vdevs, "--", ...app]);
  try {
    await device.ready();
    await device.ask("start");
    const probe = fileURLToPath(new URL("./probe.js", import.meta.url));
    const guest = spawn(process.execPath, [probe, path, `${cpus[1]}`, `${count}`], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const closed = new Promise((resolve) => guest.on("close", resolve));
    try {
      const trips = await tripsOf(createInterface({ input: guest.stdout }));
      const lost = trips.filter((trip) => trip === null).length;
      if (trips.length !== count || lost > 0)
        throw new Error(
          `${mode.name}: ${lost} of ${trips.length} packets did not come back; the figure would mean nothing`,
        );
      // A second without traffic first, as the probe's last packet has only just gone.
      await sleep(1000);
      const before = cpuSeconds(device.pid);
      const from = performance.now();
      await sleep(idleMs);
      const share = (1e5 * (cpuSeconds(device.pid) - before)) / (performance.now() - from);
      return { trips: trips as number[], share };
    } finally {
      guest.stdin.end();
      await closed;
    }
  } finally {
    await device.quit();
  }
}

/** The line of JSON among those of the log. */
async function tripsOf(lines: AsyncIterable<string>): Promise<(number | null)[]> {
  for await (const line of lines) if (line.startsWith("[")) return JSON.parse(line) as (number | null)[];
  throw new Error("the guest's side has ended");
}

/** CPU time of all threads of a process (proc_pid_stat(5): utime, stime). */
function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
