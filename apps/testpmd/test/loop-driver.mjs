// A driver for the tests: `net_loop0,link=down,fail=stop`, a port whose transmit queue q feeds its own receive queue q through a ring.
// Its data module is that of the port class's tests. Run as a program it is testpmd with this driver alone.
import { eal } from "@emudev/eal";
import { ethDevAllocate, QSTATS_BYTES_TOTAL } from "@emudev/ethdev";
import { Ring } from "@emudev/shm";

const LIMITS = { min: 32, max: 4096, align: 1 };
const INFO = {
  driverName: "net_loop",
  minRxBufsize: 64,
  maxRxPktlen: 9018,
  maxRxQueues: 4,
  maxTxQueues: 4,
  rxOffloadCapa: [],
  txOffloadCapa: [],
  rxDescLim: LIMITS,
  txDescLim: LIMITS,
  defaultRxRingSize: 512,
  defaultTxRingSize: 512,
  speedCapa: [],
  retaSize: 0,
  hashKeySize: 0,
  minMtu: 68,
  maxMtu: 9000,
  maxMacAddrs: 1,
};

export const loopDriver = {
  name: "net_loop",
  params: {
    link: { type: "choice", choices: ["up", "down"], default: "up" },
    fail: { type: "choice", choices: ["probe", "stop"] },
  },
  async probe(dev) {
    if (dev.params.fail === "probe") throw new Error("told to fail");
    const { arena } = eal();
    const offs = { rx: [], tx: [] };
    const rings = [];
    let up = dev.params.link === "up";
    const queue = (side, q) => {
      rings[q] ??= Ring.create(arena, `${dev.name}_${q}`, 512).off;
      offs[side][q] ??= arena.memzoneReserve(`${dev.name}_${side}${q}`, QSTATS_BYTES_TOTAL + 64).off;
      arena.u32[(offs[side][q] + QSTATS_BYTES_TOTAL) >>> 2] = rings[q];
    };
    const ops = {
      infosGet: () => INFO,
      configure: () => {},
      rxQueueSetup: (q) => queue("rx", q),
      txQueueSetup: (q) => queue("tx", q),
      start: () => {},
      stop: () => (dev.params.fail === "stop" ? new Promise(() => {}) : undefined),
      close: () => {},
      linkGet: () => ({ up, speedMbps: 10000, fullDuplex: true, autoneg: false }),
      linkSet: (on) => {
        up = on;
        port.notify("lsc");
      },
      rxQueueOff: (q) => offs.rx[q],
      txQueueOff: (q) => offs.tx[q],
    };
    const dataModule = new URL("../../../packages/ethdev/test/loop-data.mjs", import.meta.url).href;
    const mac = Uint8Array.of(2, 0, 0, 0, 1, Number(dev.name.slice(-1)));
    const port = ethDevAllocate(dev.name, { ops, driverName: "net_loop", dataModule, mac, devargs: dev.devargs.text });
    dev.private = port;
  },
  remove: (dev) => dev.private.close(),
};

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const { run } = await import("../dist/run.js");
  await run(process.argv.slice(2), [loopDriver]);
}
