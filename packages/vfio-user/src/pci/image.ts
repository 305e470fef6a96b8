// The bytes of a configuration space after reset, and for every bit who may change it: `writable` by the driver,
// `clears` by writing 1. Everything else is read-only, which also makes BAR sizing work: the address bits below a
// BAR's size never change.

import { type MsiSpec, type MsixSpec, msiLayout, type PcieSpec } from "./capability-spec.ts";
import {
  BAR_TYPE,
  CAP_ID,
  COMMAND_WRITABLE,
  DSN,
  EXT_CAP_ID,
  EXTENDED,
  HEADER,
  MSI,
  MSIX,
  PCIE,
  PM,
  ROM,
  STATUS_CAPABILITIES,
  STATUS_W1C,
  VENDOR,
  VSEC,
} from "./registers.ts";
import type { BarSpec, CapabilityPlace, ExtendedPlace, PciConfigSpec } from "./spec.ts";
import { spaceBytes } from "./spec.ts";

export interface Image {
  initial: DataView;
  writable: DataView;
  clears: DataView;
}

/** PCI Express endpoint; link 8 GT/s x16 as read from both capability and status. */
const LINK_SPEED_WIDTH = 3 | (16 << 4);
/** Link Capabilities 2: 2.5, 5 and 8 GT/s. */
const LINK_SPEEDS = 0b1110;

export function makeImage(
  spec: PciConfigSpec,
  places: readonly CapabilityPlace[],
  extended: readonly ExtendedPlace[],
): Image {
  const bytes = spaceBytes(spec);
  const image: Image = {
    initial: new DataView(new ArrayBuffer(bytes)),
    writable: new DataView(new ArrayBuffer(bytes)),
    clears: new DataView(new ArrayBuffer(bytes)),
  };
  putHeader(image, spec);
  for (const bar of spec.bars ?? []) putBar(image, bar);
  if (places.length > 0) putChain(image, places);
  for (const place of places) putCapability(image, place);
  extended.forEach((place, i) => {
    putExtended(image, place, extended[i + 1]?.at ?? 0);
  });
  return image;
}

function putCapability(image: Image, { spec, at }: CapabilityPlace): void {
  switch (spec.kind) {
    case "pm":
      putPm(image, at);
      break;
    case "pcie":
      putPcie(image, at, spec);
      break;
    case "msi":
      putMsi(image, at, spec);
      break;
    case "msix":
      putMsix(image, at, spec);
      break;
    case "vendor":
      image.initial.setUint8(at, CAP_ID.VENDOR);
      image.initial.setUint8(at + VENDOR.LENGTH, VENDOR.HEADER + spec.data.length);
      putData(image, at + VENDOR.HEADER, spec);
  }
}

function putExtended(image: Image, { spec, at }: ExtendedPlace, next: number): void {
  const { initial } = image;
  const id = spec.kind === "dsn" ? EXT_CAP_ID.DSN : EXT_CAP_ID.VENDOR;
  initial.setUint32(at, (id | EXTENDED.VERSION_1 | (next << EXTENDED.NEXT_SHIFT)) >>> 0, true);
  if (spec.kind === "dsn") {
    initial.setBigUint64(at + DSN.SERIAL, spec.serial, true);
    return;
  }
  const length = (VSEC.HEADER + spec.data.length) << VSEC.LENGTH_SHIFT;
  initial.setUint32(at + VSEC.ID, (spec.id | ((spec.revision ?? 0) << VSEC.REVISION_SHIFT) | length) >>> 0, true);
  putData(image, at + VSEC.HEADER, spec);
}

function putData(image: Image, at: number, spec: { data: Uint8Array; writable?: Uint8Array | true }): void {
  const { data, writable } = spec;
  new Uint8Array(image.initial.buffer).set(data, at);
  if (writable === true) new Uint8Array(image.writable.buffer).fill(0xff, at, at + data.length);
  else if (writable !== undefined) new Uint8Array(image.writable.buffer).set(writable, at);
}

function putHeader({ initial, writable, clears }: Image, spec: PciConfigSpec): void {
  initial.setUint16(HEADER.VENDOR_ID, spec.vendorId, true);
  initial.setUint16(HEADER.DEVICE_ID, spec.deviceId, true);
  initial.setUint32(HEADER.REVISION_ID, ((spec.classCode << 8) | (spec.revisionId ?? 0)) >>> 0, true);
  initial.setUint16(HEADER.SUBSYSTEM_VENDOR_ID, spec.subsystemVendorId ?? 0, true);
  initial.setUint16(HEADER.SUBSYSTEM_ID, spec.subsystemId ?? 0, true);
  initial.setUint8(HEADER.INTERRUPT_PIN, spec.interruptPin ?? 0);
  writable.setUint16(HEADER.COMMAND, COMMAND_WRITABLE, true);
  clears.setUint16(HEADER.STATUS, STATUS_W1C, true);
  writable.setUint8(HEADER.CACHE_LINE_SIZE, 0xff);
  writable.setUint8(HEADER.INTERRUPT_LINE, 0xff);
  const { romBytes } = spec;
  if (romBytes !== undefined) writable.setUint32(HEADER.EXPANSION_ROM, (2 ** 32 - romBytes + ROM.ENABLE) >>> 0, true);
}

