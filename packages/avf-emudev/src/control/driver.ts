// The vdev driver `emu_iavf`: `--vdev=emu_iavf0,path=/run/x.sock,id=0` makes an emudev of that id, listening on the socket.
// A backend (net_avfbe) finds it by the id. Registers the telemetry paths of its devices.
import type { Eal, VdevDevice, VdevDriver } from "@emudev/eal";
import { type EmuDev, emuDevAllocate, emuDevClose, emuDevConfigure, emuDevRelease, emuDevStart } from "@emudev/emudev";
import { AvfDevice } from "./device.ts";
import { ops } from "./ops.ts";
import { defaultMac, PARAMS, type Params } from "./params.ts";

const devices = new Map<string, AvfDevice>();
const announced = new WeakSet<Eal>();

async function probe(vdev: VdevDevice, eal: Eal): Promise<void> {
  const params = vdev.params as Params;
  const dev = emuDevAllocate(vdev.name, ops, params.id === undefined ? {} : { id: params.id });
  try {
    const device = new AvfDevice(eal, dev, params, params.mac ?? defaultMac(dev.id));
    dev.privData = device;
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

async function takeDown(dev: EmuDev): Promise<void> {
  devices.delete(dev.name);
  if (dev.state !== "unconfigured") await emuDevClose(dev.id);
  else await (dev.privData as AvfDevice | undefined)?.close();
  emuDevRelease(dev);
}

function announce(eal: Eal): void {
  const { telemetry } = eal;
  if (announced.has(eal)) return;
  announced.add(eal);
  telemetry.register("/emu_iavf/list", "Lists the emulated AVFs.", () => [...devices.keys()]);
  telemetry.register("/emu_iavf/counters", "Counters of an emulated AVF. Parameter: its name.", (name) => {
    const device = devices.get(name);
    return device === undefined ? null : { state: device.state, ...device.counters, vfio_user: device.server.stats };
  });
}

export const drivers: VdevDriver[] = [
  {
    name: "emu_iavf",
    params: PARAMS,
    probe,
    remove: (vdev) => takeDown(vdev.private as EmuDev),
  },
];
