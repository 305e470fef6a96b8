// PCI configuration space (region 7) of a device: a type 0 header with BARs, and the capabilities PM, PCI Express and
// MSI-X. Reads and writes of any size at any offset act on bytes, as a bus with byte enables does; bits that a driver
// may not change keep their value. A device calls `read` and `write` from its regionRead and regionWrite.

import { refusal } from "../errors.ts";
import type { RegionSpec } from "../server/device.ts";
import { ERRNO, PCI_REGION, REGION_FLAG } from "../wire/constants.ts";
import { type Image, makeImage } from "./image.ts";
import { BAR_TYPE, COMMAND_BIT, HEADER, MSIX, PCIE } from "./registers.ts";
import { checkSpec, type PciConfigSpec, placeCapabilities } from "./spec.ts";

export class PciConfig {
  readonly bytes: number;
  #spec: PciConfigSpec;
  #image: Image;
  #now: DataView;
  #msixAt: number;
  #pcieAt: number;

  /** @throws VfioUserError VFU_ARGUMENT for a declaration that no hardware could be. */
  constructor(spec: PciConfigSpec) {
    checkSpec(spec);
    const places = placeCapabilities(spec);
    this.#spec = spec;
    this.#image = makeImage(spec, places);
    this.bytes = this.#image.initial.byteLength;
    this.#now = new DataView(this.#image.initial.buffer.slice(0) as ArrayBuffer);
    this.#msixAt = places.find(({ name }) => name === "msix")?.at ?? -1;
    this.#pcieAt = places.find(({ name }) => name === "pcie")?.at ?? -1;
  }

  /** The region to declare for it. */
  get region(): RegionSpec {
    return { index: PCI_REGION.CONFIG, size: this.bytes, flags: REGION_FLAG.READ | REGION_FLAG.WRITE };
  }

  /** Fills `into` from `offset`. @throws a refusal (EINVAL) outside the space. */
  read(offset: number, into: Uint8Array): void {
    this.#check(offset, into.length);
    into.set(new Uint8Array(this.#now.buffer, offset, into.length));
  }

  /** A promise only when the write started a Function Level Reset and onFlr returned one. @throws as `read`. */
  write(offset: number, data: Uint8Array): void | Promise<void> {
    this.#check(offset, data.length);
    const { command } = this;
    const msix = this.#msixControl;
    for (let i = 0; i < data.length; i++) this.#writeByte(offset + i, data[i] as number);
    if (this.#startsFlr(offset, data)) {
      this.reset();
      return this.#spec.onFlr?.();
    }
    if (this.command !== command) this.#spec.onCommand?.(this.command);
    if (this.#msixControl !== msix) this.#spec.onMsix?.({ enabled: this.msixEnabled, masked: this.msixMasked });
  }

  /** Back to the state after power-on: command 0, BARs unplaced, MSI-X off. Calls nobody. */
  reset(): void {
    new Uint8Array(this.#now.buffer).set(new Uint8Array(this.#image.initial.buffer));
  }

  get command(): number {
    return this.#now.getUint16(HEADER.COMMAND, true);
  }

  /** The driver lets the device answer to its memory BARs. */
  get memoryEnabled(): boolean {
    return (this.command & COMMAND_BIT.MEMORY) !== 0;
  }

  /** The driver lets the device do DMA and raise MSI-X. */
  get busMaster(): boolean {
    return (this.command & COMMAND_BIT.BUS_MASTER) !== 0;
  }

  get msixEnabled(): boolean {
    return (this.#msixControl & MSIX.ENABLE) !== 0;
  }

  get msixMasked(): boolean {
    return (this.#msixControl & MSIX.FUNCTION_MASK) !== 0;
  }

  /** Where the guest has placed a BAR; 0 for one that is not there or not placed. */
  barAddress(index: number): bigint {
    const bar = this.#spec.bars?.find((candidate) => candidate.index === index);
    if (bar === undefined) return 0n;
    const low = this.#now.getUint32(HEADER.BAR0 + 4 * index, true);
    if (bar.kind === "io") return BigInt((low & ~(BAR_TYPE.IO | 2)) >>> 0);
    const high = bar.kind === "mem64" ? this.#now.getUint32(HEADER.BAR0 + 4 * index + 4, true) : 0;
    return (BigInt(high) << 32n) | BigInt((low & ~0xf) >>> 0);
  }

  get #msixControl(): number {
    return this.#msixAt < 0 ? 0 : this.#now.getUint16(this.#msixAt + MSIX.CONTROL, true);
  }

  #writeByte(at: number, value: number): void {
    const old = this.#now.getUint8(at);
    const writable = this.#image.writable.getUint8(at);
    const cleared = value & this.#image.clears.getUint8(at);
    this.#now.setUint8(at, ((old & ~writable) | (value & writable)) & ~cleared);
  }

  #startsFlr(offset: number, data: Uint8Array): boolean {
    if (this.#pcieAt < 0 || !this.#spec.pcie?.flr) return false;
    const high = this.#pcieAt + PCIE.DEVICE_CONTROL + 1 - offset;
    return high >= 0 && high < data.length && ((data[high] as number) & (PCIE.START_FLR >> 8)) !== 0;
  }

  #check(offset: number, bytes: number): void {
    if (Number.isInteger(offset) && offset >= 0 && offset + bytes <= this.bytes) return;
    throw refusal(ERRNO.EINVAL, `configuration space has ${this.bytes} bytes; asked for ${bytes} at ${offset}`);
  }
}
