// What a port is to its driver and to applications: the operations that a driver implements, and the plain objects that go
// in and out. The names are rte_ethdev's (struct eth_dev_ops, rte_eth_dev_info, rte_eth_link, rte_eth_stats) in camelCase.
import type { Mempool } from "@emudev/shm";

/** Limits of the descriptors of a queue. */
export interface DescLim {
  min: number;
  max: number;
  /** A number of descriptors must be a multiple of it. */
  align: number;
}

export interface EthDevInfo {
  driverName: string;
  /** Bytes that an mbuf of an Rx queue must have room for. */
  minRxBufsize: number;
  /** Bytes of the longest frame, without CRC. */
  maxRxPktlen: number;
  maxRxQueues: number;
  maxTxQueues: number;
  rxOffloadCapa: readonly string[];
  txOffloadCapa: readonly string[];
  rxDescLim: DescLim;
  txDescLim: DescLim;
  /** Descriptors of a queue set up with 0. */
  defaultRxRingSize: number;
  defaultTxRingSize: number;
  /** True for a driver that keeps no mbuf from one burst to the next, so that a mempool need not have its descriptors' number. */
  keepsNoMbufs?: boolean;
  /** Mbps; empty = any. */
  speedCapa: readonly number[];
  /** Entries of the RSS redirection table, 0 = none. */
  retaSize: number;
  /** Bytes of the RSS key, 0 = none. */
  hashKeySize: number;
  minMtu: number;
  maxMtu: number;
  maxMacAddrs: number;
}

export interface EthLink {
  up: boolean;
  /** 0 = none or unknown */
  speedMbps: number;
  fullDuplex: boolean;
  autoneg: boolean;
}

/** The counters of rte_eth_stats. */
export interface EthStats {
  ipackets: number;
  opackets: number;
  ibytes: number;
  obytes: number;
  /** Packets lost for want of a descriptor or a ring slot. */
  imissed: number;
  ierrors: number;
  /** Packets that a driver took for transmission and did not send. */
  oerrors: number;
  rx_nombuf: number;
}

export interface EthConf {
  mtu?: number;
  rxOffloads?: readonly string[];
  txOffloads?: readonly string[];
}

export interface EthQueueConf {
  offloads?: readonly string[];
}

type Done = Promise<void> | void;

/** What a driver implements. Every operation is called in the main thread, one at a time for a port. */
export interface EthDevOps {
  infosGet(): EthDevInfo;
  configure(nbRx: number, nbTx: number, conf: EthConf): Done;
  /** `nbDesc` is checked against the limits and never 0. */
  rxQueueSetup(queue: number, nbDesc: number, pool: Mempool, conf: EthQueueConf): Done;
  txQueueSetup(queue: number, nbDesc: number, conf: EthQueueConf): Done;
  start(): Done;
  /** Resolves when nothing of the port is in use by an lcore any more. */
  stop(): Done;
  close(): Done;
  /** The port is to be closed at once: an operation that waits for its device rejects, and no other one is waited for. */
  abandon?(): void;
  /** Back to the state after probe, ids kept. */
  reset?(): Done;
  /** Goes on with another device that is reached by `path`, started or not; bursts return 0 meanwhile. With the path of the present
   * one: when that makes way for it, which is waited for. */
  migrate?(path: string, waitMs: number): Done;
  linkGet(): EthLink;
  /** For people: how the connection to the device stands, of a driver that has one. */
  connectionGet?(): string;
  linkSet?(up: boolean): Done;
  /** Counts that the queues' counters do not hold; added to them. */
  statsExtra?(): Partial<EthStats>;
  statsReset?(): void;
  xstats?(): readonly (readonly [name: string, value: number])[];
  promiscuousSet?(on: boolean): Done;
  allmulticastSet?(on: boolean): Done;
  mtuSet?(mtu: number): Done;
  macAddrSet?(mac: Uint8Array): Done;
  macAddrAdd?(mac: Uint8Array): Done;
  macAddrRemove?(mac: Uint8Array): Done;
  vlanOffloadSet?(kind: "strip" | "filter", on: boolean): Done;
  vlanFilterSet?(vlan: number, on: boolean): Done;
  /** Arena offset of the queue's state, which starts with the counters of layout/queue-stats.ts; valid after its set-up. */
  rxQueueOff(queue: number): number;
  txQueueOff(queue: number): number;
}

/**
 * Events of a port: `lsc` link state change, `reset` the device asks for EthDev.reset, `rmv` the device is gone, `queueState`
 * a queue was enabled or disabled by the other side, `new` and `destroy` of the port itself. A driver that brings its device
 * back by itself says `errRecovering` when it begins, then `recoverySuccess`, or `recoveryFailed`: then the port is of no use
 * until it is reset.
 */
export type EthDevEvent =
  | "lsc"
  | "reset"
  | "rmv"
  | "queueState"
  | "new"
  | "destroy"
  | "errRecovering"
  | "recoverySuccess"
  | "recoveryFailed";

/** A port as plain data, for the threads that poll it. */
export interface DataPort {
  portId: number;
  /** File URL of the driver's data module. */
  module: string;
  /** Arena offsets of the receive queues' states. */
  rx: number[];
  tx: number[];
}
