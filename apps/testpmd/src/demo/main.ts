// `npm start`: starts the device's and the guest's process, lets them send for a while, shows rates, lets both sides drain, and
// settles the account. Exit code 0 only if every packet sent was received or counted as dropped where it was dropped. The
// children, the socket and its folder never outlive it, whatever ends it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getAffinity } from "@emudev/linux";
import { lcores, place } from "./cpus.ts";
import type { Setup, Side } from "./messages.ts";
import { type DemoOptions, parseOptions } from "./options.ts";
import { type Outcome, run } from "./run.ts";
import { SideProcess } from "./side.ts";
import { explain, totals } from "./table.ts";

const CRC = 4;
/** Addresses of the card, which is the guest's, and of whoever is on the network behind it. */
const GUEST_MAC = [2, 0, 0, 0, 0, 1];
const NETWORK_MAC = [2, 0, 0, 0, 0, 2];

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  const say = options.json ? (_line: string) => {} : (line: string) => console.log(line);
  const folder = mkdtempSync(join(tmpdir(), "emudev-demo-"));
  const socket = join(folder, "avf.sock");
  const cpus = place(getAffinity());
  const sides = (["device", "guest"] as const).map(
    (side) =>
      new SideProcess(setupOf(side, options, folder, socket, lcores(cpus[side])), (text) => say(`${side}: ${text}`)),
  );
  const [device, guest] = sides as [SideProcess, SideProcess];
  const end = new AbortController();
  const killAll = (): void => {
    for (const side of sides) side.kill();
    rmSync(folder, { recursive: true, force: true });
  };
  const interrupt = (): void => {
    if (end.signal.aborted) {
      killAll();
      process.exit(130);
    }
    end.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  process.on("SIGHUP", interrupt);
  process.on("exit", killAll);
  try {
    const polling =
      cpus.device.worker === cpus.guest.worker
        ? "There is one CPU for both polling threads, so they take turns."
        : `One thread polls on CPU ${cpus.device.worker} for the device, one on CPU ${cpus.guest.worker} for the guest.`;
    for (const line of explain(options.mode, socket, { device: device.pid, guest: guest.pid }, polling)) say(line);
    const outcome = await run(options, device, guest, end.signal, say);
    report(options, outcome);
    return outcome.ok ? 0 : 1;
  } finally {
    // The guest first: it says goodbye to the device.
    for (const side of [guest, device]) await side.quit();
    rmSync(folder, { recursive: true, force: true });
  }
}

function setupOf(side: Side, options: DemoOptions, folder: string, socket: string, lcoreList: string): Setup {
  const vdevs = {
    device: [`--vdev=emu_iavf0,path=${socket},id=0,mac=${GUEST_MAC.join(":")}`, "--vdev=net_avfbe0,id=0,avf_emu_id=0"],
    guest: [`--vdev=net_iavf0,path=${socket},reconnect=off`],
  };
  return {
    type: "setup",
    side,
    eal: ["--in-memory", "--log-level=warning", "--lcores", lcoreList, ...vdevs[side]],
    port: { device: "net_avfbe0", guest: "net_iavf0" }[side],
    folder,
    peer: { device: GUEST_MAC, guest: NETWORK_MAC }[side],
    bytes: options.size - CRC,
    burst: options.burst,
  };
}

function report(options: DemoOptions, { flows, seconds, drained, ok, held }: Outcome): void {
  if (options.json) {
    const { mode, size, burst } = options;
    const rates = Object.fromEntries(
      Object.entries(flows).map(([name, flow]) => [name, { ...flow, pps: flow.received / seconds }]),
    );
    console.log(JSON.stringify({ mode, size, burst, seconds, drained, flows: rates, held, ok }));
    return;
  }
  console.log(`\nAfter ${seconds.toFixed(1)} s of packets of ${options.size} bytes:`);
  for (const [name, flow] of Object.entries(flows)) for (const line of totals(name, flow, seconds)) console.log(line);
  if (!drained) console.log("the two sides did not come to rest within the time allowed");
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  },
);
