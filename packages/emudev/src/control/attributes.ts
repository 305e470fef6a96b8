// The attributes by which provider and backend tell each other settings: MAC, MTU, link, filters. One table gives name,
// type and who may write; the place in the table is what an ATTR_CHANGE event carries. The header of the RFC had a name
// and a void pointer. AttributeStore is the provider's end, emuGetAttr and emuSetAttr (backend.ts) are the backend's.
import { EmuDevError } from "./errors.ts";

/** The type of each attribute's value. */
export interface EmuDevAttrs {
  /** 6 bytes. */
  mac: Uint8Array;
  /** Bytes of layer 3. */
  mtu: number;
  /** Bytes of the largest frame without CRC that the guest takes. */
  max_frame: number;
  /** What the guest sees: up while the backend is started. */
  link_up: boolean;
  /** Mbit/s. */
  link_speed: number;
  promisc_unicast: boolean;
  promisc_multicast: boolean;
  /** Addresses of 6 bytes that the guest listens on, its own among them. */
  mac_filters: readonly Uint8Array[];
  /** VLAN ids 0..4095 that pass; empty = every VLAN passes. */
  vlan_filters: readonly number[];
  /** The receive side moves the 802.1Q tag into the descriptor. */
  vlan_strip: boolean;
  rss_key: Uint8Array;
  rss_lut: Uint8Array;
  rss_hena: bigint;
  /** Who holds the device ("pid 4711"), null = nobody. */
  client: string | null;
}
export type AttrName = keyof EmuDevAttrs;
export type AttrValue = EmuDevAttrs[AttrName];
export type AttrWriter = "provider" | "backend";

type AttrType = "mac" | "uint" | "bool" | "macs" | "vlans" | "bytes" | "u64" | "string or null";

const both = ["provider", "backend"] as const;
const provider = ["provider"] as const;
const backend = ["backend"] as const;

/** Name, type and writers, in the order of their numbers. */
export const EMU_DEV_ATTRS: readonly { name: AttrName; type: AttrType; writers: readonly AttrWriter[] }[] = [
  { name: "mac", type: "mac", writers: both },
  { name: "mtu", type: "uint", writers: provider },
  { name: "max_frame", type: "uint", writers: provider },
  { name: "link_up", type: "bool", writers: backend },
  { name: "link_speed", type: "uint", writers: both },
  { name: "promisc_unicast", type: "bool", writers: provider },
  { name: "promisc_multicast", type: "bool", writers: provider },
  { name: "mac_filters", type: "macs", writers: provider },
  { name: "vlan_filters", type: "vlans", writers: provider },
  { name: "vlan_strip", type: "bool", writers: provider },
  { name: "rss_key", type: "bytes", writers: provider },
  { name: "rss_lut", type: "bytes", writers: provider },
  { name: "rss_hena", type: "u64", writers: provider },
  { name: "client", type: "string or null", writers: provider },
];

const isUint = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0;
const isMac = (value: unknown): boolean => value instanceof Uint8Array && value.length === 6;

const fits: Record<AttrType, (value: unknown) => boolean> = {
  mac: isMac,
  uint: isUint,
  bool: (value) => typeof value === "boolean",
  macs: (value) => Array.isArray(value) && value.every(isMac),
  vlans: (value) => Array.isArray(value) && value.every((id) => isUint(id) && id <= 4095),
  bytes: (value) => value instanceof Uint8Array,
  u64: (value) => typeof value === "bigint" && value >= 0n && value < 1n << 64n,
  "string or null": (value) => value === null || typeof value === "string",
};

/** The number of an attribute in ATTR_CHANGE events. Throws EmuDevError ENOENT for an unknown name. */
export function attrIndex(name: string): number {
  const index = EMU_DEV_ATTRS.findIndex((row) => row.name === name);
  if (index >= 0) return index;
  const names = EMU_DEV_ATTRS.map((row) => row.name).join(", ");
  throw new EmuDevError("ENOENT", `emudev: no attribute '${name}'; one of ${names}`);
}

/** The name behind the argument of an ATTR_CHANGE event. */
export function attrName(index: number): AttrName | undefined {
  return EMU_DEV_ATTRS[index]?.name;
}

/** Throws EmuDevError ENOENT (name), EPERM (writer) or EINVAL (type) unless `writer` may set `name` to `value`. */
export function checkAttr(name: string, value: unknown, writer: AttrWriter): void {
  const row = EMU_DEV_ATTRS[attrIndex(name)]!;
  if (!row.writers.includes(writer))
    throw new EmuDevError("EPERM", `emudev: attribute '${name}' is set by the ${row.writers[0]}, not by the ${writer}`);
  if (!fits[row.type](value))
    throw new EmuDevError("EINVAL", `emudev: attribute '${name}' takes a value of type ${row.type}`);
}

/** The attributes of one device, kept by its provider. */
export class AttributeStore {
  readonly #values: EmuDevAttrs;

  constructor(initial: Partial<EmuDevAttrs> = {}) {
    this.#values = {
      mac: new Uint8Array(6),
      mtu: 1500,
      max_frame: 1518,
      link_up: false,
      link_speed: 10_000,
      promisc_unicast: false,
      promisc_multicast: false,
      mac_filters: [],
      vlan_filters: [],
      vlan_strip: false,
      rss_key: new Uint8Array(0),
      rss_lut: new Uint8Array(0),
      rss_hena: 0n,
      client: null,
      ...initial,
    };
  }

  get<K extends AttrName>(name: K): EmuDevAttrs[K] {
    attrIndex(name);
    return this.#values[name];
  }

  /** Sets after checkAttr. @returns the number of the attribute, for emuNotify(dev, EMU_DEV_EVENT_ATTR_CHANGE, number) */
  set(name: AttrName, value: AttrValue, writer: AttrWriter = "provider"): number {
    checkAttr(name, value, writer);
    (this.#values as unknown as Record<string, AttrValue>)[name] = value;
    return attrIndex(name);
  }
}
