// The guest's side of a latency measurement as a process of its own: net_iavf on one CPU, against a device that sends every
// packet back. Arguments: socket, CPU, bytes, milliseconds; prints a line of JSON, a Trips, for full load and for each share
// of it. Started by bench.ts.

import { ealInit } from "@emudev/eal";
import { ethDevByName } from "@emudev/ethdev";
import { drivers as iavf } from "@emudev/iavf-ethdev";
import { Mempool } from "@emudev/shm";
import type { Pace, PacerArg } from "./pacer.ts";
import { SHARES, tripsOf } from "./trips.ts";

const [path, cpu, bytes, ms] = process.argv.slice(2);
const DESCRIPTORS = 1024;
const LINK_MS = 5000;

const eal = await ealInit(
  ["--lcores", `0@${cpu},1@${cpu}`, "--in-memory", "--poll-mode=busy", `--vdev=net_iavf0,path=${path}`],
  { drivers: iavf },
);
const port = ethDevByName("net_iavf0")!;
await port.configure(1, 1);
await port.rxQueueSetup(0, DESCRIPTORS, Mempool.createPktmbuf(eal.arena, "receive", { n: 8192 }));
await port.txQueueSetup(0, DESCRIPTORS);
await port.start();
for (const end = performance.now() + LINK_MS; !port.linkGet().up; await new Promise((done) => setTimeout(done, 50)))
  if (performance.now() > end) throw new Error("the link does not come up");
const pool = Mempool.createPktmbuf(eal.arena, "send", { n: 8192 });

const pace = async (perUs: number): Promise<Pace> => {
  // To itself: the device sends packets back as they are.
  const macs = [...port.macAddrGet(), 2, 0, 0, 0, 0, 0x77];
  const runUs = Number(ms) * 1000;
  const times = { warmUs: runUs / 4, runUs, drainUs: 500_000 };
  const arg: PacerArg = { port: port.dataPort(), pool: pool.off, bytes: Number(bytes), macs, perUs, ...times };
  return (await eal.lcores.launch(1, { module: new URL("./pacer.js", import.meta.url).href, arg })) as Pace;
};

const full = await pace(Number.POSITIVE_INFINITY);
console.log(JSON.stringify(tripsOf(1, full)));
for (const share of SHARES) console.log(JSON.stringify(tripsOf(share, await pace((share * full.pps) / 1e6))));
await eal.cleanup();
process.exit(0);
