// Named registers of a BAR: offset, width, value after reset, and what happens on a read or a write. Accesses narrower
// than a register act on its bytes; a write to a part of it comes to `write` as the whole new value. Used through
// BarDeclaration.registers.

import { VfioUserError } from "../errors.ts";
import { ERRNO } from "../wire/constants.ts";

export interface RegisterSpec {
  /** From the start of the BAR, a multiple of `bytes`. */
  offset: number;
  /** Default 4. */
  bytes?: 1 | 2 | 4;
  /** Default 0. */
  reset?: number;
  /** The guest's writes change nothing. */
  readOnly?: boolean;
  /** What the guest reads, instead of the stored value. */
  read?: () => number;
  /** The guest has written `value`. What it returns is stored; undefined: `value`. */
  write?: (value: number) => number | undefined;
}

/** `registers({ FACES: { offset: 0, reset: 6 }, ... })` */
export function registers<Name extends string>(specs: Readonly<Record<Name, RegisterSpec>>): RegisterFile<Name> {
  return new RegisterFile(specs);
}

interface Register {
  spec: RegisterSpec;
  bytes: number;
  value: number;
}

export class RegisterFile<Name extends string> {
  #named: Record<string, Register> = {};
  /** By each of their offsets. */
  #at = new Map<number, Register>();

  /** @throws VfioUserError VFU_ARGUMENT for registers that overlap, are not aligned, or make no sense. */
  constructor(specs: Readonly<Record<Name, RegisterSpec>>) {
    for (const [name, spec] of Object.entries<RegisterSpec>(specs)) {
      const { offset, bytes = 4, reset = 0 } = spec;
      const register: Register = { spec, bytes, value: reset >>> 0 };
      this.#named[name] = register;
      if (!(Number.isInteger(offset) && offset >= 0)) throw wrong(`${name} has no offset, a number of bytes from 0 up`);
      if (![1, 2, 4].includes(bytes)) throw wrong(`${name} has ${bytes} bytes; it may have 1, 2 or 4`);
      if (offset % bytes !== 0)
        throw wrong(
          `${name} at 0x${offset.toString(16)} is not aligned to its ${bytes} bytes (\`bytes\`, 4 by default)`,
        );
      if (reset >>> 0 > maskOf(bytes)) throw wrong(`${name}: reset value ${reset} does not fit in ${bytes} bytes`);
      for (let at = offset; at < offset + bytes; at++) {
        if (this.#at.has(at)) throw wrong(`${name} at 0x${offset.toString(16)} overlaps another`);
        this.#at.set(at, register);
      }
    }
  }

  /** One past the last register. */
  get end(): number {
    return Math.max(0, ...Object.values(this.#named).map(({ spec, bytes }) => spec.offset + bytes));
  }

  get(name: Name): number {
    return this.#register(name).value;
  }

  set(name: Name, value: number): void {
    const register = this.#register(name);
    register.value = (value & maskOf(register.bytes)) >>> 0;
  }

  /** Every register has its value after reset. */
  reset(): void {
    for (const register of Object.values(this.#named)) register.value = (register.spec.reset ?? 0) >>> 0;
  }

  /** A guest's access: 1, 2 or 4 aligned bytes; registers may be narrower or wider. */
  read(offset: number, bytes: number): number {
    let result = 0;
    for (let done = 0; done < bytes; ) {
      const register = this.#at.get(offset + done);
      const skip = register === undefined ? 0 : offset + done - register.spec.offset;
      const part = register === undefined ? 1 : Math.min(register.bytes - skip, bytes - done);
      if (register !== undefined) {
        const value = register.spec.read?.() ?? register.value;
        result |= ((value >>> (8 * skip)) & maskOf(part)) << (8 * done);
      }
      done += part;
    }
    return result >>> 0;
  }

  write(offset: number, value: number, bytes: number): void {
    for (let done = 0; done < bytes; ) {
      const register = this.#at.get(offset + done);
      const skip = register === undefined ? 0 : offset + done - register.spec.offset;
      const part = register === undefined ? 1 : Math.min(register.bytes - skip, bytes - done);
      if (register !== undefined && !register.spec.readOnly) {
        const mask = (maskOf(part) << (8 * skip)) >>> 0;
        const written = ((register.value & ~mask) | (((value >>> (8 * done)) << (8 * skip)) & mask)) >>> 0;
        const stored = register.spec.write?.(written) ?? written;
        register.value = (stored & maskOf(register.bytes)) >>> 0;
      }
      done += part;
    }
  }

  #register(name: Name): Register {
    const register = this.#named[name];
    if (register === undefined) throw wrong(`there is no ${name}; there are ${Object.keys(this.#named).join(", ")}`);
    return register;
  }
}

function maskOf(bytes: number): number {
  return bytes >= 4 ? 0xffffffff : 2 ** (8 * bytes) - 1;
}

function wrong(message: string): VfioUserError {
  return new VfioUserError("VFU_ARGUMENT", ERRNO.EINVAL, `registers: ${message}`);
}
