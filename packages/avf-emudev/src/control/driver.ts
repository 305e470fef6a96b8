// The vdev driver `emu_iavf`: `--vdev=emu_iavf0,path=/run/x.sock,id=0` makes an emudev of that id, listening on the socket.
// A backend (net_avfbe) finds it by the id. Registers the telemetry paths of its devices.
import { capName } from "@emudev/avf";
import type { Eal, VdevDevice, VdevDriver } from "@emudev/eal";
import { type EmuDev, emuDevAllocate, emuDevClose, emuDevConfigure, emuDevRelease, emuDevStart } from "@emudev/emudev";
import { AvfDevice } from "./device.ts";
import { EmuIavfError } from "./errors.ts";
import { ops } from "./ops.ts";
import { addressOf, checkParams, defaultMac, PARAMS, type Params } from "./params.ts";
import { StateFile } from "./state/state-file.ts";
import { enabledQueues } from "./vf.ts";

const devices = new Map<string, AvfDevice>();
const announced = new WeakSet<Eal>();

async function probe(vdev: VdevDevice, eal: Eal): Promise<void> {
  const params = vdev.params as Params;
  checkParams(vdev.name, params);
  const dev = emuDevAllocate(vdev.name, ops, params.id === undefined ? {} : { id: params.id });
  try {
    const device = makeDevice(eal, dev, params);
    dev.privData = device;
    await device.keeper?.restore();
    await emuDevConfigure(dev.id, params);
    await emuDevStart(dev.id);
    devices.set(vdev.name, device);
  } catch (error) {
    await takeDown(dev).catch(() => {});
    throw error;
  }
  vdev.private = dev;
  announce(eal);
}

function makeDevice(eal: Eal, dev: EmuDev, params: Params): AvfDevice {
  const file = params.state === undefined ? null : StateFile.open(params.state, eal.arena);
  try {
    return new AvfDevice(eal, dev, params, params.mac ?? defaultMac(dev.id), file);
  } catch (error) {
    file?.close();
    throw error;
  }
}

async function takeDown(dev: EmuDev): Promise<void> {
  devices.delete(dev.name);
  if (dev.state !== "unconfigured") await emuDevClose(dev.id);
  else await (dev.privData as AvfDevice | undefined)?.close();
  emuDevRelease(dev);
}

/** What a device is doing, for consoles and telemetry; null when there is none of that name. */
export function show(name: string): Record<string, unknown> | null {
  const device = devices.get(name);
  if (device === undefined) return null;
  const { attributes, vf } = device;
  return {
    name,
    path: addressOf(device.params),
    state_file: device.params.state ?? null,
    client: attributes.get("client"),
    state: device.resets.state,
    granted: capName(vf.caps),
    queues: enabledQueues(vf).length,
    link: device.linkUp ? `up ${attributes.get("link_speed")} Mbps` : "down",
    faults: device.faults.list(),
    counters: { ...device.counters },
    windows: { ...device.memory.demand },
    vfio_user: { ...device.server.stats },
  };
}

/** The emulated AVFs of this process. */
export const names = (): string[] => [...devices.keys()];

/**
 * Makes a device misbehave: `injectFault("emu_iavf0", ["drop", "ENABLE_QUEUES", "1"])`; FAULT_KINDS has the words.
 * @returns the faults that are in effect, when this one is
 * @throws EmuIavfError FAULT for a device or a fault that is not there
 */
export async function injectFault(name: string, words: readonly string[]): Promise<string[]> {
  const device = devices.get(name);
  if (device === undefined)
    throw new EmuIavfError("FAULT", `there is no emulated AVF '${name}'; there are ${names().join(", ") || "none"}`);
  await device.faults.inject(words);
  return device.faults.list();
}

/** For telemetry, which does not wait. Parameters: the device, then the fault, with commas. */
function faultByTelemetry(params: string): unknown {
  const [name = "", ...words] = params.split(",");
  const device = devices.get(name);
  if (device === undefined) return null;
  try {
    if (words.length > 0) void device.faults.inject(words).catch((error) => device.faults.failed(error));
  } catch (error) {
    return { error: (error as Error).message };
  }
  return { faults: device.faults.list() };
}

function announce(eal: Eal): void {
  const { telemetry } = eal;
  if (announced.has(eal)) return;
  announced.add(eal);
  telemetry.register("/emu_iavf/list", "Lists the emulated AVFs.", names);
  const help =
    "Makes an emulated AVF misbehave, or lists its faults. Parameters: its name, a fault, the fault's arguments.";
  telemetry.register("/emu_iavf/fault", help, faultByTelemetry);
  telemetry.register("/emu_iavf/info", "State and counters of an emulated AVF. Parameter: its name.", show);
}

export const drivers: VdevDriver[] = [
  {
    name: "emu_iavf",
    params: PARAMS,
    probe,
    remove: (vdev) => takeDown(vdev.private as EmuDev),
  },
];
