// Life cycle management, by device id: rte_emu_dev_configure, _start, _stop and _close of the RFC. Each checks the table
// of states.ts, lets the provider do it, and enters the new state when that succeeded. The RFC's close and stop return
// nothing; here, a failure of any of the four is thrown to the caller.
import { EmuDevError } from "./errors.ts";
import { type DeviceEntry, deviceById } from "./registry.ts";
import { type LifeEvent, legalEvents, next } from "./states.ts";
import type { Awaitable, EmuDev } from "./types.ts";

/**
 * Configures a device; again, while it is not started.
 * @param conf the device type's own
 * @throws EmuDevError EBUSY in states that do not allow it or while another of these calls is under way, ENODEV
 */
export function emuDevConfigure(devId: number, conf: unknown): Promise<void> {
  return transition(devId, "configure", (dev) => dev.ops.devConfigure(dev, conf));
}

/** Starts a configured or stopped device; does nothing for a started one. Errors as emuDevConfigure. */
export function emuDevStart(devId: number): Promise<void> {
  return transition(devId, "start", (dev) => dev.ops.devStart(dev));
}

/** Stops a started device; does nothing for a stopped one. Errors as emuDevConfigure. */
export function emuDevStop(devId: number): Promise<void> {
  return transition(devId, "stop", (dev) => dev.ops.devStop(dev));
}

/**
 * Closes a device for good, stopping it first if it is started. Only release follows.
 * @throws EmuDevError EBUSY, before anything is done, while a backend subscribes to it; others as emuDevConfigure
 */
export async function emuDevClose(devId: number): Promise<void> {
  const dev = deviceById(devId);
  if (dev.state !== "closed" && dev.subscriptions.length > 0)
    throw new EmuDevError("EBUSY", `${dev.name}: cannot be closed, a backend still subscribes to it; detach it first`);
  if (dev.state === "started") await emuDevStop(devId);
  return transition(devId, "close", (device) => device.ops.devClose(device));
}

async function transition(devId: number, event: LifeEvent, act: (dev: EmuDev) => Awaitable<void>): Promise<void> {
  const dev = deviceById(devId);
  const to = next(dev.state, event);
  if (to === null) throw illegal(dev, event, dev.state);
  if (dev.busy !== null) throw illegal(dev, event, dev.busy);
  if (to === dev.state && event !== "configure") return;
  dev.busy = `in the middle of ${event}`;
  try {
    await act(dev);
    dev.state = to;
  } finally {
    dev.busy = null;
  }
}

function illegal(dev: DeviceEntry, event: LifeEvent, where: string): EmuDevError {
  const legal = legalEvents(dev.state).join(", ") || "nothing";
  return new EmuDevError("EBUSY", `${dev.name}: cannot ${event} while ${where}; legal: ${legal}`);
}
