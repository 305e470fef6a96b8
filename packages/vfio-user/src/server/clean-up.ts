// What happens after a client has left, at whatever instant: callbacks that still run come to their end, then its
// memory maps go, then its interrupts, then the device is reset, each through the device's own callbacks and each
// awaited. A callback that fails is logged and the rest goes on: the next client must find a clean device.

import type { Clock, Log } from "../environment.ts";
import { unmapAll } from "./commands/dma.ts";
import { unbind } from "./commands/irqs.ts";
import type { VfioUserDevice } from "./device.ts";
import type { Session } from "./session.ts";

/** After this a callback that keeps the device from its next client is named in the log. */
const LATE_MS = 1000;

/** Never rejects. */
export async function cleanUp(
  session: Session,
  device: VfioUserDevice,
  where: string,
  log: Log,
  clock: Clock,
): Promise<void> {
  const step = async (name: string, action: () => unknown): Promise<void> => {
    const cancel = clock.after(LATE_MS, () => {
      const what = session.current ?? name;
      log.warning(`${where}: the device is still busy with ${what} of a client that has left; the next one waits`);
    });
    try {
      await action();
    } catch (error) {
      log.error(`${where}: ${name} failed after a client left: ${(error as Error)?.stack ?? error}`);
    }
    cancel();
  };
  await step("a command", () => session.settled());
  const { context } = session;
  if (context === null) return;
  context.irqs.masks.close();
  await step("leaving", () => device.leaving?.());
  await step("dirtyLog.stop", () => context.dirtyLog?.stop());
  await step("dmaUnmapAll", () => unmapAll(context));
  for (const { index } of context.irqs.bound()) await step("setIrqs", () => unbind(context, index));
  await step("reset", () => device.reset("disconnect"));
  await step("disconnected", () => device.disconnected?.());
}
