// Many guests in one process, as idle neighbours of the one that is measured: net_iavf ports whose queues are set up and
// enabled, and which no lcore polls. On request the first of them turns hostile, the second resets itself in a loop: stop,
// RESET_VF, configured and started anew, at RESETS_PER_SECOND, so that two of these processes take the same share of a CPU.
//   node guests.js CPU FIRST COUNT FOLDER     (forked: answers "ready", then takes the messages of Request)
import { setTimeout as sleep } from "node:timers/promises";
import { ealInit } from "@emudev/eal";
import { type EthDev, ethDevs } from "@emudev/ethdev";
import { drivers } from "@emudev/iavf-ethdev";
import { type Arena, Mempool } from "@emudev/shm";

export type Request = "hostile" | "resetting" | "idle" | "quit";

const QUEUES = 4;
const DESCS = 64;
/** The hostile guest has large rings, so that it can have much looked at. */
const DESCS_HOSTILE = 4096;
const SPOILS_PER_SECOND = 500;
/** The device needs 15 ms for one, and guest and device 10 ms each of a CPU that is not theirs alone. */
const RESETS_PER_SECOND = 10;

const { TXQ_RING, TXQ_DOORBELL } = (await import(
  new URL("../../../packages/iavf-ethdev/dist/layout/tx-queue.js", import.meta.url).href
)) as Record<"TXQ_RING" | "TXQ_DOORBELL", number>;

const [cpu = "0", first = "0", count = "0", folder = ""] = process.argv.slice(2);
const paths = Array.from({ length: Number(count) }, (_, i) => `${folder}/s${Number(first) + i}`);
const vdevs = paths.map((path, i) => `--vdev=net_iavf${i},path=${path}`);
const eal = await ealInit(["--lcores", `0@${cpu}`, "--in-memory", "-m", "256", "--log-level=error", ...vdevs], {
  drivers,
});
const pool = Mempool.createPktmbuf(eal.arena, "guests", { n: QUEUES * (DESCS * paths.length + DESCS_HOSTILE) });
const ports = ethDevs();
for (const [i, port] of ports.entries()) await up(port, i === 0 ? DESCS_HOSTILE : DESCS);

let doing: Request = "idle";
let turns = 0;
let working: Promise<void> = Promise.resolve();
let last: Promise<void> = Promise.resolve();
process.on("message", (request: Request) => {
  doing = request;
  last = last.then(async () => {
    await working;
    const before = turns;
    if (request === "quit") {
      await eal.cleanup();
      process.exit();
    }
    if (request === "hostile") working = loop(request, SPOILS_PER_SECOND, hostile(ports[0]!, eal.arena));
    if (request === "resetting") working = loop(request, RESETS_PER_SECOND, () => renew(ports[1]!));
    process.send?.(before);
  });
});
process.on("disconnect", () => process.exit());
process.send?.("ready");

/** Turns at a steady pace; one that is late is not made up for. */
async function loop(request: Request, perSecond: number, turn: () => Promise<void> | void): Promise<void> {
  for (let next = performance.now(); doing === request; turns++) {
    await turn();
    next = Math.max(next + 1000 / perSecond, performance.now());
    await sleep(next - performance.now());
  }
}

async function up(port: EthDev, descs: number): Promise<void> {
  await port.configure(QUEUES, QUEUES);
  for (let queue = 0; queue < QUEUES; queue++) {
    await port.rxQueueSetup(queue, DESCS, pool);
    await port.txQueueSetup(queue, descs);
  }
  await port.start();
}

async function renew(port: EthDev): Promise<void> {
  await port.stop();
  await port.reset();
  await up(port, DESCS);
}

/** Anything in the transmit rings, and tails anywhere. */
function hostile(port: EthDev, { u32 }: Arena): () => void {
  const queues = port.dataPort().tx.map((off) => ({
    ring: u32[(off + TXQ_RING) >>> 2]! >>> 2,
    tail: u32[(off + TXQ_DOORBELL) >>> 2]! >>> 2,
  }));
  const garbage = Uint32Array.from({ length: 4 * DESCS_HOSTILE }, () => Math.random() * 2 ** 32);
  // Every second descriptor says that it carries data: endless packets, of addresses that are nowhere.
  for (let at = 2; at < garbage.length; at += 8) garbage[at] = garbage[at]! & ~0x2f;
  return () => {
    for (const { ring, tail } of queues) {
      u32.set(garbage, ring);
      Atomics.store(u32, tail, Math.random() < 0.1 ? 0xffffffff : Math.floor(Math.random() * DESCS_HOSTILE));
    }
  };
}
