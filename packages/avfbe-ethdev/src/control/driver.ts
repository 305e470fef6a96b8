// The vdev driver `net_avfbe`: `--vdev=net_avfbe0,id=0,avf_emu_id=0` makes an ethdev port that moves the packets of emulated
// device 0. The device may stand before or behind it on the command line. Registered by applications.
import type { DevargsOf, Eal, VdevDevice, VdevDriver } from "@emudev/eal";
import { emuGetDevInfo } from "@emudev/emudev";
import { type EthDev, ethDevAllocate } from "@emudev/ethdev";
import { AvfbeError } from "./errors.ts";
import { AvfbePort } from "./port.ts";

const PARAMS = {
  id: { type: "uint", max: 255, help: "index of this backend, for its MAC address" },
  avf_emu_id: { type: "uint", max: 1023, required: true, help: "id= of the emulated AVF (emu_iavf) behind the port" },
  rss: { type: "bool", default: true, help: "spread packets over the guest's receive queues as its RSS settings say" },
  mac: { type: "mac", unicast: true, help: "MAC address of the port, not of the guest" },
} as const;

/** Taken backends by the device they serve. */
const taken = new Map<number, string>();

export const avfbeDriver: VdevDriver = {
  name: "net_avfbe",
  alias: ["avfbe_ethdev"],
  params: PARAMS,

  after(dev, all) {
    const { avf_emu_id } = dev.params as DevargsOf<typeof PARAMS>;
    return all.filter((other) => other.driver.name.startsWith("emu_") && other.params.id === avf_emu_id);
  },

  async probe(dev: VdevDevice, eal: Eal): Promise<void> {
    const params = dev.params as DevargsOf<typeof PARAMS>;
    const devId = params.avf_emu_id;
    checkDevice(devId);
    taken.set(devId, dev.name);
    try {
      const port = new AvfbePort(eal, dev.name, devId, params.rss);
      try {
        await port.attach();
        const mac = params.mac ?? new Uint8Array([0x02, 0x41, 0x56, 0x46, 0x42, params.id ?? devId & 0xff]);
        const dataModule = new URL("../data/index.js", import.meta.url).href;
        const ethDev = ethDevAllocate(dev.name, {
          ops: port,
          driverName: "net_avfbe",
          dataModule,
          mac,
          devargs: dev.devargs.text,
        });
        port.portId = ethDev.portId;
        port.onLinkChange = () => ethDev.notify("lsc");
        dev.private = ethDev;
      } catch (error) {
        await port.close();
        throw error;
      }
    } catch (error) {
      taken.delete(devId);
      throw error;
    }
  },

  async remove(dev: VdevDevice): Promise<void> {
    const { avf_emu_id } = dev.params as DevargsOf<typeof PARAMS>;
    await (dev.private as EthDev).close();
    taken.delete(avf_emu_id);
  },
};

function checkDevice(devId: number): void {
  const holder = taken.get(devId);
  if (holder !== undefined)
    throw new AvfbeError("DEVARGS", `avf_emu_id=${devId} is served by ${holder} already; one backend a device`);
  let devType: string;
  try {
    ({ devType } = emuGetDevInfo(devId));
  } catch (cause) {
    const hint = `add --vdev=emu_iavf${devId},path=...,id=${devId}`;
    throw new AvfbeError("DEVARGS", `avf_emu_id=${devId} names no emulated device; ${hint}`, { cause });
  }
  if (devType !== "avf")
    throw new AvfbeError("DEVICE", `device ${devId} is of type '${devType}'; net_avfbe serves 'avf' alone`);
}

export const drivers: VdevDriver[] = [avfbeDriver];
