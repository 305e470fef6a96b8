// A server process that goes away under a driver with traffic, and what the driver's console shows: two testpmds, of which the
// one that emulates is ended in order or killed, and started again, with and without a state file.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { MAIN, Program, TWO_LCORES } from "./program.ts";

const folder = mkdtempSync("/tmp/emudev-reconnect-");
const programs: Program[] = [];
const PROMPT = /testpmd> /; // events are printed behind it
const EAL = ["--in-memory", "-m", "128", ...TWO_LCORES];
const ROUNDS = 2;
let serial = 0;
let path = "";

afterEach(() => {
  for (const program of programs.splice(0)) program.kill();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function start(devices: readonly string[], mode: string): Promise<Program> {
  const vdevs = devices.map((text) => `--vdev=${text}`);
  const program = new Program(MAIN, [...EAL, ...vdevs, "--", "-i", `--forward-mode=${mode}`, "--burst=32"]);
  programs.push(program);
  await program.expect(PROMPT);
  return program;
}

/** A server, new or once more. */
async function server(mode: string, devargs = ""): Promise<Program> {
  const program = await start([`emu_iavf0,path=${path},id=0${devargs}`, "net_avfbe0,id=0,avf_emu_id=0"], mode);
  await program.ask("start", PROMPT);
  return program;
}

function newPath(): string {
  path = `${folder}/${serial++}`;
  return path;
}

async function packets(pmd: Program, side: "RX" | "TX"): Promise<number> {
  return Number(new RegExp(`${side}-packets: (\\d+)`).exec(await pmd.ask("show port stats 0", PROMPT))![1]);
}

/** Waits until it has moved packets from here on. */
async function moves(pmd: Program, side: "RX" | "TX"): Promise<void> {
  const from = await packets(pmd, side);
  while ((await packets(pmd, side)) < from + 1000);
}

async function quit(pmd: Program): Promise<void> {
  pmd.child.stdin.end("quit\n");
  expect((await pmd.exit).code, pmd.errors).toBe(0);
}

/** What the driver's console says of its connection. */
const connection = async (pmd: Program): Promise<string> =>
  /Connection: (.*)/.exec(await pmd.ask("show port info 0", PROMPT))![1]!;
async function connected(pmd: Program): Promise<void> {
  while ((await connection(pmd)) !== "connected");
}

describe("a server that keeps its device", { timeout: 90_000 }, () => {
  it.each([
    ["from the driver", "txonly", "rxonly"],
    ["to the driver", "rxonly", "txonly"],
  ])("is ended in order and started again: every packet %s is counted", async (_way, driverMode, serverMode) => {
    const state = `,state=${newPath()}.state`;
    let device = await server(serverMode, state);
    const driver = await start([`net_iavf0,path=${path}`], driverMode);
    await driver.ask("start", PROMPT);
    const side = serverMode === "txonly" ? "TX" : "RX";
    let ended = 0;
    for (let round = 0; round < ROUNDS; round++) {
      await moves(device, side);
      await device.ask("stop", PROMPT);
      ended += await packets(device, side);
      await quit(device);
      device = await server(serverMode, state);
      await connected(driver);
    }
    await moves(device, side);
    expect(driver.output).not.toMatch(/error recover/);
    // What sends is stopped first; what it has sent is awaited where it arrives.
    await (side === "TX" ? device : driver).ask("stop", PROMPT);
    const counted = async (): Promise<number[]> => [
      ended + (await packets(device, side)),
      await packets(driver, side === "TX" ? "RX" : "TX"),
    ];
    let [here, there] = await counted();
    for (let i = 0; i < 100 && here !== there; i++) [here, there] = await counted();
    expect(there).toBe(here);
    await quit(driver);
    await quit(device);
  });
});

describe("a server without a state file", { timeout: 90_000 }, () => {
  it("is killed and started again: the driver brings the port back by itself, and says so", async () => {
    newPath();
    let device = await server("rxonly");
    const driver = await start([`net_iavf0,path=${path}`], "txonly");
    await driver.ask("start", PROMPT);
    await moves(device, "RX");
    const events = driver.expect(
      /link state change event[\s\S]*error recovering event[\s\S]*error recovery successful event/,
    );
    device.child.kill("SIGKILL");
    await device.exit;
    device = await server("rxonly");
    await events;
    await moves(device, "RX");
    expect(await driver.ask("show port xstats 0", PROMPT)).toMatch(/reconnects_recovered: 1/);
    await quit(driver);
  });

  it("is away for a while: the console shows it; closing the port leaves nothing behind", async () => {
    newPath();
    const device = await server("rxonly");
    const driver = await start(["net_null0"], "rxonly");
    const left = () => ({
      fds: readdirSync(`/proc/${driver.child.pid}/fd`).length,
      maps: readFileSync(`/proc/${driver.child.pid}/maps`, "utf8").split("memfd:").length,
    });
    await driver.ask("port stop 0", PROMPT);
    await driver.ask("port detach 0", PROMPT);
    const before = left();
    await driver.ask(`port attach net_iavf0,path=${path}`, PROMPT);
    await driver.ask("port start 0", PROMPT);
    expect(await connection(driver)).toBe("connected");
    device.child.kill("SIGKILL");
    await device.exit;
    while (!/^reconnecting for [\d.]+ s, [3-9] attempts; cannot connect/.test(await connection(driver)));
    expect(await driver.ask("show port summary 0", PROMPT)).toMatch(/net_iavf0 .*down/);
    await driver.ask("port stop 0", PROMPT);
    await driver.ask("port detach 0", PROMPT);
    expect(left()).toEqual(before);
    await quit(driver);
  });

  it("with reconnect=off is gone for good", async () => {
    newPath();
    const device = await server("rxonly");
    const driver = await start([`net_iavf0,path=${path},reconnect=off`], "txonly");
    await driver.ask("start", PROMPT);
    device.child.kill("SIGKILL");
    await driver.expect(/Port 0: device removal event/);
    expect(await connection(driver)).toBe("gone");
    await quit(driver);
  });
});