function putBar({ initial, writable }: Image, { index, bytes, kind, prefetchable }: BarSpec): void {
  const at = HEADER.BAR0 + 4 * index;
  const type = kind === "io" ? BAR_TYPE.IO : kind === "mem64" ? BAR_TYPE.MEMORY_64 : 0;
  initial.setUint32(at, type | (prefetchable ? BAR_TYPE.PREFETCHABLE : 0), true);
  const address = (1n << 64n) - BigInt(bytes);
  writable.setUint32(at, Number(address & 0xffffffffn), true);
  if (kind === "mem64") writable.setUint32(at + 4, Number(address >> 32n), true);
}

function putChain({ initial }: Image, places: readonly { at: number }[]): void {
  initial.setUint16(HEADER.STATUS, STATUS_CAPABILITIES, true);
  let link: number = HEADER.CAPABILITIES;
  for (const { at } of places) {
    initial.setUint8(link, at);
    link = at + 1;
  }
}

function putPm({ initial, writable, clears }: Image, at: number): void {
  initial.setUint8(at, CAP_ID.PM);
  initial.setUint16(at + PM.PMC, PM.VERSION_3, true);
  initial.setUint16(at + PM.PMCSR, PM.NO_SOFT_RESET, true);
  writable.setUint16(at + PM.PMCSR, PM.PMCSR_WRITABLE, true);
  clears.setUint16(at + PM.PMCSR, PM.PME_STATUS, true);
}

function putPcie({ initial, writable, clears }: Image, at: number, spec: PcieSpec): void {
  initial.setUint8(at, CAP_ID.PCIE);
  initial.setUint16(at + PCIE.CAPABILITIES, PCIE.VERSION_2, true);
  const capabilities = PCIE.ROLE_BASED_ERRORS | (spec.flr ? PCIE.FLR_CAPABLE : 0);
  initial.setUint32(at + PCIE.DEVICE_CAPABILITIES, capabilities, true);
  writable.setUint16(at + PCIE.DEVICE_CONTROL, PCIE.DEVICE_CONTROL_WRITABLE, true);
  clears.setUint16(at + PCIE.DEVICE_STATUS, PCIE.DEVICE_STATUS_W1C, true);
  initial.setUint32(at + PCIE.LINK_CAPABILITIES, LINK_SPEED_WIDTH, true);
  writable.setUint16(at + PCIE.LINK_CONTROL, PCIE.LINK_CONTROL_WRITABLE, true);
  initial.setUint16(at + PCIE.LINK_STATUS, LINK_SPEED_WIDTH, true);
  writable.setUint16(at + PCIE.DEVICE_CONTROL_2, PCIE.DEVICE_CONTROL_2_WRITABLE, true);
  initial.setUint32(at + PCIE.LINK_CAPABILITIES_2, LINK_SPEEDS, true);
}

function putMsix({ initial, writable }: Image, at: number, { vectors, table, pba }: MsixSpec): void {
  initial.setUint8(at, CAP_ID.MSIX);
  initial.setUint16(at + MSIX.CONTROL, vectors - 1, true);
  writable.setUint16(at + MSIX.CONTROL, MSIX.ENABLE | MSIX.FUNCTION_MASK, true);
  initial.setUint32(at + MSIX.TABLE, table.offset | table.bar, true);
  initial.setUint32(at + MSIX.PBA, pba.offset | pba.bar, true);
}

function putMsi({ initial, writable }: Image, at: number, spec: MsiSpec): void {
  const { vectors, address64 = true, maskable = false } = spec;
  const layout = msiLayout(spec);
  const control = (Math.log2(vectors) << MSI.CAPABLE_SHIFT) | (address64 ? MSI.ADDRESS_64 : 0);
  initial.setUint8(at, CAP_ID.MSI);
  initial.setUint16(at + MSI.CONTROL, control | (maskable ? MSI.MASKABLE : 0), true);
  writable.setUint16(at + MSI.CONTROL, MSI.CONTROL_WRITABLE, true);
  writable.setUint32(at + MSI.ADDRESS, 0xfffffffc, true);
  if (address64) writable.setUint32(at + MSI.ADDRESS + 4, 0xffffffff, true);
  writable.setUint16(at + layout.data, 0xffff, true);
  if (maskable) writable.setUint32(at + layout.mask, 0xffffffff >>> (32 - vectors), true);
}
