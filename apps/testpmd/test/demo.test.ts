// The demo as a user starts it: two real processes, packets both ways, an account that adds up, and nothing left behind, however
// it ends.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";

const MAIN = fileURLToPath(new URL("../dist/demo/main.js", import.meta.url));
const tmp = mkdtempSync(join(tmpdir(), "demo-test-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

interface Ended {
  code: number | null;
  /** All that it and its children said. */
  out: string;
  /** Standard output alone, which is the JSON's with --json. */
  stdout: string;
}

/** Runs the demo; `during` is called once it has said that the link is up. */
function demo(argv: string[], during?: (child: ChildProcess, out: string) => void): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...argv], { env: { ...process.env, TMPDIR: tmp }, detached: true });
  let out = "";
  let stdout = "";
  let called = false;
  const collect = (chunk: Buffer): void => {
    out += chunk;
    if (!called && out.includes("the link is up")) {
      called = true;
      during?.(child, out);
    }
  };
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk;
    collect(chunk);
  });
  child.stderr.on("data", collect);
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, out, stdout })));
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
const pidsOf = (out: string): number[] => [...out.matchAll(/\(pid (\d+)\)/g)].map((match) => Number(match[1]));
async function gone(pids: number[]): Promise<void> {
  for (let i = 0; i < 500 && pids.some(isAlive); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(pids.filter(isAlive)).toEqual([]);
}

describe("npm start", () => {
  it.each([
    ["both", ["guest to device", "device to guest"]],
    ["guest-tx", ["guest to device"]],
  ])("accounts for every packet: %s", async (mode, names) => {
    const { code, out, stdout } = await demo(["--seconds", "0.3", "--mode", mode, "--json"]);
    expect(stdout, out).toMatch(/^\{.*\}\n$/);
    const result = JSON.parse(stdout);
    expect(Object.keys(result.flows)).toEqual(names);
    for (const name of names) {
      const { sent, received, drops, unaccounted } = result.flows[name];
      const dropped = Object.values(drops as Record<string, number>).reduce((sum, count) => sum + count, 0);
      expect(received).toBeGreaterThan(0);
      expect(sent - received - dropped).toBe(0);
      expect(unaccounted).toBe(0);
    }
    expect(code, out).toBe(0);
    expect(readdirSync(tmp)).toEqual([]);
  });

  it("says who is who, shows a line a second, and ends with totals", async () => {
    const { code, out } = await demo(["--seconds", "1.2", "--size", "1518", "--mode", "device-tx"]);
    expect(code).toBe(0);
    expect(out).toMatch(/device \(pid \d+\)[\s\S]*guest {2}\(pid \d+\)/);
    expect(out).toMatch(/ 1 s {2}device to guest [\d.]+ M\/s sent/);
    expect(out).toMatch(/device to guest: [\d,]+ packets sent, [\d,]+ received/);
    await gone(pidsOf(out));
  });

  it("ends with totals at ^C, children and socket gone", async () => {
    // As a terminal does it: the whole group gets the signal.
    const { code, out } = await demo([], (child) => setTimeout(() => process.kill(-child.pid!, "SIGINT"), 300));
    expect(code).toBe(0);
    expect(out).toContain("packets sent");
    await gone(pidsOf(out));
    expect(readdirSync(tmp)).toEqual([]);
  });

  it.each([0, 1])("says so and leaves nothing when child %d dies", async (which) => {
    const { code, out } = await demo(["--seconds", "20"], (_child, text) => {
      setTimeout(() => process.kill(pidsOf(text)[which]!, "SIGKILL"), 200);
    });
    expect(code).toBe(1);
    expect(out).toMatch(/demo: the (device|guest)'s process ended \(SIGKILL\)/);
    await gone(pidsOf(out));
    expect(readdirSync(tmp)).toEqual([]);
  });

  it("leaves nothing when it is killed itself, or its terminal goes with it", async () => {
    const { out } = await demo(["--seconds", "20"], (child, text) => {
      setTimeout(() => {
        child.kill("SIGKILL");
        for (const pid of pidsOf(text)) process.kill(pid, "SIGHUP");
      }, 200);
    });
    await gone(pidsOf(out));
    expect(readdirSync(tmp)).toEqual([]);
  });

  it("refuses a wrong option with a sentence", async () => {
    const { code, out } = await demo(["--size", "10"]);
    expect(code).toBe(1);
    expect(out).toMatch(/^demo: --size 10: expected a whole number from 64 to 1518$/m);
  });
});
