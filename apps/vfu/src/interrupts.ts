// A device's interrupts as a client gets them: an eventfd for every vector that takes one, and a callback for what comes. Used by
// watch and shell.
import { closeFd, eventfd, eventfdRead, watch as watchFd } from "@emudev/linux";
import { IRQ_FLAG, type VfioUserClient } from "@emudev/vfio-user";
import type { Context } from "./command.ts";
import { irqName } from "./names.ts";

/** Vectors of one index that are bound at most; a process has only so many fds. */
const VECTORS_MAX = 256;

export type OnInterrupt = (irq: string, vector: number, times: number) => void;

/** Binds all of them. @returns what unbinds them */
export async function bindAll(
  client: VfioUserClient,
  { warn }: Pick<Context, "warn">,
  onInterrupt: OnInterrupt,
): Promise<() => Promise<void>> {
  const fds: number[] = [];
  const watchers: { close(): void }[] = [];
  const bound: number[] = [];
  const { numIrqs } = await client.getInfo();
  for (let index = 0; index < numIrqs; index++) {
    const { count, flags } = await client.getIrqInfo(index);
    if (count === 0 || (flags & IRQ_FLAG.EVENTFD) === 0) continue;
    if (count > VECTORS_MAX) warn(`${irqName(index)}: of ${count} vectors the first ${VECTORS_MAX} are watched`);
    const own = Array.from({ length: Math.min(count, VECTORS_MAX) }, () => eventfd());
    fds.push(...own);
    for (const [vector, fd] of own.entries()) {
      watchers.push(
        watchFd(fd, { readable: true }, () => {
          const times = eventfdRead(fd);
          if (times > 0) onInterrupt(irqName(index), vector, times);
        }),
      );
    }
    await client.setIrqs(index, 0, own);
    bound.push(index);
  }
  if (bound.length === 0) warn("the device has no interrupts that could be watched");
  else warn(`watching ${bound.map(irqName).join(", ")}: ${fds.length} vectors`);
  return async () => {
    for (const watcher of watchers) watcher.close();
    if (client.open) for (const index of bound) await client.disableIrqs(index).catch(() => {});
    for (const fd of fds) closeFd(fd);
  };
}
