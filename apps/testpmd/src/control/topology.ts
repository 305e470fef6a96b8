// Which queue feeds which: streams from ports, queues and topology, and their spread over lcores, as DPDK testpmd's
// rss_fwd_config_setup does. Pure functions, called by forwarding.ts. A topology pairs ports one to one; where several streams
// send to one transmit queue all the same (mode flood, mirrors), they share an lcore, so that no queue ever has two.
import { FWD_MODES, type FwdModeName } from "../fwd/modes.ts";
import type { PortTopology } from "./config.ts";

export interface StreamPlan {
  rxPort: number;
  rxQueue: number;
  txPort: number;
  txQueue: number;
  /** Ports that get every packet too, at the same queue. */
  copies: readonly number[];
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
 * @param mirrors by port, the one that also gets what it receives
 */
export function planStreams(
  mode: FwdModeName,
  ports: readonly number[],
  rxq: number,
  txq: number,
  topology: PortTopology,
  mirrors: ReadonlyMap<number, number> = new Map(),
): StreamPlan[] {
  const { receives, sends } = FWD_MODES[mode];
  const queues = receives && sends ? Math.min(rxq, txq) : receives ? rxq : txq;
  const plans: StreamPlan[] = [];
  for (let queue = 0; queue < queues; queue++)
    ports.forEach((port, i) => {
      const [txPort, ...others] = targets(mode, ports, i, topology);
      const mirror = mirrors.get(port);
      const copies =
        mirror === undefined || mirror === txPort || others.includes(mirror) ? others : [...others, mirror];
      plans.push({ rxPort: port, rxQueue: queue, txPort: txPort!, txQueue: queue, copies });
    });
  return plans;
}

/** The ports that packets from ports[i] go to, at least one. */
function targets(mode: FwdModeName, ports: readonly number[], i: number, topology: PortTopology): number[] {
  const port = ports[i]!;
  if (mode === "icmpecho") return [port];
  if (mode !== "flood" || ports.length === 1) return [peerPort(ports, i, topology)];
  return ports.filter((other) => other !== port);
}

/** Groups of streams that send to the same transmit queues, directly or through others; each stream is in one. */
export function sharing<T extends StreamPlan>(plans: readonly T[]): T[][] {
  let groups: { queues: string[]; plans: T[] }[] = [];
  for (const plan of plans) {
    const queues = [plan.txPort, ...plan.copies].map((port) => `${port}/${plan.txQueue}`);
    const meets = (group: { queues: string[] }): boolean => group.queues.some((queue) => queues.includes(queue));
    const together = [...groups.filter(meets), { queues, plans: [plan] }];
    const merged = { queues: together.flatMap((group) => group.queues), plans: together.flatMap(({ plans }) => plans) };
    groups = [...groups.filter((group) => !meets(group)), merged];
  }
  return groups.map((group) => group.plans);
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

/** The lcores after streams, known by their records, went to one of them. */
export function moved<S extends { off: number; lcoreId: number }, L extends { id: number; streams: readonly S[] }>(
  lcores: readonly L[],
  streams: readonly S[],
  lcoreId: number,
): L[] {
  const gone = new Set(streams.map(({ off }) => off));
  const arrived = streams.map((stream) => ({ ...stream, lcoreId }));
  return lcores.map((lcore) => ({
    ...lcore,
    streams: [...lcore.streams.filter(({ off }) => !gone.has(off)), ...(lcore.id === lcoreId ? arrived : [])],
  }));
}
