// PCI configuration space (region 7) of a device: a type 0 header with BARs, and its capabilities. Reads and writes of any
// size at any offset act on bytes, as a bus with byte enables does; bits that a driver may not change keep their value. A
// write that could change nothing of a capability is refused, as libvfio-user does (refused.ts). A device calls `read` and
// `write` from its regionRead and regionWrite.

import { refusal } from "../errors.ts";
import type { RegionSpec } from "../server/device.ts";
import { ERRNO, PCI_REGION, REGION_FLAG } from "../wire/constants.ts";
import { type MsiSpec, msiLayout } from "./capability-spec.ts";
import { type Image, makeImage } from "./image.ts";
import { type Refused, refusedRanges } from "./refused.ts";
import { BAR_TYPE, COMMAND_BIT, HEADER, MSI, MSIX, PCIE, STATUS_INTERRUPT, VENDOR, VSEC } from "./registers.ts";
import { checkSpec, type PciConfigSpec, placeCapabilities, placeExtended } from "./spec.ts";

/** Data of a vendor-specific capability, whose writes the device wants to see. */
interface Watched {
  from: number;
  to: number;
  onWrite: (data: Uint8Array) => void;
}

export class PciConfig {
  readonly bytes: number;
  #spec: PciConfigSpec;
  #image: Image;
  #now: DataView;
  #msixAt = -1;
  #msiAt = -1;
  #msi: MsiSpec | null = null;
  /** Of the PCI Express capability, when it offers Function Level Reset. */
  #flrAt = -1;
  #refused: readonly Refused[];
  #watched: Watched[] = [];

