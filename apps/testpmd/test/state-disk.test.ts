// State files in bad places: a disk that is full, or becomes full, and a file that somebody truncates while lcores write to it.
// The disk is a small tmpfs of the test's own, for which it needs the right to mount.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { MAIN, Program, runScript, TWO_LCORES } from "./program.ts";

const folder = mkdtempSync(join(tmpdir(), "state-disk-"));
const disk = join(folder, "disk");
const socket = join(folder, "avf");
const PROMPT = /testpmd> /;
const EAL = ["--in-memory", "-m", "128", ...TWO_LCORES];
/** What a state file takes, in pages. */
const FILE_KIB = 520;
const programs: Program[] = [];

mkdirSync(disk);
const mount = (...args: string[]) => spawnSync("mount", args, { encoding: "utf8" });
const mounted = mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", disk);
if (mounted.status !== 0) console.log(`no full disk is tried: mount failed: ${mounted.error ?? mounted.stderr.trim()}`);

afterEach(async () => {
  for (const program of programs.splice(0)) {
    program.kill();
    await program.exit;
  }
});
afterAll(() => {
  if (mounted.status === 0) spawnSync("umount", [disk]);
  rmSync(folder, { recursive: true, force: true });
});

async function start(devices: readonly string[], mode: string, ...more: string[]): Promise<Program> {
  const vdevs = devices.map((text) => `--vdev=${text}`);
  const program = new Program(MAIN, [...EAL, ...more, ...vdevs, "--", "-i", `--forward-mode=${mode}`, "--burst=32"]);
  programs.push(program);
  await program.expect(PROMPT);
  await program.ask("start", PROMPT);
  return program;
}
const device = (state: string): string[] => [
  `emu_iavf0,path=${socket},id=0,state=${state}`,
  "net_avfbe0,id=0,avf_emu_id=0",
];

/** Waits until it has received packets from here on. */
async function receives(pmd: Program): Promise<void> {
  const packets = async (): Promise<number> =>
    Number(/RX-packets: (\d+)/.exec(await pmd.ask("show port stats 0", PROMPT))![1]);
  const from = await packets();
  while ((await packets()) < from + 1000);
}

describe.runIf(mounted.status === 0)("a disk without room", { timeout: 60_000 }, () => {
  it("is told at the start, and what was begun there is no obstacle when there is room", async () => {
    const state = join(disk, "x.state");
    const run = () => runScript(MAIN, [...EAL, ...device(state).map((v) => `--vdev=${v}`), "--", "-i"], ["quit"]);
    const full = await run();
    expect(full.code).toBe(1);
    expect(full.errors).toMatch(/state file .*x\.state: it cannot be read and written \(.*ENOSPC/);
    expect(mount("-o", "remount,size=2m", disk).status).toBe(0);
    const roomy = await run();
    expect(roomy.code, roomy.errors).toBe(0);
    rmSync(state);
  });

  it("that fills up later hinders nobody: the file has all its blocks", async () => {
    const state = join(disk, "y.state");
    mount("-o", `remount,size=${FILE_KIB + 24}k`, disk);
    const server = await start(device(state), "rxonly");
    for (let i = 0; i < 100; i++) {
      try {
        writeFileSync(join(disk, `filler${i}`), new Uint8Array(4096));
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC");
        break;
      }
    }
    expect(() => writeFileSync(join(disk, "one-more"), new Uint8Array(4096))).toThrow("ENOSPC");
    const driver = await start([`net_iavf0,path=${socket}`], "txonly");
    await receives(server);
    server.child.kill("SIGKILL");
    await server.exit;
    const next = await start(device(state), "rxonly");
    await receives(next);
    expect(await driver.ask("show port xstats 0", PROMPT)).toMatch(/reconnects_resumed: 1/);
    expect(server.errors + next.errors).not.toContain("cannot be saved");
  });
});

describe("a file that is truncated while lcores write to it, with --sigbus-guard", { timeout: 60_000 }, () => {
  it("ends nothing but the keeping: traffic goes on, the log says so, and the next start refuses what is left", async () => {
    const state = join(folder, "z.state");
    const server = await start(device(state), "rxonly", "--sigbus-guard");
    const driver = await start([`net_iavf0,path=${socket}`], "txonly");
    await receives(server);
    truncateSync(state, 100);
    await server.says("it was truncated while it was in use");
    await receives(server);
    for (const line of ["stop", "port stop 0", "port start 0", "start"]) await driver.ask(line, PROMPT);
    await receives(server);
    driver.child.stdin.end("quit\n");
    expect((await driver.exit).code, driver.errors).toBe(0);
    server.child.stdin.end("quit\n");
    expect((await server.exit).code, server.errors).toBe(0);
    expect(statSync(state).size).toBe(100);
    const again = await runScript(MAIN, [...EAL, ...device(state).map((v) => `--vdev=${v}`), "--", "-i"], ["quit"]);
    expect(again.code).toBe(1);
    expect(again.errors).toMatch(/state file .*z\.state: .*remove the file/);
    expect(readFileSync(state)).toHaveLength(100);
  });
});
