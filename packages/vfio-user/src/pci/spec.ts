// How a device declares its configuration space: one object, checked when the space is made. A wrong declaration is a
// bug of the device's author and throws at once.

import { VfioUserError } from "../errors.ts";
import { ERRNO } from "../wire/constants.ts";
import { HEADER, MSIX, PCIE, PM } from "./registers.ts";

export interface BarSpec {
  /** 0 to 5; a 64-bit BAR takes the next index too. */
  index: number;
  /** A power of two; at least 16 for memory, 4 for I/O ports. */
  bytes: number;
  kind: "mem32" | "mem64" | "io";
  prefetchable?: boolean;
}

/** `at`: where the capability lies, a multiple of 4 from 0x40; by default the first free place. */
interface Placed {
  at?: number;
}

export interface PcieSpec extends Placed {
  /** Function Level Reset: a driver's request comes as onFlr. */
  flr?: boolean;
}

export interface MsixSpec extends Placed {
  /** 1 to 2048. */
  vectors: number;
  table: { bar: number; offset: number };
  pba: { bar: number; offset: number };
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
  pm?: Placed;
  pcie?: PcieSpec;
  msix?: MsixSpec;
  /**
   * The driver asked for a Function Level Reset. The space is reset already; the write is answered when this resolves.
   */
  onFlr?: () => void | Promise<void>;
  /** MSI-X was enabled, disabled, masked or unmasked as a whole. */
  onMsix?: (state: { enabled: boolean; masked: boolean }) => void;
  /** The command register has changed (COMMAND_BIT). */
  onCommand?: (command: number) => void;
}

export type CapabilityName = "pm" | "msix" | "pcie";

const CAP_SIZE: Record<CapabilityName, number> = { pm: PM.SIZE, msix: MSIX.SIZE, pcie: PCIE.SIZE };
const CAP_END = 256;

/** Where each declared capability lies, in ascending order. */
export function placeCapabilities(spec: PciConfigSpec): { name: CapabilityName; at: number }[] {
  const names = (["pm", "msix", "pcie"] as const).filter((name) => spec[name] !== undefined);
  const placed: { name: CapabilityName; at: number }[] = [];
  const isFree = (from: number, to: number): boolean =>
    from >= HEADER.END && to <= CAP_END && placed.every(({ name, at }) => to <= at || from >= at + CAP_SIZE[name]);
  const put = (name: CapabilityName, at: number): void => {
    assert(
      at % 4 === 0 && isFree(at, at + CAP_SIZE[name]),
      `the ${name} capability does not fit at 0x${at.toString(16)}`,
    );
    placed.push({ name, at });
  };
  for (const name of names) {
    const at = spec[name]?.at;
    if (at !== undefined) put(name, at);
  }
  for (const name of names) {
    if (spec[name]?.at !== undefined) continue;
    let at: number = HEADER.END;
    while (at < CAP_END && !isFree(at, at + CAP_SIZE[name])) at += 4;
    put(name, at);
  }
  return placed.sort((a, b) => a.at - b.at);
}

/** Throws VFU_ARGUMENT for a declaration that no hardware could be. */
export function checkSpec(spec: PciConfigSpec): void {
  const taken = new Set<number>();
  for (const bar of spec.bars ?? []) {
    const { index, bytes, kind } = bar;
    const last = kind === "mem64" ? index + 1 : index;
    assert(Number.isInteger(index) && index >= 0 && last <= 5, `BAR${index} does not exist as ${kind}`);
    assert(Number.isInteger(Math.log2(bytes)) && bytes >= (kind === "io" ? 4 : 16), `BAR${index} has ${bytes} bytes`);
    assert(kind === "mem64" || bytes <= 2 ** 31, `BAR${index} is too large for 32 bits`);
    assert(kind !== "io" || bytes <= 256, `BAR${index}: I/O ports come in 256 at most`);
    for (let i = index; i <= last; i++) {
      assert(!taken.has(i), `BAR${i} is declared twice`);
      taken.add(i);
    }
  }
  assert((spec.interruptPin ?? 0) <= 4, `interrupt pin ${spec.interruptPin}`);
  if (spec.msix !== undefined) checkMsix(spec.msix, spec.bars ?? []);
}

function checkMsix({ vectors, table, pba }: MsixSpec, bars: readonly BarSpec[]): void {
  assert(Number.isInteger(vectors) && vectors >= 1 && vectors <= MSIX.MAX_VECTORS, `${vectors} MSI-X vectors`);
  const inside = (what: string, place: { bar: number; offset: number }, bytes: number): void => {
    const bar = bars.find(({ index }) => index === place.bar);
    const fits = bar !== undefined && bar.kind !== "io" && place.offset + bytes <= bar.bytes;
    assert(place.offset % 8 === 0 && fits, `the MSI-X ${what} does not lie in BAR${place.bar}`);
  };
  inside("table", table, vectors * MSIX.ENTRY_SIZE);
  inside("pending bit array", pba, Math.ceil(vectors / 64) * 8);
}

function assert(condition: boolean, message: string): void {
  if (!condition) throw new VfioUserError("VFU_ARGUMENT", ERRNO.EINVAL, `configuration space: ${message}`);
}
