// The guest's side of a latency measurement: net_iavf polling on one CPU, a started port with one queue each way, and a pool to
// send from. Used by the probes of the latency and the idle bench, processes of their own.
import { ealInit } from "@emudev/eal";
import { ethDevByName } from "@emudev/ethdev";
import { drivers as iavf } from "@emudev/iavf-ethdev";
import { Mempool } from "@emudev/shm";

const DESCRIPTORS = 1024;
const LINK_MS = 5000;

export async function openGuest(path: string, cpu: string) {
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
  // To itself: the device sends packets back as they are.
  const macs = [...port.macAddrGet(), 2, 0, 0, 0, 0, 0x77];
  return { eal, port, pool: pool.off, macs };
}
