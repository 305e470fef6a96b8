// Live migration driven by the driver's side: three testpmds, two of which emulate an AVF each. The third drives the first one,
// under traffic, and goes on with the second, which takes over the state. Every packet is counted: none is lost, none comes
// twice, in either direction. Also to a server at the same path, once the old one has made way for it.
import { mkdtempSync, rmSync } from "node:fs";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { MAIN, Program, TWO_LCORES } from "./program.ts";

const folder = mkdtempSync("/tmp/emudev-migrate-");
const programs: Program[] = [];
const PROMPT = /testpmd> /; // events are printed behind it
const EAL = ["--in-memory", "-m", "128", ...TWO_LCORES];
const ROUNDS = 4;

afterEach(({ task }) => {
  for (const program of programs.splice(0)) {
    if (task.result?.state === "fail") console.error(`${program.output.slice(-2000)}\n${program.errors}`);
    program.kill();
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function start(devices: readonly string[], mode: string): Promise<Program> {
  const vdevs = devices.map((text) => `--vdev=${text}`);
  const program = new Program(MAIN, [...EAL, ...vdevs, "--", "-i", `--forward-mode=${mode}`, "--burst=32"]);
  programs.push(program);
  await program.expect(PROMPT);
  return program;
}

const device = (name: string, mode: string): Promise<Program> =>
  start([`emu_iavf0,path=${folder}/${name},id=0`, "net_avfbe0,id=0,avf_emu_id=0"], mode);

async function packets(pmd: Program, side: "RX" | "TX"): Promise<number> {
  return Number(new RegExp(`${side}-packets: (\\d+)`).exec(await pmd.ask("show port stats 0", PROMPT))![1]);
}

/** Waits until it has moved packets since `from`. */
async function moves(pmd: Program, side: "RX" | "TX", from: number): Promise<void> {
  while ((await packets(pmd, side)) < from + 1000);
}

describe("a device under traffic is migrated", { timeout: 90_000 }, () => {
  it.each([
    ["from the guest", "txonly", "rxonly"],
    ["to the guest", "rxonly", "txonly"],
  ])("packets %s", async (_way, guestMode, deviceMode) => {
    const devices = [await device("a", deviceMode), await device("b", deviceMode)];
    const driver = await start([`net_iavf0,path=${folder}/a`], guestMode);
    const sending = deviceMode === "txonly" ? "TX" : "RX";
    for (const pmd of devices) await pmd.ask("start", PROMPT);
    await driver.ask("start", PROMPT);
    for (let round = 0; round < ROUNDS; round++) {
      const [here, there] = round % 2 === 0 ? devices : [...devices].reverse();
      const path = `${folder}/${round % 2 === 0 ? "b" : "a"}`;
      await moves(here!, sending, await packets(here!, sending));
      expect(await driver.ask(`port migrate 0 ${path}`, PROMPT)).toMatch(/Port 0 has migrated to .* in \d+ ms/);
      await moves(there!, sending, await packets(there!, sending));
    }
    // What sends is stopped first; what it has sent is awaited where it arrives.
    const counted = async (): Promise<[sent: number, received: number]> => {
      const at = [await packets(devices[0]!, sending), await packets(devices[1]!, sending)];
      const sum = at[0]! + at[1]!;
      const own = await packets(driver, sending === "TX" ? "RX" : "TX");
      return sending === "TX" ? [sum, own] : [own, sum];
    };
    for (const pmd of sending === "TX" ? devices : [driver]) await pmd.ask("stop", PROMPT);
    let [sent, received] = await counted();
    for (let i = 0; i < 100 && received !== sent; i++) [sent, received] = await counted();
    expect(received).toBe(sent);
    for (const pmd of [driver, ...devices]) {
      pmd.child.stdin.end("quit\n");
      expect((await pmd.exit).code, pmd.errors).toBe(0);
    }
  });

  it("to another server at its own path, when the old one has gone", async () => {
    const old = await device("s", "rxonly");
    const driver = await start([`net_iavf0,path=${folder}/s`], "txonly");
    await old.ask("start", PROMPT);
    await driver.ask("start", PROMPT);
    await moves(old, "RX", 0);
    const migrated = driver.ask(`port migrate 0 ${folder}/s`, /Port 0 has migrated to .* in \d+ ms/);
    await driver.says("its server can end now");
    expect(await old.ask("show port info 0", PROMPT)).toContain("Link status: down");
    const before = await packets(old, "RX");
    old.child.stdin.end("quit\n");
    expect((await old.exit).code, old.errors).toBe(0);
    const fresh = await device("s", "rxonly");
    await fresh.ask("start", PROMPT);
    await migrated;
    await driver.expect(PROMPT);
    await moves(fresh, "RX", 0);
    await driver.ask("stop", PROMPT);
    const counted = async () => [before + (await packets(fresh, "RX")), await packets(driver, "TX")];
    let [received, sent] = await counted();
    for (let i = 0; i < 100 && received !== sent; i++) [received, sent] = await counted();
    expect(received).toBe(sent);
    expect(driver.output).not.toMatch(/error recover/);
  });

  it("that cannot be is refused, and the old device goes on", async () => {
    const a = await device("a", "rxonly");
    const driver = await start([`net_iavf0,path=${folder}/a,`.slice(0, -1), "net_null0"], "txonly");
    await driver.ask("set portlist 0", PROMPT);
    await a.ask("start", PROMPT);
    await driver.ask("start", PROMPT);
    await start([`emu_iavf0,path=${folder}/c,id=0,doorbell=fd`, "net_avfbe0,id=0,avf_emu_id=0"], "rxonly");
    for (const [path, why] of [
      ["none", /there is no|ENOENT/],
      ["a wait 100", /EBUSY/], // the device itself, which does not go away
      ["c", /both devices must lend their doorbell pages/],
    ] as const) {
      const answer = await driver.ask(`port migrate 0 ${folder}/${path}`, PROMPT);
      expect(answer).toMatch(why);
      expect(answer).not.toContain("has migrated");
      await moves(a, "RX", await packets(a, "RX"));
    }
    expect(await driver.ask("port migrate 1 /x", PROMPT)).toMatch(/does not support|not supported/);
  });
});
