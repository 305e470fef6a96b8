// `vfu trace --trap` as a program between two testpmds: packets flow, every doorbell shows by name, the capture file that it wrote
// tells the same again, and a signal ends it in order.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { getAffinity } from "@emudev/linux";
import { readPcapng } from "@emudev/net";
import { afterAll, afterEach, describe, expect, it } from "vitest";

const folder = mkdtempSync("/tmp/emudev-trace-");
const server = join(folder, "avf.sock");
const listen = join(folder, "trace.sock");
const capture = join(folder, "trace.pcapng");
const VFU = new URL("../dist/main.js", import.meta.url).pathname;
const TESTPMD = new URL("../../testpmd/dist/main.js", import.meta.url).pathname;
const cpus = getAffinity();
const EAL = ["--in-memory", "-m", "128", "--lcores", `0@${cpus[0]},1@${cpus.at(-1)}`];

class Program {
  output = "";
  readonly exit: Promise<number | null>;
  readonly child;
  #wake = (): void => {};

  constructor(script: string, ...args: string[]) {
    this.child = spawn(process.execPath, [script, ...args]);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
        this.#wake();
      });
    }
    this.child.stdin.on("error", () => {});
    this.exit = new Promise((resolve) => {
      this.child.on("close", (code) => {
        resolve(code);
        this.#wake();
      });
    });
  }

  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.output)) {
      if (this.child.exitCode !== null) throw new Error(`it ended before it printed ${pattern}:\n${this.output}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

const programs: Program[] = [];
const run = (script: string, ...args: string[]): Program => {
  const program = new Program(script, ...args);
  programs.push(program);
  return program;
};

afterEach(() => {
  for (const { child } of programs.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Line {
  event: string;
  name: string;
  type: string;
  direction: string;
  fields: { register?: string };
  text: string;
  messages: number;
}

const parsed = (text: string): Line[] =>
  text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));

describe("vfu trace", () => {
  it("shows every doorbell between two testpmds, and again from its capture file", async () => {
    const devices = [`--vdev=emu_iavf0,path=${server},id=0`, "--vdev=net_avfbe0,id=0,avf_emu_id=0"];
    const device = run(TESTPMD, ...EAL, ...devices, "--", "-i", "-a", "--forward-mode=macswap");
    await device.until(/macswap packet forwarding/);
    const trace = run(VFU, "trace", listen, server, "--trap", "--format", "json", "--write", capture);
    await trace.until(/clients connect to/);
    const guest = run(TESTPMD, ...EAL, `--vdev=net_iavf0,path=${listen}`, "--", "-i");
    await guest.until(/testpmd> $/);
    guest.child.stdin.write("start tx_first 2\n");
    while (!/RX-packets: [1-9]\d{2,}/.test(guest.output)) {
      guest.output = "";
      guest.child.stdin.write("show port stats 0\n");
      await guest.until(/Tx-pps[\s\S]*testpmd> $/);
    }
    guest.child.stdin.write("stop\nquit\n");
    expect(await guest.exit).toBe(0);
    await trace.until(/"disconnect"/);
    trace.child.kill("SIGTERM");
    expect(await trace.exit).toBe(0);
    expect(existsSync(listen)).toBe(false);

    const lines = parsed(trace.output);
    const messages = lines.filter(({ event }) => event === "message");
    expect(lines.at(-1)).toMatchObject({ event: "summary", messages: messages.length });
    const written = messages.filter(({ name, direction }) => name === "REGION_WRITE" && direction === "c>s");
    const registers = new Set(written.map(({ fields }) => fields.register));
    for (const name of ["VF_ATQBAL1", "VF_ATQT1", "QTX_TAIL1(0)", "QRX_TAIL1(0)"]) expect(registers).toContain(name);
    const bells = written.filter(({ fields }) => /_TAIL1/.test(fields.register ?? ""));
    expect(new Set(bells.map(({ type }) => type))).toEqual(new Set(["posted"]));

    const packets = [...readPcapng(readFileSync(capture))];
    expect(packets).toHaveLength(messages.length);
    expect(packets[0]!.interface).toEqual({ linkType: 147, snapLength: 0, name: "connection 1" });
    const again = run(VFU, "trace", "--read", capture, "--format", "json");
    expect(await again.exit).toBe(0);
    expect(parsed(again.output).slice(0, -1)).toEqual(messages);
    const some = run(VFU, "trace", "--read", capture, "--only", "VERSION,QTX_TAIL1*");
    expect(await some.exit).toBe(0);
    const shown = some.output.split("\n").filter((line) => /^\d\d:.* [cs]>[cs] /.test(line));
    expect(shown[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{6} 1 c>s {5}0 VERSION {9}0\.\d /);
    expect(shown).toHaveLength(2 + bells.filter(({ fields }) => fields.register!.startsWith("QTX")).length);
  });

  it("writes what other tools read", (context) => {
    const tool = [
      ["capinfos", "-c", "-M"],
      ["tcpdump", "-r"],
    ].find(([name]) => spawnSync(name!, ["--version"]).status === 0);
    if (tool === undefined) {
      console.log("vfu trace: neither capinfos nor tcpdump is installed, so no other tool reads the capture file");
      context.skip("neither capinfos nor tcpdump is installed");
      return;
    }
    const { status, stdout } = spawnSync(tool[0]!, [...tool.slice(1), capture], { encoding: "utf8" });
    expect(status).toBe(0);
    const count = [...readPcapng(readFileSync(capture))].length;
    if (tool[0] === "capinfos") expect(stdout).toMatch(new RegExp(`Number of packets:\\s+${count}\\b`));
    else expect(stdout.trimEnd().split("\n").length).toBeGreaterThanOrEqual(count);
  });

  it("says what is wrong with a command line, a socket and a file", async () => {
    const wrong = async (status: number, pattern: RegExp, ...args: string[]): Promise<void> => {
      const program = run(VFU, "trace", ...args);
      expect(await program.exit).toBe(status);
      expect(program.output).toMatch(pattern);
    };
    await wrong(2, /which sockets/);
    await wrong(2, /same socket/, "a.sock", "a.sock");
    await wrong(1, /is not a socket/, VFU, server);
    await wrong(2, /ENOENT/, "--read", join(folder, "none"));
    await wrong(1, /no pcapng file/, "--read", VFU);
  });
});
