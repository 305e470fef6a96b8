// The device table: one per process, by id and by name, which the RFC declares as a bare array of unsaid length. The three
// API files (provider.ts, lifecycle.ts, backend.ts) look devices up here; nothing outside this package does.
import { EmuDevError } from "./errors.ts";
import type { EmuDevSubscription } from "./events.ts";
import { EMU_DEV_MAX } from "./limits.ts";
import type { State } from "./states.ts";
import type { EmuDev, EmuDevOps } from "./types.ts";

/** An EmuDev as this package sees it. */
export interface DeviceEntry extends EmuDev {
  state: State;
  subscriptions: EmuDevSubscription[];
  /** The life cycle call that is under way, null = none. */
  busy: string | null;
}

const devices = new Map<number, DeviceEntry>();

/** Enters a device under `id`, or the lowest free id. */
export function addDevice(name: string, ops: EmuDevOps, id: number | undefined, privData: unknown): DeviceEntry {
  if (name === "") throw new EmuDevError("EINVAL", "emudev: a device needs a name");
  if (findDevice(name)) throw new EmuDevError("EEXIST", `emudev: there is a device named '${name}' already`);
  const wanted = id ?? lowestFreeId();
  if (!Number.isInteger(wanted) || wanted < 0 || wanted >= EMU_DEV_MAX)
    throw new EmuDevError("EINVAL", `${name}: id ${wanted} is not between 0 and ${EMU_DEV_MAX - 1}`);
  const holder = devices.get(wanted);
  if (holder) throw new EmuDevError("EEXIST", `${name}: id ${wanted} is taken by '${holder.name}'; choose another id=`);
  const entry: DeviceEntry = { id: wanted, name, ops, state: "unconfigured", privData, subscriptions: [], busy: null };
  devices.set(wanted, entry);
  return entry;
}

export function removeDevice(dev: DeviceEntry): void {
  devices.delete(dev.id);
}

export function findDevice(name: string): DeviceEntry | undefined {
  for (const dev of devices.values()) if (dev.name === name) return dev;
  return undefined;
}

/** The device of an id, or EmuDevError ENODEV naming those there are. */
export function deviceById(devId: number): DeviceEntry {
  const dev = devices.get(devId);
  if (dev) return dev;
  const ids = [...devices.keys()].sort((a, b) => a - b).join(", ");
  throw new EmuDevError("ENODEV", `emudev: no device with id ${devId}; ids in use: ${ids || "none"}`);
}

/** The table's entry behind what emuDevAllocate returned; EmuDevError ENODEV after its release. */
export function entryOf(dev: EmuDev): DeviceEntry {
  const entry = devices.get(dev.id);
  if (entry === dev) return entry;
  throw new EmuDevError("ENODEV", `emudev: device '${dev.name}' was released`);
}

export function allDevices(): DeviceEntry[] {
  return [...devices.values()].sort((a, b) => a.id - b.id);
}

function lowestFreeId(): number {
  let id = 0;
  while (devices.has(id)) id++;
  return id;
}
