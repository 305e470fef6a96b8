// vfu as a program against the README's device and an emulated AVF: what each command prints, JSON for scripts, exit statuses,
// and one line that says what to do when something is wrong.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { closeFd, getAffinity, unixListen } from "@emudev/linux";
import { VfioUserClient } from "@emudev/vfio-user";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { COMMANDS } from "../src/commands/index.ts";
import { Histogram } from "../src/histogram.ts";
import { toJson } from "../src/output.ts";
import { perform } from "../src/run.ts";

const folder = mkdtempSync("/tmp/emudev-vfu-");
const dice = join(folder, "dice.sock");
const avf = join(folder, "avf.sock");
const path = (relative: string): string => new URL(relative, import.meta.url).pathname;
const children: ChildProcess[] = [];
const [cpu] = getAffinity();

function vfu(...args: string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path("../dist/main.js"), ...args], {
    encoding: "utf8",
    timeout: 20_000,
  });
  return { status, out: stdout, err: stderr };
}
/** The same in this process, which takes a tenth of the time. */
async function here(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const line = (text: string): void => {
    out += `${text}\n`;
  };
  const output = { line, json: (value: unknown) => line(toJson(value)), behind: () => null };
  const warn = (text: string): void => {
    err += `${text}\n`;
  };
  const status = await perform(args, COMMANDS, { out: output, signal: new AbortController().signal, warn });
  return { status, out, err };
}
const ok = async (...args: string[]): Promise<string> => {
  const { status, out, err } = await here(...args);
  expect({ status, err }, args.join(" ")).toEqual({ status: 0, err: "" });
  return out;
};

beforeAll(async () => {
  children.push(spawn(process.execPath, [path("../../../test/newcomer/dist/dice.js"), dice], { stdio: "ignore" }));
  const eal = ["--in-memory", "-m", "64", "--lcores", `0@${cpu},1@${cpu}`, `--vdev=emu_iavf0,path=${avf},id=0`];
  const args = [path("../../testpmd/dist/main.js"), ...eal, "--vdev=net_avfbe0,id=0,avf_emu_id=0", "--", "-i"];
  children.push(spawn(process.execPath, args, { stdio: ["pipe", "ignore", "ignore"] }));
  while ((await here("info", dice)).status !== 0 || (await here("info", avf)).status !== 0)
    await new Promise((resolve) => setTimeout(resolve, 50));
}, 120_000);
afterAll(async () => {
  for (const child of children) {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill();
    await gone;
  }
  rmSync(folder, { recursive: true, force: true });
});

