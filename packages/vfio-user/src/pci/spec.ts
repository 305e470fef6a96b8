// How a device declares its configuration space: one object, checked when the space is made. A wrong declaration is a
// bug of the device's author and throws at once.

import { VfioUserError } from "../errors.ts";
import { ERRNO } from "../wire/constants.ts";
import {
  type CapabilitySpec,
  capabilityBytes,
  type ExtendedCapabilitySpec,
  extendedBytes,
  type MsiSpec,
  type MsixSpec,
  type PcieSpec,
  type Placed,
} from "./capability-spec.ts";
import { EXTENDED, HEADER, MSI, MSIX, ROM } from "./registers.ts";

export interface BarSpec {
  /** 0 to 5; a 64-bit BAR takes the next index too. */
  index: number;
  /** A power of two; at least 16 for memory, 4 for I/O ports. */
  bytes: number;
  kind: "mem32" | "mem64" | "io";
  prefetchable?: boolean;
}

export interface PciConfigSpec {
  /** Default 4096 for PCI Express devices, else 256. */
  bytes?: 256 | 4096;
  vendorId: number;
  deviceId: number;
  /** 24 bits: class, subclass, programming interface; 0x020000 is Ethernet. */
  classCode: number;
  revisionId?: number;
  subsystemVendorId?: number;
  subsystemId?: number;
  /** 0 none, 1 INTA# to 4 INTD#. */
  interruptPin?: number;
  bars?: readonly BarSpec[];
  /** Expansion ROM: a power of two from 2048. */
  romBytes?: number;
  /** Capabilities in the order of their chain. Those declared by name below follow, by address. */
  capabilities?: readonly CapabilitySpec[];
  /** Extended capabilities in the order of their chain; the first lies at 0x100. They need 4096 bytes. */
  extended?: readonly ExtendedCapabilitySpec[];
  pm?: Placed;
  pcie?: PcieSpec;
  msix?: MsixSpec;
  /**
   * The driver asked for a Function Level Reset. The space is reset already; the write is answered when this resolves.
   */
  onFlr?: () => void | Promise<void>;
  /** MSI-X was enabled, disabled, masked or unmasked as a whole. */
  onMsix?: (state: { enabled: boolean; masked: boolean }) => void;
  /** MSI was enabled or disabled, the driver has given another number of vectors, or the mask has changed. */
  onMsi?: (state: { enabled: boolean; vectors: number; mask: number }) => void;
  /** The command register has changed (COMMAND_BIT). */
  onCommand?: (command: number) => void;
}

/** A declared capability and the bytes it has got. */
export interface Place<Spec> {
  spec: Spec;
  at: number;
  bytes: number;
}

export type CapabilityPlace = Place<CapabilitySpec>;
export type ExtendedPlace = Place<ExtendedCapabilitySpec>;

/** Bytes of the space: what is declared, else what the capabilities need. */
export function spaceBytes(spec: PciConfigSpec): 256 | 4096 {
  const express = spec.pcie !== undefined || spec.extended !== undefined || hasKind(spec, "pcie");
  return spec.bytes ?? (express ? 4096 : 256);
}

/** Where each declared capability lies, in the order of the chain. */
export function placeCapabilities(spec: PciConfigSpec): CapabilityPlace[] {
  const { pm, msix, pcie } = spec;
  const named: CapabilitySpec[] = [];
  if (pm !== undefined) named.push({ kind: "pm", ...pm });
  if (msix !== undefined) named.push({ kind: "msix", ...msix });
  if (pcie !== undefined) named.push({ kind: "pcie", ...pcie });
  const listed = spec.capabilities ?? [];
  for (const kind of ["pm", "pcie", "msi", "msix"]) {
    const count = [...listed, ...named].filter((each) => each.kind === kind).length;
    assert(count <= 1, `the ${kind} capability is declared ${count} times`);
  }
  const places = place([...listed, ...named], capabilityBytes, HEADER.END, EXTENDED.START);
  return [...places.slice(0, listed.length), ...places.slice(listed.length).sort((a, b) => a.at - b.at)];
}

export function placeExtended(spec: PciConfigSpec): ExtendedPlace[] {
  const { extended = [] } = spec;
  assert(extended.length === 0 || spaceBytes(spec) === 4096, "extended capabilities need a space of 4096 bytes");
  const places = place(extended, extendedBytes, EXTENDED.START, 4096);
  assert(places.length === 0 || places[0]?.at === EXTENDED.START, "the first extended capability lies at 0x100");
  return places;
}

/** First those that say where, then the others at the first free place; in the order of `specs`. */
function place<Spec extends Placed & { kind: string }>(
  specs: readonly Spec[],
  bytesOf: (spec: Spec) => number,
  start: number,
  end: number,
): Place<Spec>[] {
  const placed = new Map<Spec, Place<Spec>>();
  const isFree = (from: number, to: number): boolean =>
    from >= start && to <= end && [...placed.values()].every(({ at, bytes }) => to <= at || from >= at + bytes);
  const put = (spec: Spec, at: number): void => {
    const bytes = bytesOf(spec);
    const fits = at % 4 === 0 && isFree(at, at + bytes);
    assert(fits, `the ${spec.kind} capability does not fit at 0x${at.toString(16)}`);
    placed.set(spec, { spec, at, bytes });
  };
  for (const spec of specs) if (spec.at !== undefined) put(spec, spec.at);
  for (const spec of specs) {
    if (spec.at !== undefined) continue;
    let at = start;
    while (at < end && !isFree(at, at + bytesOf(spec))) at += 4;
    put(spec, at);
  }
  return specs.map((spec) => placed.get(spec) as Place<Spec>);
}

