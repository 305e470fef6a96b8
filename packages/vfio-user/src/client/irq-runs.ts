// How a list of eventfds is divided over DEVICE_SET_IRQS messages: each has only bound vectors or only unbound ones,
// and no more fds than the server takes with one message, as QEMU does it.

export interface IrqRun {
  /** Position of the first vector in the list. */
  at: number;
  count: number;
  bound: boolean;
}

export function irqRuns(fds: readonly number[], maxFds: number): IrqRun[] {
  const runs: IrqRun[] = [];
  for (let at = 0; at < fds.length; ) {
    const bound = (fds[at] as number) >= 0;
    const max = bound ? Math.min(at + maxFds, fds.length) : fds.length;
    let end = at + 1;
    while (end < max && (fds[end] as number) >= 0 === bound) end++;
    runs.push({ at, count: end - at, bound });
    at = end;
  }
  return runs;
}
