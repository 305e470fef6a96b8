// The values of the registers below the doorbells, as bytes that are read with any width, and written a double word at a
// time: drivers write the 64-bit ones in two halves. Which writes change something, and which are only kept, is in
// registers.ts; what they start is the business of controller.ts.
import { REGISTERS } from "./registers.ts";

const BYTES = 0x1000;

export class RegisterFile {
  readonly #bytes = new Uint8Array(BYTES);
  readonly #view = new DataView(this.#bytes.buffer);

  constructor() {
    this.reset();
  }

  reset(): void {
    this.#bytes.fill(0);
    for (const { offset, width, reset } of REGISTERS) {
      if (width === 8) this.#view.setBigUint64(offset, reset, true);
      else this.#view.setUint32(offset, Number(reset), true);
    }
  }

  get(offset: number): number {
    return this.#view.getUint32(offset, true);
  }

  set(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }

  /** A 64-bit register that holds an address. Addresses from 2^53 on, which no memory has, lose low bits. */
  address(offset: number): number {
    return this.get(offset) + this.get(offset + 4) * 2 ** 32;
  }

  /** Reads any bytes; what lies outside is 0. */
  read(offset: number, into: Uint8Array): void {
    if (offset < BYTES) into.set(this.#bytes.subarray(offset, offset + into.length));
  }

  /** Which register a double word belongs to; undefined where there is none. */
  static at(offset: number): (typeof REGISTERS)[number] | undefined {
    return REGISTERS.find((register) => offset >= register.offset && offset < register.offset + register.width);
  }
}
