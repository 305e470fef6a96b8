// What the application is set to do: the options of the command line, changed afterwards by the console's `set` commands.
// Defaults are DPDK testpmd's.
import type { FwdModeName } from "../fwd/modes.ts";

export const PORT_TOPOLOGIES = ["paired", "chained", "loop"] as const;
export type PortTopology = (typeof PORT_TOPOLOGIES)[number];

export interface Config {
  mode: FwdModeName;
  /** Packets that a transmit queue does not accept are offered again. */
  retry: boolean;
  /** Packets a burst. */
  burst: number;
  /** Receive and transmit queues of each port. */
  rxq: number;
  txq: number;
  /** Descriptors of each queue, 0 = the driver's default. */
  rxd: number;
  txd: number;
  /** Bytes of the segments of txonly's packets. */
  txpkts: number[];
  /** Forwarding lcores to use at most. */
  nbCores: number;
  /** The ports that forward, null = all. */
  portlist: number[] | null;
  topology: PortTopology;
  /** By port, the one that also gets what it receives. */
  mirrors: Map<number, number>;
  verbose: number;
  /** Turns of forwarding lcores are timed; sizes of bursts are counted. */
  recordCoreCycles: boolean;
  recordBurstStats: boolean;
  /** Addresses of the peers that mode mac and txonly send to, by port. */
  ethPeers: Map<number, Uint8Array>;
  /** Bytes of headroom and data room of an mbuf. */
  mbufSize: number;
  /** undefined = as many as the queues need. */
  totalMbufs: number | undefined;
  /** mbufs in each lcore's cache. */
  mbcache: number;
  /** Bytes of the longest frame, undefined = MTU 1500. */
  maxPktLen: number | undefined;
}

export function defaultConfig(): Config {
  return {
    mode: "io",
    retry: false,
    burst: 32,
    rxq: 1,
    txq: 1,
    rxd: 0,
    txd: 0,
    txpkts: [64],
    nbCores: 1,
    portlist: null,
    topology: "paired",
    mirrors: new Map(),
    verbose: 0,
    recordCoreCycles: false,
    recordBurstStats: false,
    ethPeers: new Map(),
    mbufSize: 2048 + 128,
    totalMbufs: undefined,
    mbcache: 250,
    maxPktLen: undefined,
  };
}

/** The peer of a port: set, or DPDK's default 02:00:00:00:00:<port>. */
export function ethPeer(config: Config, portId: number): Uint8Array {
  return config.ethPeers.get(portId) ?? Uint8Array.of(2, 0, 0, 0, 0, portId);
}
