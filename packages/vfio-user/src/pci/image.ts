// The bytes of a configuration space after reset, and for every bit who may change it: `writable` by the driver,
// `clears` by writing 1. Everything else is read-only, which also makes BAR sizing work: the address bits below a
// BAR's size never change.

import {
  BAR_TYPE,
  CAP_ID,
  COMMAND_WRITABLE,
  HEADER,
  MSIX,
  PCIE,
  PM,
  STATUS_CAPABILITIES,
  STATUS_W1C,
} from "./registers.ts";
import type { BarSpec, CapabilityName, MsixSpec, PciConfigSpec, PcieSpec } from "./spec.ts";

export interface Image {
  initial: DataView;
  writable: DataView;
  clears: DataView;
}

/** PCI Express endpoint; link 8 GT/s x16 as read from both capability and status. */
const LINK_SPEED_WIDTH = 3 | (16 << 4);
/** Link Capabilities 2: 2.5, 5 and 8 GT/s. */
const LINK_SPEEDS = 0b1110;

export function makeImage(spec: PciConfigSpec, places: readonly { name: CapabilityName; at: number }[]): Image {
  const bytes = spec.bytes ?? (spec.pcie === undefined ? 256 : 4096);
  const image: Image = {
    initial: new DataView(new ArrayBuffer(bytes)),
    writable: new DataView(new ArrayBuffer(bytes)),
    clears: new DataView(new ArrayBuffer(bytes)),
  };
  putHeader(image, spec);
  for (const bar of spec.bars ?? []) putBar(image, bar);
  if (places.length > 0) putChain(image, places);
  for (const { name, at } of places) {
    if (name === "pm") putPm(image, at);
    if (name === "pcie") putPcie(image, at, spec.pcie as PcieSpec);
    if (name === "msix") putMsix(image, at, spec.msix as MsixSpec);
  }
  return image;
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
