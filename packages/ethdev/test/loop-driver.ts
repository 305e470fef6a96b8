// The tests' driver: ports that loop back through rings, with every optional operation, which it records.

import { eal } from "@emudev/eal";
import { Ring } from "@emudev/shm";
import {
  type EthDev,
  type EthDevInfo,
  type EthDevOps,
  type EthStats,
  ethDevAllocate,
  QSTATS_BYTES_TOTAL,
} from "../src/index.ts";

export const LOOP_INFO: EthDevInfo = {
  driverName: "net_loop",
  minRxBufsize: 1024,
  maxRxPktlen: 9018,
  maxRxQueues: 2,
  maxTxQueues: 2,
  rxOffloadCapa: ["VLAN_STRIP"],
  txOffloadCapa: [],
  rxDescLim: { min: 64, max: 1024, align: 32 },
  txDescLim: { min: 64, max: 1024, align: 32 },
  defaultRxRingSize: 256,
  defaultTxRingSize: 512,
  speedCapa: [],
  retaSize: 0,
  hashKeySize: 0,
  minMtu: 68,
  maxMtu: 9000,
  maxMacAddrs: 3,
};

export interface LoopPort {
  dev: EthDev;
  calls: string[];
  /** What statsExtra and xstats answer. */
  extra: Partial<EthStats>;
  xstats: [string, number][];
  up: boolean;
  failNext: boolean;
}

let made = 0;

/** Makes a port; `without` names operations that the driver shall not have. */
export function loopPort(name: string, without: (keyof EthDevOps)[] = []): LoopPort {
  const { arena } = eal();
  const zones: string[] = [];
  const rings: number[] = [];
  const offs = { rx: [] as number[], tx: [] as number[] };
  const port = { calls: [], extra: {}, xstats: [], up: true, failNext: false } as unknown as LoopPort;
  const call = (text: string) => {
    port.calls.push(text);
    if (!port.failNext) return;
    port.failNext = false;
    throw new Error("driver said no");
  };
  const queue = (side: "rx" | "tx", q: number) => {
    rings[q] ??= Ring.create(arena, `loop${made++}`, 1024).off;
    const zone = arena.memzoneReserve(`loop${made++}`, QSTATS_BYTES_TOTAL + 64);
    zones.push(zone.name);
    arena.u32[(zone.off + QSTATS_BYTES_TOTAL) >>> 2] = rings[q];
    offs[side][q] = zone.off;
  };
  const ops: EthDevOps = {
    infosGet: () => LOOP_INFO,
    configure: (rx, tx) => call(`configure ${rx} ${tx}`),
    rxQueueSetup: (q, n) => {
      call(`rx ${q} ${n}`);
      queue("rx", q);
    },
    txQueueSetup: (q, n) => {
      call(`tx ${q} ${n}`);
      queue("tx", q);
    },
    start: async () => call("start"),
    stop: async () => call("stop"),
    close: async () => call("close"),
    reset: async () => call("reset"),
    linkGet: () => ({ up: port.up, speedMbps: 10000, fullDuplex: true, autoneg: false }),
    linkSet: (up) => call(`link ${up}`),
    statsExtra: () => port.extra,
    xstats: () => port.xstats,
    promiscuousSet: (on) => call(`promiscuous ${on}`),
    allmulticastSet: (on) => call(`allmulticast ${on}`),
    mtuSet: (mtu) => call(`mtu ${mtu}`),
    macAddrSet: (mac) => call(`mac ${mac}`),
    macAddrAdd: (mac) => call(`mac+ ${mac}`),
    macAddrRemove: (mac) => call(`mac- ${mac}`),
    vlanOffloadSet: (kind, on) => call(`vlan ${kind} ${on}`),
    vlanFilterSet: (vlan, on) => call(`vlan ${vlan} ${on}`),
    rxQueueOff: (q) => offs.rx[q]!,
    txQueueOff: (q) => offs.tx[q]!,
  };
  for (const op of without) delete ops[op];
  const dataModule = new URL("./loop-data.mjs", import.meta.url).href;
  port.dev = ethDevAllocate(name, { ops, driverName: "net_loop", dataModule, mac: Uint8Array.of(2, 0, 0, 0, 0, made) });
  return port;
}