describe("a device is looked at", () => {
  it("info, regions, irqs: names, sizes, flags", async () => {
    const info = JSON.parse(await ok("info", avf, "--json"));
    expect(info.device).toMatchObject({ vendorId: "0x8086", deviceId: "0x1889" });
    expect(info.server.pid).toBe(children[1]!.pid);
    expect(info.flags).toEqual(["reset", "pci"]);
    expect(vfu("info", dice).out).toMatch(/^socket +\S+\nserver +pid \d+ \(node\)/);
    const regions = JSON.parse(await ok("regions", avf, "--json"));
    expect(regions[0]).toMatchObject({ name: "bar0", areas: [{ offset: 0 }, { offset: 0x2000 }] });
    expect(await ok("irqs", dice)).toMatch(/2 +msix +1 +eventfd\n/);
  });

  it("config and lspci: bytes and their meaning", async () => {
    expect(await ok("config", avf)).toMatch(/^00:00\.0 Class 0200: 8086:1889 .*\n00: 86 80 89 18 /);
    const text = await ok("lspci", avf);
    for (const part of ["Ethernet controller", "MSI-X: Enable- Count=", "FLReset+", "BusMaster-"])
      expect(text).toContain(part);
  });

  it("read and write: by number or by name, in the device's width", async () => {
    expect(await ok("read", dice, "config", "0", "2")).toBe("0x1234\n");
    expect(await ok("read", dice, "bar0", "0")).toBe("0x00000006\n");
    expect(await ok("read", avf, "bar0", "VFGEN_RSTAT")).toContain("0x");
    expect(JSON.parse(await ok("read", dice, "bar0", "0x8", "--json"))).toMatchObject({
      offset: "0x8",
      value: "0x00000000",
    });
    expect((await here("write", dice, "bar0", "0", "20")).status).toBe(0);
    expect(await ok("read", dice, "bar0", "0")).toBe("0x00000006\n"); // the device is reset when a client leaves
    expect(await ok("reset", dice)).toMatch(/^reset in [\d.]+ ms\n$/);
  });

  it("names of a file: for a device that nobody knows", async () => {
    const file = join(folder, "names.json");
    writeFileSync(file, JSON.stringify({ bar0: { FACES: 0, result: { offset: 8, bytes: 2 } } }));
    expect(await ok("read", dice, "bar0", "FACES", "--names", file)).toBe("0x00000006\n");
    const script = "write bar0 faces 20; read bar0 FACES; read bar0 RESULT; read bar0 9 1";
    const lines = (await ok("shell", dice, "--names", file, "--json", "-c", script)).trim().split("\n");
    expect(lines.map((line) => JSON.parse(line).name)).toEqual(["FACES", "RESULT", "RESULT+0x1"]);
    expect((await here("read", dice, "bar0", "FACES")).err).toMatch(/no names are known .* or --names FILE/);
    expect((await here("read", dice, "bar0", "NOPE", "--names", file)).err).toContain("FACES, RESULT");
    writeFileSync(file, JSON.stringify({ bar0: { FACES: "zero" } }));
    const { status, err } = await here("read", dice, "bar0", "FACES", "--names", file);
    expect({ status, err }).toEqual({ status: 2, err: expect.stringContaining("bar0.FACES: expected an offset") });
  });

  it("watch: a register once, and interrupts as they come", async () => {
    expect(await ok("watch", dice, "bar0", "0", "--seconds", "0.2", "--interval", "10")).toMatch(
      /bar0\+0x0.*0x00000006\n$/,
    );
    expect((await here("watch", dice, "--irqs", "--seconds", "0.1")).status).toBe(0);
  });

  it("shell: what is written stays, interrupts come, memory is lent; one connection", async () => {
    const script =
      "irqs; write bar0 0 1; read bar0 0; write bar0 4 1; wait; read bar0 8; reset; read bar0 0; read config 0 6";
    const { status, out, err } = await here("shell", dice, "--command", script);
    expect({ status, err }).toEqual({ status: 0, err: "watching msix, err, req: 3 vectors\n" });
    expect(out).toBe("0x00000001\nmsix  0  1\n0x00000001\n0x00000006\n00000000: 34 12 ce d1 00 00\n");
    const [irq, sum] = (await here("shell", dice, "--json", "-c", "irqs; write bar0 4 1; wait; read bar0 0")).out.split(
      "\n",
    );
    expect(JSON.parse(irq!)).toEqual({ irq: "msix", vector: 0, times: 1 });
    expect(JSON.parse(sum!)).toMatchObject({ region: "bar0", value: "0x00000006" });
    const silent = await here("shell", dice, "-c", "irqs; wait 20");
    expect(silent).toMatchObject({ status: 1, err: expect.stringContaining("at 'wait 20': no interrupt in 20 ms") });
  });

  it("shell: a script on standard input", () => {
    const lines = [
      "map 0x10000 8192 # two pages",
      "",
      "put 0x11ffc 01 02ff",
      "dump 0x11ff8 8",
      "unmap 0x10000",
      "quit",
      "no",
    ];
    const options = { input: lines.join("\n"), encoding: "utf8" } as const;
    const piped = spawnSync(process.execPath, [path("../dist/main.js"), "shell", dice], options);
    expect(piped).toMatchObject({ status: 0, stdout: "00011ff8: 00 00 00 00 01 02 ff 00\n", stderr: "" });
  });

  it("bench: latencies of what was asked for", async () => {
    const lines = JSON.parse(await ok("bench", dice, "--seconds", "0.1", "--region", "bar0", "--write", "6", "--json"));
    expect(lines.map(({ what }: { what: string }) => what)).toEqual([
      "read bar0+0x0 4",
      "write bar0+0x0 4",
      "posted write bar0+0x0 4",
      "map and unmap 1 MiB",
      "connect to ready",
    ]);
    for (const { p50, p99, max } of [lines[0], lines[1], lines[3], lines[4]]) {
      expect(p50).toBeGreaterThan(0);
      expect(p99).toBeGreaterThanOrEqual(p50);
      expect(max).toBeGreaterThanOrEqual(p99);
    }
  });
});

