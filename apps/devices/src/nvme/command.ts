// One submission queue entry, 64 bytes (NVM Express Base Specification 1.4, 4.2), copied out of the host's memory before
// anything looks at it. Addresses are numbers: no memory lies at or above 2^53, and an address that does is not found.
import { demand, STATUS } from "./status.ts";

export const ENTRY_BYTES = 64;

export const ADMIN = {
  DELETE_SQ: 0x00,
  CREATE_SQ: 0x01,
  GET_LOG_PAGE: 0x02,
  DELETE_CQ: 0x04,
  CREATE_CQ: 0x05,
  IDENTIFY: 0x06,
  ABORT: 0x08,
  SET_FEATURES: 0x09,
  GET_FEATURES: 0x0a,
  ASYNC_EVENT_REQUEST: 0x0c,
} as const;

export const NVM = {
  FLUSH: 0x00,
  WRITE: 0x01,
  READ: 0x02,
  WRITE_ZEROES: 0x08,
  DATASET_MANAGEMENT: 0x09,
} as const;

export class Command {
  readonly #view: DataView;

  /** `entries` is the command's own copy; entry `index` of it. */
  constructor(entries: Uint8Array, index: number) {
    this.#view = new DataView(entries.buffer, entries.byteOffset + index * ENTRY_BYTES, ENTRY_BYTES);
  }

  get opcode(): number {
    return this.#view.getUint8(0);
  }
  get id(): number {
    return this.#view.getUint16(2, true);
  }
  get namespace(): number {
    return this.#view.getUint32(4, true);
  }
  get prp1(): number {
    return addressAt(this.#view, 24);
  }
  get prp2(): number {
    return addressAt(this.#view, 32);
  }

  /** Command double word 10 to 15. */
  word(number: number): number {
    return this.#view.getUint32(4 * number, true);
  }

  /** Throws for what no command of this controller may carry: fused operations, scatter gather lists. */
  checkForm(): void {
    const flags = this.#view.getUint8(1);
    demand((flags & 0x03) === 0, STATUS.INVALID_FIELD, "fused operations are not offered");
    demand((flags & 0xc0) === 0, STATUS.INVALID_FIELD, "scatter gather lists are not offered");
  }
}

/** A 64-bit address in the host's memory. */
export function addressAt(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
}
