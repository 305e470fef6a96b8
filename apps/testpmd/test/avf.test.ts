// Two testpmds and no QEMU: one emulates an AVF and forwards behind it, the other drives that AVF as a guest would. The guest
// side leaves, by quit and by SIGKILL, and another comes, while the device side goes on forwarding without a restart.
import { mkdirSync, rmSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { MAIN, Program, TWO_LCORES } from "./program.ts";

const folder = `/tmp/testpmd/avf-${process.pid}`;
const socket = `${folder}/avf.sock`;
const programs: Program[] = [];
const PROMPT = /testpmd> $/;
const EAL = ["--in-memory", "-m", "128", ...TWO_LCORES];

function start(args: readonly string[]): Program {
  const program = new Program(MAIN, args);
  programs.push(program);
  return program;
}

async function guest(): Promise<Program> {
  const pmd = start([...EAL, `--vdev=net_iavf0,path=${socket}`, "--", "-i"]);
  await pmd.expect(PROMPT);
  return pmd;
}

beforeAll(() => mkdirSync(folder, { recursive: true }));
afterEach(() => {
  for (const program of programs.splice(0)) program.kill();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Sends bursts that the device side swaps and sends back, until some have come back. */
async function roundTrip(pmd: Program): Promise<void> {
  await pmd.ask("start tx_first 4", PROMPT);
  for (;;) {
    const text = await pmd.ask("show port stats 0", PROMPT);
    if (Number(/RX-packets: (\d+)/.exec(text)![1]) > 1000) break;
  }
}

describe("two testpmds over an emulated AVF", () => {
  it("forward, and the device side goes on when guests leave and come", async () => {
    // The backend stands before its provider on the command line.
    const devices = ["--vdev=net_avfbe0,id=0,avf_emu_id=0", `--vdev=emu_iavf0,path=${socket},id=0`];
    const device = start([...EAL, ...devices, "--", "-i", "-a", "--forward-mode=macswap"]);
    await device.expect(/Port 0 Link down[\s\S]*macswap packet forwarding - ports=1[\s\S]*testpmd> $/);

    const first = await guest();
    await roundTrip(first);
    expect(device.output).toContain("Port 0: link state change event");
    first.child.stdin.end("stop\nquit\n");
    expect(await first.exit).toEqual({ code: 0, signal: null });

    const second = await guest();
    await roundTrip(second);
    second.child.kill("SIGKILL");
    await second.exit;

    const third = await guest();
    await roundTrip(third);

    // Now the device leaves: the guest's port loses its link, and the guest stays.
    expect(await device.ask("stop", PROMPT)).toMatch(/RX-packets: \d{4,}/);
    device.child.kill("SIGTERM");
    expect(await device.exit).toEqual({ code: 0, signal: null });
    while (!/Link status: down/.test(await third.ask("show port info 0", PROMPT)));
    third.child.stdin.end("stop\nport stop 0\nport close 0\nquit\n");
    expect(await third.exit).toEqual({ code: 0, signal: null });
  });

  it("a guest with two queues gets each packet on the queue that its RSS hash says, and shows both", async () => {
    const devices = ["--vdev=net_avfbe0,id=0,avf_emu_id=0", `--vdev=emu_iavf0,path=${socket},id=0,queues=2`];
    const device = start([...EAL, ...devices, "--", "-i", "-a", "--forward-mode=macswap"]);
    await device.expect(/testpmd> $/);
    const pmd = start([...EAL, `--vdev=net_iavf0,path=${socket}`, "--", "-i", "--rxq=2", "--txq=2"]);
    await pmd.expect(PROMPT);
    await pmd.ask("set verbose 1", PROMPT);
    pmd.child.stdin.write("start tx_first\n");
    const [, hash, queue] = (await pmd.expect(/RSS hash=0x([0-9a-f]+) - RSS queue=0x([01])/)).match(
      /RSS hash=0x([0-9a-f]+) - RSS queue=0x([01])/,
    )!;
    expect(Number.parseInt(queue!, 16)).toBe(Number.parseInt(hash!.slice(-1), 16) & 1); // net_iavf's table: entry mod queues
    pmd.child.stdin.end("set verbose 0\nquit\n");
    expect(await pmd.exit).toEqual({ code: 0, signal: null });
  });
});
