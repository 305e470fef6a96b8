// The demo's bookkeeping: what became of every packet that one side handed to its driver. Each drop comes from a counter of
// the place where it happens; what is missing after them is unaccounted for, and makes the demo fail.
import type { Counts } from "./messages.ts";

export interface Flow {
  /** Packets handed to the sender's driver. */
  sent: number;
  received: number;
  receivedBytes: number;
  /** By "side: counter", zeros left out. */
  drops: Record<string, number>;
  /** sent - received - drops: 0 when every packet is known. */
  unaccounted: number;
}

/** The flow from one side to the other, `names` being what they are called. */
export function flow(from: Counts, to: Counts, names: { from: string; to: string }): Flow {
  const drops: Record<string, number> = {};
  const add = (side: string, counts: Record<string, number>): void => {
    for (const [name, count] of Object.entries(counts)) if (count !== 0) drops[`${side}: ${name}`] = count;
  };
  add(names.from, from.outDrops);
  add(names.to, to.inDrops);
  const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0);
  const { handed: sent } = from;
  const { received, receivedBytes } = to;
  return { sent, received, receivedBytes, drops, unaccounted: sent - received - dropped };
}

/** Whether nothing more will come: nothing waits, and two reports are equal. */
export function isQuiet(before: readonly Counts[], now: readonly Counts[]): boolean {
  return now.every((counts, i) => {
    const last = before[i]!;
    return counts.waiting === 0 && counts.received === last.received && counts.handed === last.handed;
  });
}
