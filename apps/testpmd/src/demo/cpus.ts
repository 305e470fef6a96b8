// Which CPUs the demo's threads use: the two polling lcores on different ones where there are two, the main lcores, which are
// idle, wherever the other side's lcore is.
export interface Placement {
  device: { main: number; worker: number };
  guest: { main: number; worker: number };
}

/** @param cpus CPUs that this process may use, one or more */
export function place(cpus: readonly number[]): Placement {
  const first = cpus[0]!;
  const second = cpus[1] ?? first;
  // With more CPUs the main lcores get out of the way.
  const third = cpus[2] ?? second;
  const fourth = cpus[3] ?? cpus[2] ?? first;
  return { device: { main: third, worker: first }, guest: { main: fourth, worker: second } };
}

/** EAL's `--lcores`: main lcore 0, polling lcore 1. */
export const lcores = ({ main, worker }: { main: number; worker: number }): string => `0@${main},1@${worker}`;
