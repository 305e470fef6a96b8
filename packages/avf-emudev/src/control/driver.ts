// The vdev driver `emu_iavf`: `--vdev=emu_iavf0,path=/run/x.sock,id=0` makes an emudev of that id, listening on the socket.
// A backend (net_avfbe) finds it by the id. Registers the telemetry paths of its devices.
import { capName } from "@emudev/avf";
import type { Eal, VdevDevice, VdevDriver } from "@emudev/eal";
import { type EmuDev, emuDevAllocate, emuDevClose, emuDevConfigure, emuDevRelease, emuDevStart } from "@emudev/emudev";
import { AvfDevice } from "./device.ts";
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
    client: attributes.get("client"),
    state: device.resets.state,
    granted: capName(vf.caps),
    queues: enabledQueues(vf).length,
    link: attributes.get("link_up") ? `up ${attributes.get("link_speed")} Mbps` : "down",
    counters: { ...device.counters },
    vfio_user: { ...device.server.stats },
  };
}

function announce(eal: Eal): void {
  const { telemetry } = eal;
  if (announced.has(eal)) return;
  announced.add(eal);
  telemetry.register("/emu_iavf/list", "Lists the emulated AVFs.", () => [...devices.keys()]);
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
