// What `show rxq-assignment` prints: each lcore with its queues and the share of its time that each took, as far as that was
// measured (`set lcore-rebalance`).
import type { FwdStream } from "../control/forwarding.ts";

/** Where loads come from. */
export interface Loads {
  everyMs: number;
  moves: number;
  load(stream: FwdStream): number;
}

export function rxqAssignment(lcores: readonly { id: number; streams: readonly FwdStream[] }[], loads: Loads): string {
  const percent = (share: number): string => `${Math.round(100 * share)} %`;
  const lines = [
    `Rebalancing: ${loads.everyMs === 0 ? "off" : `every ${loads.everyMs} ms`}, ${loads.moves} streams moved so far`,
  ];
  for (const { id, streams } of lcores) {
    const sum = streams.reduce((total, stream) => total + loads.load(stream), 0);
    lines.push(`Logical Core ${id}: ${streams.length} streams, ${percent(sum)} of its time`);
    for (const stream of streams)
      lines.push(
        `  RX P=${stream.rxPort}/Q=${stream.rxQueue} -> TX P=${stream.txPort}/Q=${stream.txQueue}: ${percent(loads.load(stream))}`,
      );
  }
  return `${lines.join("\n")}\n`;
}
