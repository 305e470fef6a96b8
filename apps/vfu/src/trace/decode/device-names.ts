// The names of one device's places, as they are learned from its conversation: a client reads the ids in configuration space
// before anything else, and from then on the registers of a known device have names. One for each connection.
import { PCI_REGION } from "@emudev/vfio-user";
import { type KnownDevice, knownDevice, nameAt } from "../../devices.ts";
import { ConfigNames } from "./config-names.ts";
import type { Names } from "./types.ts";

export class DeviceNames implements Names {
  readonly #config = new ConfigNames();
  #device: KnownDevice | null = null;

  /** Data of a REGION_READ's reply. */
  learn(region: number, offset: bigint, data: Uint8Array): void {
    if (region !== PCI_REGION.CONFIG || offset > 4096n) return;
    this.#config.learn(Number(offset), data);
    const { ids } = this.#config;
    this.#device = ids === null ? null : knownDevice(ids.vendorId, ids.deviceId);
  }

  at(region: number, offset: number): string | null {
    return region === PCI_REGION.CONFIG ? this.#config.at(offset) : nameAt(this.#device, region, offset);
  }
}
