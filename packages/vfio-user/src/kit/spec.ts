// What a device declares to the kit: one object with its identity, its BARs with their handlers, its interrupts and its
// capabilities. device.ts makes the whole vfio-user device of it; a declaration that no hardware could be throws there.

import type { Log } from "../environment.ts";
import type { CapabilitySpec, ExtendedCapabilitySpec, MsiSpec, Placed } from "../pci/capability-spec.ts";
import type { ClientInfo, ResetReason } from "../server/device.ts";
import type { RegisterFile } from "./registers.ts";

/**
 * What answers to a BAR: `registers`, or `read` and `write`, or `readBytes` and `writeBytes`; parts of it, or the whole,
 * may be memory that the guest maps. What nobody answers to reads as 0.
 */
export interface BarDeclaration {
  /** Bytes, a power of two: at least 16 of memory, 4 of I/O ports; up to 16 GiB and more for mem64. */
  size: number;
  /** Default "mem32". A mem64 BAR takes the next index too. */
  kind?: "mem32" | "mem64" | "io";
  prefetchable?: boolean;
  /** Named registers, reset with the device. */
  registers?: RegisterFile<string>;
  /** The widest access that `read` and `write` see: wider and unaligned ones come in pieces. Default 4. */
  access?: 1 | 2 | 4;
  /** The value of `bytes` bytes (1, 2 or 4), naturally aligned, little-endian. */
  read?(offset: number, bytes: number): number;
  write?(offset: number, value: number, bytes: number): void | Promise<void>;
  /** Accesses as the client made them. Fills `into`, which is zeroed. */
  readBytes?(offset: number, into: Uint8Array): void | Promise<void>;
  /** `data` is the callback's to keep. */
  writeBytes?(offset: number, data: Uint8Array, posted: boolean): void | Promise<void>;
  /** The whole BAR is memory (a memfd): the guest maps it and the device sees no access. See PciDevice.memory. */
  memory?: boolean;
  /** Parts that are such memory, page-aligned; the rest has handlers. */
  areas?: readonly { offset: number; size: number }[];
}

export interface InterruptDeclaration {
  /** INTA#, level-triggered: irq.assert and irq.deassert. */
  intx?: boolean;
  /** Vectors: 1, 2, 4, 8, 16 or 32. */
  msi?: number | MsiSpec;
  /**
   * Vectors, 1 to 2048. Their table and pending bits get a BAR of their own, the highest free one, unless `bar` says which
   * declared BAR has room for them, at `table` and `pba` (bytes).
   */
  msix?: number | ({ vectors: number; bar?: number; table?: number; pba?: number } & Placed);
}

export interface PciDeviceSpec {
  vendor: number;
  device: number;
  /** 24 bits: class, subclass, programming interface. */
  class: number;
  revision?: number;
  subsystem?: { vendor: number; device: number };
  /** A conventional PCI device: 256 bytes of configuration space, no PCI Express capability, no FLR. */
  conventional?: boolean;
  bars?: { readonly [index: number]: BarDeclaration };
  /** Expansion ROM; filled up with zeros to a power of two. */
  rom?: Uint8Array;
  interrupts?: InterruptDeclaration;
  /** Besides PCI Express, MSI and MSI-X, which the kit adds at the end. */
  capabilities?: readonly Exclude<CapabilitySpec, { kind: "msi" | "msix" }>[];
  extended?: readonly ExtendedCapabilitySpec[];
  /** Power-on state. The kit has reset configuration space, registers and interrupts already. */
  reset?(reason: ResetReason): void | Promise<void>;
  /** The command register has changed (pci.COMMAND_BIT). */
  onCommand?(command: number): void;
  connected?(client: ClientInfo): void;
  disconnected?(): void;
  log?: Log;
}
