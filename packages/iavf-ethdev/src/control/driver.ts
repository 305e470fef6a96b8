// The vdev driver `net_iavf`: `--vdev=net_iavf0,path=/run/x.sock` makes a port of the AVF behind that socket, the guest's side
// of an emulated device without a guest.
import { randomBytes } from "node:crypto";
import { isMulticastMac, isZeroMac } from "@emudev/avf";
import type { DevargsOf, DevargsSchema, VdevDevice, VdevDriver } from "@emudev/eal";
import { type EthDev, ethDevAllocate, ethDevRelease } from "@emudev/ethdev";
import { Filters } from "./filters.ts";
import { DRIVER_NAME } from "./info.ts";
import { IavfPort } from "./port.ts";
import { Session } from "./session.ts";

const PARAMS = {
  path: { type: "path", required: true, help: "vfio-user socket of the device" },
  mac: { type: "mac", unicast: true, help: "address of the port instead of the device's own" },
  queues: { type: "uint", min: 1, max: 16, help: "most queue pairs to use" },
  reconnect: { type: "choice", choices: ["on", "off"], default: "on", help: "look for a server that went away" },
} as const satisfies DevargsSchema;

export const netIavf: VdevDriver = {
  name: DRIVER_NAME,
  alias: ["net_iavf_client", "iavf_client"],
  params: PARAMS,

  async probe(dev, eal) {
    const { path, mac, queues, reconnect } = dev.params as DevargsOf<typeof PARAMS>;
    const log = eal.log.child("pmd.net.iavf");
    let port: IavfPort | null = null;
    const session = new Session(eal, dev.name, log, { path, reconnect: reconnect === "on" });
    await session.open();
    try {
      const { numQueuePairs, vsi } = session.resources;
      if (queues !== undefined && queues > numQueuePairs)
        log.warning(`${dev.name}: the device has ${numQueuePairs} queue pairs, fewer than queues=${queues}`);
      const address = mac ?? ownAddress(vsi.mac);
      port = new IavfPort(eal, session, new Filters(session, address), log, Math.min(numQueuePairs, queues ?? 16));
      const ethDev = ethDevAllocate(dev.name, {
        ops: port,
        driverName: DRIVER_NAME,
        dataModule: new URL("../data/index.js", import.meta.url).href,
        mac: address,
        devargs: dev.devargs.text,
      });
      port.bind(ethDev);
      dev.private = ethDev;
    } catch (error) {
      await (port === null ? session.close() : port.close());
      throw error;
    }
  },

  async remove(dev: VdevDevice) {
    const ethDev = dev.private as EthDev;
    await ethDev.close();
    ethDevRelease(ethDev);
  },
};

/** The device's address, or a random one of our own where it has none, as Linux does. */
function ownAddress(mac: Uint8Array): Uint8Array {
  if (!isZeroMac(mac) && !isMulticastMac(mac)) return mac;
  const random = Uint8Array.from(randomBytes(6));
  random[0] = (random[0]! & 0xfe) | 0x02;
  return random;
}

export const drivers: VdevDriver[] = [netIavf];
