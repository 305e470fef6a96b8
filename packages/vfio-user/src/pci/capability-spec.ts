// The capabilities that a configuration space can have, as a device declares them, and how many bytes each takes: the
// chain from 0x40 (PCI Local Bus 3.0 section 6.7) and, in spaces of 4096 bytes, the extended one from 0x100 (PCI Express
// Base 3.0 section 7.9). spec.ts places them, image.ts makes their bytes.

import { DSN, MSI, MSIX, PCIE, PM, VENDOR, VSEC } from "./registers.ts";

/** `at`: where the capability lies, a multiple of 4; by default the first free place. */
export interface Placed {
  at?: number;
}

export interface PcieSpec extends Placed {
  /** Function Level Reset: a driver's request comes as onFlr. */
  flr?: boolean;
}

export interface MsiSpec extends Placed {
  /** 1, 2, 4, 8, 16 or 32. */
  vectors: number;
  /** 64-bit message addresses. Default true. */
  address64?: boolean;
  /** A mask and a pending bit for each vector. Default false. */
  maskable?: boolean;
}

export interface MsixSpec extends Placed {
  /** 1 to 2048. */
  vectors: number;
  table: { bar: number; offset: number };
  pba: { bar: number; offset: number };
}

interface VendorData extends Placed {
  /** What follows the header. */
  data: Uint8Array;
  /** Bits of `data` that the driver may change, one byte for each byte; true: all. Default: none, and a write is EPERM. */
  writable?: Uint8Array | true;
  /** The driver has written: all of `data` as it is now, a copy. */
  onWrite?: (data: Uint8Array) => void;
}

/** 3 bytes of header (id, next, length), then `data`. */
export interface VendorSpec extends VendorData {}

/** 8 bytes of header (id, version, next; VSEC id, revision, length), then `data`. */
export interface VsecSpec extends VendorData {
  /** The vendor's number for it, 16 bits. */
  id: number;
  /** 4 bits. Default 0. */
  revision?: number;
}

export type CapabilitySpec =
  | ({ kind: "pm" } & Placed)
  | ({ kind: "pcie" } & PcieSpec)
  | ({ kind: "msi" } & MsiSpec)
  | ({ kind: "msix" } & MsixSpec)
  | ({ kind: "vendor" } & VendorSpec);

/** "dsn": Device Serial Number; "vendor": Vendor-Specific (VSEC). */
export type ExtendedCapabilitySpec = ({ kind: "dsn"; serial: bigint } & Placed) | ({ kind: "vendor" } & VsecSpec);

export function capabilityBytes(spec: CapabilitySpec): number {
  switch (spec.kind) {
    case "pm":
      return PM.SIZE;
    case "pcie":
      return PCIE.SIZE;
    case "msix":
      return MSIX.SIZE;
    case "msi":
      return msiLayout(spec).bytes;
    case "vendor":
      return VENDOR.HEADER + spec.data.length;
  }
}

export function extendedBytes(spec: ExtendedCapabilitySpec): number {
  return spec.kind === "dsn" ? DSN.SIZE : VSEC.HEADER + spec.data.length;
}

/** Offsets in an MSI capability; `mask` and `pending` are -1 where there are none. */
export function msiLayout({ address64 = true, maskable = false }: MsiSpec): {
  data: number;
  mask: number;
  pending: number;
  bytes: number;
} {
  const data = MSI.ADDRESS + (address64 ? 8 : 4);
  if (!maskable) return { data, mask: -1, pending: -1, bytes: data + 2 };
  return { data, mask: data + 4, pending: data + 8, bytes: data + 12 };
}
