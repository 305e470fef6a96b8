// A process with an environment, a fake device behind a socket and a port on it: what the driver's tests start from.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ealInit, type VdevDevice } from "@emudev/eal";
import { makeLcoreEnv } from "@emudev/eal/data";
import type { EthDev } from "@emudev/ethdev";
import { type DataPortHandle, openPort } from "@emudev/ethdev/data";
import { Mempool } from "@emudev/shm";
import { drivers } from "../src/index.ts";
import { FakeAvf, type FakeOptions } from "./fake-avf.ts";

const folder = mkdtempSync(join(tmpdir(), "iavf-"));
export const lines: string[] = [];
export const eal = await ealInit(["--in-memory", "-l", "0", "--log-level", "pmd.*:debug"], {
  drivers,
  logWrite: (line) => lines.push(line),
});
export const pool = Mempool.createPktmbuf(eal.arena, "p", { n: 4096 });
const { main } = eal.lcores;
/** The main lcore, standing in for a polling one. */
export const env = makeLcoreEnv(eal.arena, eal.qsbr, main.id, main.index, main.off);
export const pkts = eal.arena.memzoneReserve("pkts", 4096).off;
let serial = 0;

export async function endEal(): Promise<void> {
  await eal.cleanup();
  rmSync(folder, { recursive: true, force: true });
}

export interface Rig {
  fake: FakeAvf;
  device: VdevDevice;
  dev: EthDev;
  events: string[];
  open(): Promise<DataPortHandle>;
  end(): Promise<void>;
}

export const socketPath = (): string => join(folder, `s${serial++}`);

export async function makeRig(options: FakeOptions = {}, devargs = ""): Promise<Rig> {
  const path = socketPath();
  const fake = new FakeAvf(path, options);
  const device = await eal.vdev.attach(`net_iavf${serial},path=${path}${devargs}`);
  const dev = device.private as EthDev;
  const events: string[] = [];
  for (const event of ["lsc", "reset", "rmv", "errRecovering", "recoverySuccess", "recoveryFailed"] as const)
    dev.on(event, () => events.push(event));
  return {
    fake,
    device,
    dev,
    events,
    open: () => openPort(env, dev.dataPort()),
    async end() {
      if (eal.vdev.find(device.name) !== undefined) await eal.vdev.detach(device.name);
      await fake.stop();
    },
  };
}

export async function startPort(dev: EthDev, queues = 1, descriptors = 0): Promise<void> {
  await dev.configure(queues, queues);
  for (let q = 0; q < queues; q++) {
    await dev.rxQueueSetup(q, descriptors, pool);
    await dev.txQueueSetup(q, descriptors);
  }
  await dev.start();
}

/** Waits for something that another turn of the event loop brings about. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 8000; i++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error(`still waiting: ${what}`);
}
