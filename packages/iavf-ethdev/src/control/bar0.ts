// The registers of the AVF, behind region 0 of the vfio-user device: 32-bit reads and writes by name. Every access is a
// message and its reply; only ring tails are written otherwise (doorbells.ts).
import { REG, type RegName } from "@emudev/avf";
import type { VfioUserClient } from "@emudev/vfio-user";

export const BAR0_REGION = 0;

export class Bar0 {
  readonly #client: VfioUserClient;

  constructor(client: VfioUserClient) {
    this.#client = client;
  }

  /** The value of a register's instance `index`. */
  async read(name: RegName, index = 0): Promise<number> {
    const bytes = await this.#client.regionRead(BAR0_REGION, offsetOf(name, index), 4);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  }

  /** Resolves when the device has taken the write. */
  async write(name: RegName, value: number, index = 0): Promise<void> {
    await this.#client.regionWrite(BAR0_REGION, offsetOf(name, index), wordOf(value));
  }

  /** Sends a write that nobody answers. */
  async post(name: RegName, value: number, index = 0): Promise<void> {
    await this.#client.regionWrite(BAR0_REGION, offsetOf(name, index), wordOf(value), { posted: true });
  }
}

const offsetOf = (name: RegName, index: number): number => REG[name].offset + REG[name].stride * index;

function wordOf(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value >>> 0, true);
  return bytes;
}
