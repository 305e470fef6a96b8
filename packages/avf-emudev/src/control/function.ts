// The PCI function of an AVF: configuration space (8086:1889, an Ethernet controller with MSI-X, PCI Express with FLR, and
// power management), its regions and its interrupts, as a vfio-user client sees them. BAR3 holds the MSI-X table, which
// clients usually emulate themselves (what they write is kept), and the pending bits, which come from the vectors.
import { BAR0_BYTES } from "@emudev/avf";
import {
  IRQ_FLAG,
  PCI_IRQ,
  PCI_REGION,
  PciConfig,
  REGION_FLAG,
  type RegionMmap,
  type RegionSpec,
} from "@emudev/vfio-user";
import type { Interrupts } from "./interrupts.ts";

const INTEL = 0x8086;
const ADAPTIVE_VF = 0x1889;
const ETHERNET = 0x020000;
export const MSIX_BAR = 3;
const MSIX_BAR_BYTES = 0x4000;
const PBA_OFFSET = 0x2000;
const TABLE_ENTRY_BYTES = 16;

/** @param onFlr awaited before the write that asked for the reset is answered */
export function makeConfig(vectors: number, onFlr: () => Promise<void>): PciConfig {
  return new PciConfig({
    vendorId: INTEL,
    deviceId: ADAPTIVE_VF,
    classCode: ETHERNET,
    revisionId: 1,
    subsystemVendorId: INTEL,
    subsystemId: 0,
    bars: [
      { index: 0, bytes: BAR0_BYTES, kind: "mem64", prefetchable: true },
      { index: MSIX_BAR, bytes: MSIX_BAR_BYTES, kind: "mem64", prefetchable: true },
    ],
    pm: { at: 0x40 },
    msix: { at: 0x70, vectors, table: { bar: MSIX_BAR, offset: 0 }, pba: { bar: MSIX_BAR, offset: PBA_OFFSET } },
    pcie: { at: 0xa0, flr: true },
    onFlr,
  });
}

const READ_WRITE = REGION_FLAG.READ | REGION_FLAG.WRITE;

/** Regions of the function; `mmap` is asked for each client's doorbell pages. */
export function makeRegions(config: PciConfig, mmap: () => RegionMmap | null): RegionSpec[] {
  return [
    { index: PCI_REGION.BAR0, size: BAR0_BYTES, flags: READ_WRITE, mmap },
    { index: MSIX_BAR, size: MSIX_BAR_BYTES, flags: READ_WRITE },
    config.region,
  ];
}

/** MSI-X, and one error and one request notifier, which PCI clients like to set up. */
export const makeIrqs = (vectors: number) => [
  { index: PCI_IRQ.MSIX, count: vectors, flags: IRQ_FLAG.EVENTFD },
  { index: PCI_IRQ.ERR, count: 1, flags: IRQ_FLAG.EVENTFD },
  { index: PCI_IRQ.REQ, count: 1, flags: IRQ_FLAG.EVENTFD },
];

/** BAR3. */
export class MsixBar {
  readonly #bytes = new Uint8Array(MSIX_BAR_BYTES);
  readonly #interrupts: Interrupts;

  constructor(interrupts: Interrupts) {
    this.#interrupts = interrupts;
  }

  read(offset: number, into: Uint8Array): void {
    into.set(this.#bytes.subarray(offset, offset + into.length));
    for (let i = 0; i < into.length; i++)
      if (offset + i >= PBA_OFFSET) into[i] = this.#pending(offset + i - PBA_OFFSET);
  }

  write(offset: number, data: Uint8Array): void {
    const end = Math.min(data.length, PBA_OFFSET - offset);
    if (end > 0) this.#bytes.set(data.subarray(0, end), offset);
  }

  /** The MSI-X table as the client has written it. */
  table(): Uint8Array {
    return this.#bytes.slice(0, this.#interrupts.vectors.length * TABLE_ENTRY_BYTES);
  }

  reset(): void {
    this.#bytes.fill(0);
  }

  /** A byte of the pending bit array. */
  #pending(byte: number): number {
    let bits = 0;
    for (let bit = 0; bit < 8; bit++) if (this.#interrupts.vectors[8 * byte + bit]?.pending) bits |= 1 << bit;
    return bits;
  }
}