describe("what is wrong is one line, and a status that a script can tell", () => {
  it("command lines", async () => {
    for (const [args, text] of [
      [["frobnicate"], "there is no command 'frobnicate': info, regions"],
      [["read", dice], "arguments are missing; usage: vfu read SOCKET REGION OFFSET [WIDTH]"],
      [["info", dice, "--colour"], "--colour: not known here; usage: vfu info SOCKET"],
      [["info", dice, "--timeout", "soon"], "--timeout soon: expected milliseconds"],
      [["conformance", dice, "--format", "xml"], "--format xml: expected tap, junit, json"],
      [["info", ""], "the socket's path is empty"],
      [["shell", dice, "-c", "read bar0 0; frobnicate"], "at 'frobnicate': 'frobnicate' is no command: read, write"],
      [["shell", dice, "-c", "dump 0x1000"], "0x1000+64 is not lent memory; lend some: map ADDRESS BYTES"],
      [["read", dice, "bar9", "0"], "'bar9' is no region: expected bar0"],
      [["read", dice, "bar0", "NOPE"], "no names are known"],
      [["bench", dice, "--seconds", "0"], "--seconds 0: expected more than 0"],
      [["conformance", dice, "--only", "no such"], "--only no such: no check has that in its name"],
    ] as const) {
      const { status, err } = await here(...args);
      expect(err).toContain(text);
      expect(err.trim().split("\n"), err).toHaveLength(1);
      expect(status).toBe(2);
    }
  });

  it("an access that the device refuses: why, as far as its regions tell", async () => {
    for (const [args, text] of [
      [
        ["read", dice, "bar0", "0x1000"],
        "read of 4 bytes at bar0+0x1000 was answered with EINVAL: bar0 has 0x1000 bytes (4K)",
      ],
      [
        ["write", dice, "bar1", "0", "1"],
        "write of 4 bytes at bar1+0x0 was answered with EINVAL: the device has no bar1",
      ],
      [["bench", dice, "--region", "bar4"], "the device has no bar4"],
      [["shell", dice, "-c", "read bar0 0; read bar2 0"], "at 'read bar2 0': read of 4 bytes at bar2+0x0"],
      [["shell", dice, "-c", "reset; read rom 0"], "the device has no rom"],
    ] as const) {
      const { status, err } = await here(...args);
      expect(err).toContain(text);
      expect(status).toBe(1);
    }
  });

  it("nobody there, no socket, nobody who speaks the protocol, somebody else", async () => {
    expect(vfu("info", `${folder}/none`)).toMatchObject({
      status: 3,
      err: expect.stringContaining("there is no such socket"),
    });
    writeFileSync(`${folder}/file`, "");
    expect(vfu("info", `${folder}/file`)).toMatchObject({ status: 3, err: expect.stringContaining("is not a socket") });
    const deaf = unixListen(`${folder}/deaf`);
    const silent = vfu("info", `${folder}/deaf`, "--timeout", "200");
    expect(silent).toMatchObject({ status: 3, err: expect.stringContaining("no answer in 200 ms") });
    closeFd(deaf);
    expect(vfu("info", `${folder}/deaf`)).toMatchObject({ status: 3, err: expect.stringContaining("nobody listens") });
    expect(existsSync(dice)).toBe(true);
    const holder = await VfioUserClient.connect(dice);
    expect(vfu("info", dice)).toMatchObject({
      status: 4,
      err: expect.stringMatching(/busy: .* has the device/),
    });
    holder.close();
  });
});

describe("histogram", () => {
  it("tells quantiles within 3 % at any scale", () => {
    const histogram = new Histogram();
    for (let i = 1; i <= 1000; i++) histogram.add(i);
    for (const share of [0.5, 0.9, 0.99])
      expect(Math.abs(histogram.quantile(share) / (1000 * share) - 1)).toBeLessThan(0.03);
    expect(histogram.quantile(1)).toBe(1000);
    expect(histogram.bars().at(-1)).toMatch(/512 - 1024 us +489 +#+$/);
  });
});
