// Hostile guests, one after another, against a real testpmd: whatever they write, map, send or leave behind, the process goes
// on, gives every fd and mapping back, serves the next guest, and ends in order. The seed is part of each test's name;
// EMUDEV_HOSTILE_SEED and EMUDEV_HOSTILE_SECONDS make other and longer runs.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { HostileGuest } from "./hostile/guest.ts";
import { Random } from "./hostile/random.ts";

const SECONDS = Number(process.env.EMUDEV_HOSTILE_SECONDS ?? 4);
const SEED = Number(process.env.EMUDEV_HOSTILE_SEED ?? 1);
const WARM_UP = 3; // guests after which everything that stays has been made
const STEPS = 300;
const main = join(dirname(fileURLToPath(import.meta.url)), "../apps/testpmd/dist/main.js");

let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill("SIGKILL");
  child = undefined;
});

async function until(what: string, done: () => boolean): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (done()) return;
    await sleep(50);
  }
  throw new Error(`gave up waiting until ${what}`);
}

/** What a process holds: fds, and mappings of memfds. */
function holds(pid: number): { fds: number; mappings: number } {
  const maps = readFileSync(`/proc/${pid}/maps`, "utf8").split("\n");
  return { fds: readdirSync(`/proc/${pid}/fd`).length, mappings: maps.filter((line) => line.includes("memfd")).length };
}

const BAD_PACKETS = /RX-error: +[1-9]/;
const TRUNCATED = /memory file was truncated; the client is dropped/;
const GUESTS_MAX = 5000;

describe("a device outlives its guests", () => {
  test.each([
    { doorbell: "mem", guard: false },
    { doorbell: "fd", guard: false },
    { doorbell: "mem", guard: true },
  ])(
    `doorbell=$doorbell, truncated memory: $guard (seed ${SEED})`,
    async ({ doorbell, guard }) => {
      const folder = mkdtempSync(join(tmpdir(), "emudev-hostile-"));
      const path = join(folder, "avf.sock");
      const vdev = `--vdev=emu_iavf0,path=${path},id=0,doorbell=${doorbell}`;
      const app = ["--vdev=net_avfbe0,id=0,avf_emu_id=0", "--", "-i", "-a", "--forward-mode=icmpecho"];
      const options = ["--in-memory", "-m", "128", "--log-level=error", ...(guard ? ["--sigbus-guard"] : [])];
      const args = [main, "--lcores", "0@0,1@0", ...options, vdev, ...app];
      let output = "";
      const testpmd = spawn(process.execPath, args, { stdio: "pipe" });
      child = testpmd;
      const ended = new Promise<number | null>((done) => testpmd.once("exit", done));
      for (const stream of [testpmd.stdout, testpmd.stderr]) stream.on("data", (text) => (output += text));
      await until("testpmd listens", () => {
        expect(testpmd.exitCode, output).toBe(null);
        return existsSync(path);
      });

      const random = new Random(SEED);
      const pid = testpmd.pid!;
      let first = holds(pid);
      let guests = 0;
      // Whether a guest gets as far as the rings, or truncates memory that the device then touches, is up to threads: guests
      // come until one has.
      const aim = guard ? TRUNCATED : BAD_PACKETS;
      const goesOn = async (): Promise<boolean> => {
        if (guests <= WARM_UP) return true;
        if (guests >= GUESTS_MAX || aim.test(output)) return false;
        if (guests % 10 !== 0) return true;
        testpmd.stdin.write("show fwd stats all\n");
        await sleep(50);
        return !aim.test(output);
      };
      for (const end = Date.now() + 1000 * SECONDS; Date.now() < end || (await goesOn()); guests++) {
        expect(testpmd.exitCode, output).toBe(null);
        await (await HostileGuest.connect(path, random)).run(guard ? STEPS / 10 : STEPS, guard);
        if (guests === WARM_UP) {
          await sleep(300);
          first = holds(pid);
        }
      }
      await until("everything is given back", () => JSON.stringify(holds(pid)) === JSON.stringify(first));

      testpmd.stdin.end("show fwd stats all\nquit\n");
      expect(await ended, output).toBe(0);
      expect(output).not.toMatch(/[a-z]Error: |nhandled/);
      expect(output).toMatch(aim);
      rmSync(folder, { recursive: true, force: true });
    },
    60_000 + 2000 * SECONDS,
  );
});
