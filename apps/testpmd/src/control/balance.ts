// Which lcore is to poll what, by measured load: pure functions, called by rebalance.ts with what the lcores counted. A unit
// is what cannot be divided: the streams that send to one transmit queue. Few moves, none that gains less than the
// hysteresis, and none that makes the fullest lcore fuller: so what fluctuates stays where it is.

export interface Move {
  unit: number;
  /** Index of an lcore. */
  to: number;
}

/** Moves that are made at a time. */
export const MOVES_MAX = 4;
/** Share of an lcore's time that a move must take off the fuller one. */
export const HYSTERESIS = 0.05;

/**
 * @param loads of each unit: share of an lcore's time
 * @param places index of the lcore of each
 */
export function balance(loads: readonly number[], places: readonly number[], lcores: number): Move[] {
  const sums = new Array<number>(lcores).fill(0);
  for (const [unit, load] of loads.entries()) sums[places[unit]!]! += load;
  const moved = new Set<number>();
  const moves: Move[] = [];
  while (moves.length < MOVES_MAX) {
    const from = sums.indexOf(Math.max(...sums));
    const to = sums.indexOf(Math.min(...sums));
    const gap = sums[from]! - sums[to]!;
    // What a move takes off the fuller of the two: its load, or what of the gap it leaves where it overshoots.
    const gain = (unit: number): number => Math.min(loads[unit]!, gap - loads[unit]!);
    let best = -1;
    for (const unit of loads.keys())
      if (places[unit] === from && !moved.has(unit) && (best < 0 || gain(unit) > gain(best))) best = unit;
    if (best < 0 || gain(best) < HYSTERESIS) return moves;
    sums[from]! -= loads[best]!;
    sums[to]! += loads[best]!;
    moved.add(best);
    moves.push({ unit: best, to });
  }
  return moves;
}