  /** @throws VfioUserError VFU_ARGUMENT for a declaration that no hardware could be. */
  constructor(spec: PciConfigSpec) {
    checkSpec(spec);
    const places = placeCapabilities(spec);
    const extended = placeExtended(spec);
    this.#spec = spec;
    this.#image = makeImage(spec, places, extended);
    this.bytes = this.#image.initial.byteLength;
    this.#now = new DataView(this.#image.initial.buffer.slice(0) as ArrayBuffer);
    this.#refused = refusedRanges(places, extended);
    for (const { spec: each, at, bytes } of places) {
      if (each.kind === "msix") this.#msixAt = at;
      if (each.kind === "pcie" && each.flr) this.#flrAt = at;
      if (each.kind === "msi") [this.#msi, this.#msiAt] = [each, at];
      if (each.kind === "vendor") this.#watch(at + VENDOR.HEADER, at + bytes, each.onWrite);
    }
    for (const { spec: each, at, bytes } of extended) {
      if (each.kind === "vendor") this.#watch(at + VSEC.HEADER, at + bytes, each.onWrite);
    }
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

  /**
   * A promise only when the write started a Function Level Reset and onFlr returned one. @throws as `read`; EPERM or
   * ENOTSUP for a write to read-only parts of a capability alone, EINVAL for more MSI vectors than there are.
   */
  write(offset: number, data: Uint8Array): void | Promise<void> {
    this.#check(offset, data.length);
    this.#refuse(offset, data);
    const { command } = this;
    const msix = this.#msixControl;
    const msi = this.#msiState;
    for (let i = 0; i < data.length; i++) this.#writeByte(offset + i, data[i] as number);
    if (this.#startsFlr(offset, data)) {
      this.reset();
      return this.#spec.onFlr?.();
    }
    if (this.command !== command) this.#spec.onCommand?.(this.command);
    if (this.#msixControl !== msix) this.#spec.onMsix?.({ enabled: this.msixEnabled, masked: this.msixMasked });
    if (this.#msiState !== msi) {
      this.#spec.onMsi?.({ enabled: this.msiEnabled, vectors: this.msiVectors, mask: this.msiMask });
    }
    for (const { from, to, onWrite } of this.#watched) {
      if (offset < to && offset + data.length > from) onWrite(new Uint8Array(this.#now.buffer.slice(from, to)));
    }
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

  /** The driver does not want INTx from the device. */
  get intxDisabled(): boolean {
    return (this.command & COMMAND_BIT.INTX_DISABLE) !== 0;
  }

  /** The interrupt bit of the status register: the device wants service, whether or not INTx is disabled. */
  set interruptStatus(pending: boolean) {
    const status = this.#now.getUint16(HEADER.STATUS, true);
    this.#now.setUint16(HEADER.STATUS, pending ? status | STATUS_INTERRUPT : status & ~STATUS_INTERRUPT, true);
  }

  get msiEnabled(): boolean {
    return this.#msiAt >= 0 && (this.#now.getUint16(this.#msiAt + MSI.CONTROL, true) & MSI.ENABLE) !== 0;
  }

  /** MSI vectors that the driver has given the device. */
  get msiVectors(): number {
    if (this.#msiAt < 0) return 0;
    return 1 << ((this.#now.getUint16(this.#msiAt + MSI.CONTROL, true) >> MSI.ENABLED_SHIFT) & MSI.COUNT_MASK);
  }

  /** Bit n: MSI vector n is masked. 0 without mask bits. */
  get msiMask(): number {
    const at = this.#msi === null ? -1 : msiLayout(this.#msi).mask;
    return at < 0 ? 0 : this.#now.getUint32(this.#msiAt + at, true);
  }

  /** Bit n: MSI vector n waits to be unmasked. Without effect when there are no such bits. */
  set msiPending(bits: number) {
    const at = this.#msi === null ? -1 : msiLayout(this.#msi).pending;
    if (at >= 0) this.#now.setUint32(this.#msiAt + at, bits, true);
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

  /** Enable, count and mask in one number, to see whether they have changed. */
  get #msiState(): number {
    if (this.#msiAt < 0) return 0;
    return this.#now.getUint16(this.#msiAt + MSI.CONTROL, true) * 2 ** 32 + this.msiMask;
  }

  #watch(from: number, to: number, onWrite: Watched["onWrite"] | undefined): void {
    if (onWrite !== undefined) this.#watched.push({ from, to, onWrite });
  }

  /** Before anything is changed. */
  #refuse(offset: number, data: Uint8Array): void {
    const end = offset + data.length;
    const range = data.length === 0 ? undefined : this.#refused.find(({ from, to }) => offset >= from && end <= to);
    if (range !== undefined) throw refusal(range.errno, `0x${offset.toString(16)} lies in ${range.what}: read-only`);
    const control = this.#msiAt + MSI.CONTROL - offset;
    if (this.#msiAt < 0 || control < 0 || control >= data.length) return;
    const wanted = ((data[control] as number) >> MSI.ENABLED_SHIFT) & MSI.COUNT_MASK;
    const capable = Math.log2((this.#msi as MsiSpec).vectors);
    if (wanted > capable) throw refusal(ERRNO.EINVAL, `${2 ** wanted} MSI vectors of ${2 ** capable}`);
  }

  #writeByte(at: number, value: number): void {
    const old = this.#now.getUint8(at);
    const writable = this.#image.writable.getUint8(at);
    const cleared = value & this.#image.clears.getUint8(at);
    this.#now.setUint8(at, ((old & ~writable) | (value & writable)) & ~cleared);
  }

  #startsFlr(offset: number, data: Uint8Array): boolean {
    if (this.#flrAt < 0) return false;
    const high = this.#flrAt + PCIE.DEVICE_CONTROL + 1 - offset;
    return high >= 0 && high < data.length && ((data[high] as number) & (PCIE.START_FLR >> 8)) !== 0;
  }

  #check(offset: number, bytes: number): void {
    if (Number.isInteger(offset) && offset >= 0 && offset + bytes <= this.bytes) return;
    throw refusal(ERRNO.EINVAL, `configuration space has ${this.bytes} bytes; asked for ${bytes} at ${offset}`);
  }
}
