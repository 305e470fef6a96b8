// Which queue feeds which: streams from ports, queues and topology, and their spread over lcores, as DPDK testpmd's
// rss_fwd_config_setup does. Pure functions, called by forwarding.ts. A topology pairs ports one to one, so no transmit
// queue ever has two lcores.
import { FWD_MODES, type FwdModeName } from "../fwd/modes.ts";
import type { PortTopology } from "./config.ts";

export interface StreamPlan {
  rxPort: number;
  rxQueue: number;
  txPort: number;
  txQueue: number;
}

/** The port that packets from ports[i] go to. */
export function peerPort(ports: readonly number[], i: number, topology: PortTopology): number {
  switch (topology) {
    case "loop":
      return ports[i]!;
    case "chained":
      return ports[(i + 1) % ports.length]!;
    case "paired":
      return ports[i ^ 1] ?? ports[i]!; // an odd last port is its own peer
  }
}

/**
 * Plans the streams: for each queue, one of each port.
 * @param rxq receive queues that every port has; txq transmit queues
 */
export function planStreams(
  mode: FwdModeName,
  ports: readonly number[],
  rxq: number,
  txq: number,
  topology: PortTopology,
): StreamPlan[] {
  const { receives, sends } = FWD_MODES[mode];
  const queues = receives && sends ? Math.min(rxq, txq) : receives ? rxq : txq;
  const plans: StreamPlan[] = [];
  for (let queue = 0; queue < queues; queue++)
    ports.forEach((port, i) => {
      const txPort = mode === "icmpecho" ? port : peerPort(ports, i, topology);
      plans.push({ rxPort: port, rxQueue: queue, txPort, txQueue: queue });
    });
  return plans;
}

/** Spreads items over at most `n` lcores, the last ones getting one more where it does not come out even. */
export function spread<T>(items: readonly T[], n: number): T[][] {
  const lcores = Math.min(n, items.length);
  const shares: T[][] = [];
  let next = 0;
  for (let i = 0; i < lcores; i++) {
    const share = Math.floor(items.length / lcores) + (i >= lcores - (items.length % lcores) ? 1 : 0);
    shares.push(items.slice(next, next + share));
    next += share;
  }
  return shares;
}
