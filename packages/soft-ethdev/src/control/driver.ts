// How a soft port becomes a vdev driver: probe makes the port and enters it into the port table, remove closes it. What
// a driver takes on the way (files, memory, places in a table) it notes in a list of how to give it back, which is
// worked off when the port closes, and as well when the probe fails half-way. Shared by the four drivers.
import type { DevargsSchema, Eal, VdevDevice, VdevDriver } from "@emudev/eal";
import { type EthDev, ethDevAllocate } from "@emudev/ethdev";
import { type Held, release } from "./held.ts";
import type { SoftPort } from "./soft-port.ts";

const dataModule = new URL("../data/index.js", import.meta.url).href;
let made = 0;

/** A locally administered address, different for every port of the process. */
const nextMac = (): Uint8Array => Uint8Array.of(0x02, 0x53, 0x4f, 0x46, 0x54, made++ & 0xff);

/** @param make builds the port; what it takes it adds to `held`, released when it throws or when the port closes */
export function softDriver(
  name: string,
  params: DevargsSchema,
  make: (vdev: VdevDevice, eal: Eal, held: Held) => { port: SoftPort; mac?: Uint8Array | undefined },
  alias: readonly string[] = [],
): VdevDriver {
  return {
    name,
    alias,
    params,
    async probe(vdev, eal) {
      const held: Held = [];
      try {
        const { port, mac } = make(vdev, eal, held);
        vdev.private = ethDevAllocate(vdev.name, {
          ops: port,
          driverName: name,
          dataModule,
          mac: mac ?? nextMac(),
          devargs: vdev.devargs.text,
        });
      } catch (error) {
        release(held);
        throw error;
      }
    },
    async remove(vdev) {
      await (vdev.private as EthDev).close();
    },
  };
}
