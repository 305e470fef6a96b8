// Names in PCI configuration space: the header's fields, and those of the capabilities where the device has them, which is
// learned from what its client reads. PCI Local Bus 3.0 chapter 6, PCI Express Base 3.0 chapter 7. Used by device-names.ts.
import { pci } from "@emudev/vfio-user";
import { hex } from "../../names.ts";

const CONFIG_BYTES = 4096;
const EXTENDED = 0x100;
const CAPS_MAX = 64;

type Fields = readonly (readonly [number, string])[];

const HEADER: Fields = [
  ...Object.entries(pci.HEADER).flatMap(([name, at]) =>
    name === "END" || name === "BAR0" ? [] : [[at, name] as const],
  ),
  ...[0, 1, 2, 3, 4, 5].map((bar) => [pci.HEADER.BAR0 + 4 * bar, `BAR${bar}`] as const),
  [0x0d, "LATENCY_TIMER"] as const,
  [0x0f, "BIST"] as const,
  [0x28, "CARDBUS_CIS"] as const,
  [0x35, "RESERVED"] as const,
  [0x3e, "MIN_GNT"] as const,
  [0x3f, "MAX_LAT"] as const,
].sort(([a], [b]) => a - b);

const HEAD: Fields = [
  [0, "ID"],
  [1, "NEXT"],
];

/** By capability id: name and fields. */
const CAPS: Record<number, readonly [string, Fields] | undefined> = {
  1: ["PM", [...HEAD, [2, "PMC"], [4, "PMCSR"]]],
  5: ["MSI", [...HEAD, [2, "CONTROL"], [4, "ADDRESS"], [8, "ADDRESS_HIGH_OR_DATA"], [12, "DATA_OR_MASK"]]],
  9: ["VENDOR", [...HEAD, [2, "LENGTH"], [3, "DATA"]]],
  16: [
    "PCIE",
    [
      ...HEAD,
      [2, "CAPABILITIES"],
      [4, "DEVICE_CAPABILITIES"],
      [8, "DEVICE_CONTROL"],
      [10, "DEVICE_STATUS"],
      [12, "LINK_CAPABILITIES"],
      [16, "LINK_CONTROL"],
      [18, "LINK_STATUS"],
      [36, "DEVICE_CAPABILITIES_2"],
      [40, "DEVICE_CONTROL_2"],
      [44, "LINK_CAPABILITIES_2"],
      [48, "LINK_CONTROL_2"],
    ],
  ],
  17: ["MSIX", [...HEAD, [2, "CONTROL"], [4, "TABLE"], [8, "PBA"]]],
};

const EXTENDED_NAMES: Record<number, string | undefined> = { 1: "AER", 3: "DSN", 11: "VSEC", 14: "ARI" };

interface Found {
  at: number;
  name: string;
  fields: Fields;
}

export class ConfigNames {
  readonly #bytes = new Uint8Array(CONFIG_BYTES);
  #known = 0;
  #caps: Found[] | null = null;

  /** What a client read at `offset`. */
  learn(offset: number, data: Uint8Array): void {
    if (offset >= CONFIG_BYTES) return;
    this.#bytes.set(data.subarray(0, CONFIG_BYTES - offset), offset);
    this.#known = Math.max(this.#known, offset + data.length);
    this.#caps = null;
  }

  /** Vendor and device id, or null before they were read. */
  get ids(): { vendorId: number; deviceId: number } | null {
    if (this.#known < 4) return null;
    return { vendorId: this.#word(pci.HEADER.VENDOR_ID), deviceId: this.#word(pci.HEADER.DEVICE_ID) };
  }

  at(offset: number): string | null {
    if (offset < pci.HEADER.END) return within(HEADER, offset);
    this.#caps ??= this.#walk();
    const cap = this.#caps.findLast(({ at }) => at <= offset);
    return cap === undefined ? null : `${cap.name}.${within(cap.fields, offset - cap.at) ?? hex(offset - cap.at)}`;
  }

  /** Capabilities by ascending place; a chain that loops ends where it does. */
  #walk(): Found[] {
    const found = new Map<number, Found>();
    let at = (this.#bytes[pci.HEADER.CAPABILITIES] ?? 0) & ~3;
    while (at >= pci.HEADER.END && !found.has(at) && found.size < CAPS_MAX) {
      const id = this.#bytes[at] ?? 0;
      const [name, fields] = CAPS[id] ?? [`CAP${hex(id, 2)}`, HEAD];
      found.set(at, { at, name, fields });
      at = (this.#bytes[at + 1] ?? 0) & ~3;
    }
    at = EXTENDED;
    while (at >= EXTENDED && !found.has(at) && found.size < 2 * CAPS_MAX) {
      const id = this.#word(at);
      if (id === 0 || id === 0xffff) break;
      found.set(at, { at, name: EXTENDED_NAMES[id] ?? `EXT${hex(id, 4)}`, fields: [[0, "HEADER"]] });
      at = (this.#word(at + 2) >> 4) & ~3;
    }
    return [...found.values()].sort((a, b) => a.at - b.at);
  }

  #word(at: number): number {
    return (this.#bytes[at] ?? 0) | ((this.#bytes[at + 1] ?? 0) << 8);
  }
}

/** The field that covers an offset, and how far behind its start that is. */
function within(fields: Fields, offset: number): string | null {
  const field = fields.findLast(([at]) => at <= offset);
  if (field === undefined) return null;
  return offset === field[0] ? field[1] : `${field[1]}+${offset - field[0]}`;
}