function hasKind(spec: PciConfigSpec, kind: CapabilitySpec["kind"]): boolean {
  return spec.capabilities?.some((each) => each.kind === kind) ?? false;
}

/** Throws VFU_ARGUMENT for a declaration that no hardware could be. */
export function checkSpec(spec: PciConfigSpec): void {
  const taken = new Set<number>();
  for (const bar of spec.bars ?? []) {
    const { index, bytes, kind } = bar;
    const last = kind === "mem64" ? index + 1 : index;
    assert(
      Number.isInteger(index) && index >= 0 && last <= 5,
      `BAR${index} does not exist as ${kind}: BAR0 to BAR5, mem64 takes two`,
    );
    const least = kind === "io" ? 4 : 16;
    const isSize = Number.isInteger(Math.log2(bytes)) && bytes >= least;
    assert(isSize, `BAR${index} has ${bytes} bytes; a size is a power of two, ${least} at least for ${kind}`);
    assert(kind === "mem64" || bytes <= 2 ** 31, `BAR${index} is too large for 32 bits`);
    assert(kind !== "io" || bytes <= 256, `BAR${index}: I/O ports come in 256 at most`);
    for (let i = index; i <= last; i++) {
      assert(!taken.has(i), `BAR${i} is declared twice`);
      taken.add(i);
    }
  }
  checkNumber("vendor id", spec.vendorId, 16);
  checkNumber("device id", spec.deviceId, 16);
  checkNumber("class code", spec.classCode, 24);
  assert((spec.interruptPin ?? 0) <= 4, `interrupt pin ${spec.interruptPin}`);
  const { romBytes = ROM.MIN_BYTES } = spec;
  assert(Number.isInteger(Math.log2(romBytes)) && romBytes >= ROM.MIN_BYTES && romBytes <= 2 ** 24, "expansion ROM");
  if (spec.msix !== undefined) checkMsix(spec.msix, spec.bars ?? []);
  for (const each of spec.capabilities ?? []) {
    if (each.kind === "msix") checkMsix(each, spec.bars ?? []);
    if (each.kind === "msi") checkMsi(each);
    if (each.kind === "vendor") checkVendor(each, 255);
  }
  for (const each of spec.extended ?? []) {
    if (each.kind === "dsn") continue;
    checkVendor(each, 0xfff);
    assert(each.id >>> 16 === 0 && (each.revision ?? 0) >>> 4 === 0, `VSEC id ${each.id}, revision ${each.revision}`);
  }
}

function checkNumber(what: string, value: number, bits: number): void {
  const isOne = Number.isInteger(value) && value >= 0 && value < 2 ** bits;
  assert(isOne, `${what} ${value}; it is a number of ${bits} bits`);
}

function checkMsi({ vectors }: MsiSpec): void {
  assert(
    Number.isInteger(Math.log2(vectors)) && vectors >= 1 && vectors <= MSI.MAX_VECTORS,
    `${vectors} MSI vectors; 1, 2, 4, 8, 16 or 32 can be`,
  );
}

function checkVendor({ data, writable }: { data: Uint8Array; writable?: Uint8Array | true }, most: number): void {
  assert(data.length + 8 <= most, `${data.length} bytes of vendor-specific data`);
  const fits = !(writable instanceof Uint8Array) || writable.length === data.length;
  assert(fits, "the mask of vendor-specific data has another length than the data");
}

function checkMsix({ vectors, table, pba }: MsixSpec, bars: readonly BarSpec[]): void {
  assert(
    Number.isInteger(vectors) && vectors >= 1 && vectors <= MSIX.MAX_VECTORS,
    `${vectors} MSI-X vectors; 1 to ${MSIX.MAX_VECTORS} can be`,
  );
  const inside = (what: string, place: { bar: number; offset: number }, bytes: number): void => {
    const bar = bars.find(({ index }) => index === place.bar);
    const fits = bar !== undefined && bar.kind !== "io" && place.offset + bytes <= bar.bytes;
    assert(place.offset % 8 === 0 && fits, `the MSI-X ${what} does not lie in BAR${place.bar}`);
  };
  const [tableBytes, pbaBytes] = [vectors * MSIX.ENTRY_SIZE, Math.ceil(vectors / 64) * 8];
  inside("table", table, tableBytes);
  inside("pending bit array", pba, pbaBytes);
  const apart =
    table.bar !== pba.bar || table.offset + tableBytes <= pba.offset || pba.offset + pbaBytes <= table.offset;
  assert(apart, "the MSI-X table and its pending bit array overlap");
}

function assert(condition: boolean, message: string): void {
  if (!condition) throw new VfioUserError("VFU_ARGUMENT", ERRNO.EINVAL, `configuration space: ${message}`);
}
