// The calls that "should be called by emulated device provider": rte_emu_dev_allocate, _release and _allocated of the RFC,
// and emuNotify, through which a provider fills the event channels that the RFC only declares.
import { EmuDevError } from "./errors.ts";
import { eventName } from "./events.ts";
import { addDevice, entryOf, findDevice, removeDevice } from "./registry.ts";
import { legalEvents, next } from "./states.ts";
import type { EmuDev, EmuDevOps } from "./types.ts";

/**
 * Enters a new device into the table, in state unconfigured.
 * @param opts id: the wanted id, by default the lowest free one; privData: the provider's own
 * @throws EmuDevError EEXIST when the name or the id is taken, EINVAL for an id out of range
 */
export function emuDevAllocate(name: string, ops: EmuDevOps, opts: { id?: number; privData?: unknown } = {}): EmuDev {
  return addDevice(name, ops, opts.id, opts.privData);
}

/**
 * Takes a device out of the table; its id is free after it.
 * @throws EmuDevError EBUSY unless it is unconfigured or closed and nobody subscribes to it, ENODEV when it was released
 */
export function emuDevRelease(dev: EmuDev): void {
  const entry = entryOf(dev);
  if (next(entry.state, "release") === null || entry.busy !== null) {
    const legal = legalEvents(entry.state).join(", ");
    throw new EmuDevError(
      "EBUSY",
      `${dev.name}: cannot be released while ${entry.busy ?? entry.state}; legal: ${legal}`,
    );
  }
  if (entry.subscriptions.length > 0)
    throw new EmuDevError(
      "EBUSY",
      `${dev.name}: cannot be released, a backend still subscribes to it; detach it first`,
    );
  entry.state = "released";
  removeDevice(entry);
}

/** The device of a name, undefined when there is none. */
export function emuDevAllocated(name: string): EmuDev | undefined {
  return findDevice(name);
}

/**
 * Sends an event to every subscriber and wakes it.
 * @param type EMU_DEV_EVENT_*; arg: 0..65535
 * @returns resolves when each subscriber has answered (emuEventDone) or left; at once without subscribers. A subscriber
 *   that has not answered after 1 s is named in the log, and the wait goes on.
 */
export async function emuNotify(dev: EmuDev, type: number, arg = 0): Promise<void> {
  const entry = entryOf(dev);
  if (!Number.isInteger(type) || type < 1 || type > 255 || !Number.isInteger(arg) || arg < 0 || arg > 0xffff)
    throw new EmuDevError(
      "EINVAL",
      `${dev.name}: ${eventName(type)}(${arg}) is no event: type 1..255, argument 0..65535`,
    );
  await Promise.all(entry.subscriptions.map((subscription) => subscription.send(dev.name, type, arg)));
}
