// `npm run guest`: one guest's console on this terminal, and beside it a testpmd that answers the guest's pings. QEMU takes
// over the terminal until the guest's shell is left; then everything is ended. `--smp N` and `--memory MiB` size the guest.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Child } from "./child.ts";
import { ensureLab } from "./fetch.ts";
import { LabError } from "./lab-error.ts";
import { guestArguments } from "./qemu.ts";
import { Testpmd } from "./testpmd.ts";

const USAGE = `npm run guest -- [--smp N] [--memory MIB]

A Linux guest with an emulated NIC on this terminal; testpmd answers its pings to 10.0.0.1.

  --smp     CPUs of the guest (1)
  --memory  its memory in MiB (256)`;

function commandLine() {
  try {
    const text = { type: "string" } as const;
    return parseArgs({ options: { smp: text, memory: text, help: { type: "boolean", short: "h" } } });
  } catch (error) {
    throw new LabError("COMMAND", `${(error as Error).message.split(". ", 1)[0]}\n${USAGE}`);
  }
}

async function main(): Promise<number> {
  const { values } = commandLine();
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const size = (text: string | undefined, usual: number): number => {
    const value = Number(text ?? usual);
    if (!Number.isInteger(value) || value < 1) throw new LabError("COMMAND", `'${text}' is no positive whole number`);
    return value;
  };
  const options = { name: "console", smp: size(values.smp, 1), memoryMiB: size(values.memory, 256) };
  const lab = await ensureLab({ say: console.log });
  const folder = mkdtempSync(join(tmpdir(), "emudev-console-"));
  const socket = join(folder, "avf.sock");
  const eal = [`--vdev=emu_iavf0,path=${socket},id=0`, "--vdev=net_avfbe0,id=0,avf_emu_id=0"];
  let testpmd: Testpmd | undefined;
  try {
    testpmd = await Testpmd.start({ eal, app: ["--forward-mode=icmpecho"] });
    console.log(`testpmd (process ${testpmd.pid}) answers pings at ${socket}`);
    console.log(`QEMU ${lab.qemu.version} starts Linux ${lab.kernel.release}, which takes some seconds.`);
    console.log("To leave: 'exit' in the guest, or Ctrl-A X at any time.\n");
    const [program, ...first] = lab.qemu.argv;
    const guest = guestArguments(lab, { ...options, devices: [socket] }, "emudev.console");
    const qemu = new Child(program!, [...first, ...guest, "-serial", "mon:stdio"], { stdio: "inherit" });
    for (const signal of ["SIGTERM", "SIGHUP"] as const) process.once(signal, () => qemu.kill("SIGTERM"));
    process.on("SIGINT", () => {}); // Ctrl-C belongs to the guest
    const { code, signal } = await qemu.exited;
    console.log(`\nThe guest has ended${signal === null ? "" : ` by ${signal}`}.`);
    return code ?? 1;
  } finally {
    await testpmd?.quit();
    rmSync(folder, { recursive: true, force: true });
  }
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof LabError ? `npm run guest: ${error.message}` : error);
    process.exitCode = 1;
  },
);
