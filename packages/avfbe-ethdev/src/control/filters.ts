// The guest's receive filters for the kernels (layout/filter.ts), made from the device's attributes: a new table at each
// change, swapped in by one word, the old one freed when no lcore can use it.
import { type EmuDevAttrs, emuGetAttr } from "@emudev/emudev";
import type { Arena } from "@emudev/shm";
import {
  FILTER_ALL_MULTICAST,
  FILTER_ALL_UNICAST,
  FILTER_BYTES,
  FILTER_FLAGS,
  FILTER_MAC,
  FILTER_MACS,
  FILTER_MACS_MAX,
  FILTER_STRIP,
  FILTER_VLAN,
  FILTER_VLANS,
} from "../layout/filter.ts";

/** The attributes that a filter table is made of. */
export const FILTER_ATTRS = [
  "mac",
  "promisc_unicast",
  "promisc_multicast",
  "mac_filters",
  "vlan_filters",
  "vlan_strip",
] as const;
export type FilterAttrs = Pick<EmuDevAttrs, (typeof FILTER_ATTRS)[number]>;

/** Reads the attributes of a device. */
export function filterAttrs(devId: number): FilterAttrs {
  return Object.fromEntries(FILTER_ATTRS.map((name) => [name, emuGetAttr(devId, name)])) as unknown as FilterAttrs;
}

export class FilterTable {
  /** Arena word with the offset of the current table. */
  readonly wordOff: number;
  readonly #arena: Arena;
  readonly #name: string;
  readonly #synchronize: () => Promise<void>;
  #zone = "";
  #generation = 0;
  /** Frees old tables, one after another. */
  #freeing: Promise<void> = Promise.resolve();

  /** @param synchronize resolves when no lcore can use what was unpublished before */
  constructor(arena: Arena, name: string, synchronize: () => Promise<void>) {
    this.#arena = arena;
    this.#name = name;
    this.#synchronize = synchronize;
    this.wordOff = arena.memzoneReserve(`${name}.filter`, 64).off;
  }

  /** Makes these filters the ones that count, from each lcore's next burst on. */
  publish(attrs: FilterAttrs): void {
    const { off, name } = this.#arena.memzoneReserve(`${this.#name}.filter.${++this.#generation}`, FILTER_BYTES);
    writeFilter(this.#arena, off, attrs);
    const old = this.#zone;
    this.#zone = name;
    Atomics.store(this.#arena.u32, this.wordOff >>> 2, off);
    if (old === "") return;
    this.#freeing = this.#freeing.then(() => this.#synchronize()).then(() => this.#arena.memzoneFree(old));
  }

  /** Frees all; no lcore may know the word any longer. */
  async free(): Promise<void> {
    await this.#freeing;
    this.#arena.memzoneFree(this.#zone);
    this.#arena.memzoneFree(`${this.#name}.filter`);
  }
}

/** Writes a table for `attrs` into zeroed memory. The device's own address comes first; what does not fit lets all pass. */
export function writeFilter(arena: Arena, off: number, attrs: FilterAttrs): void {
  const macs = [attrs.mac, ...attrs.mac_filters];
  let flags = 0;
  if (attrs.promisc_unicast) flags |= FILTER_ALL_UNICAST;
  if (attrs.promisc_multicast) flags |= FILTER_ALL_MULTICAST;
  if (attrs.vlan_strip) flags |= FILTER_STRIP;
  if (attrs.vlan_filters.length > 0) flags |= FILTER_VLAN;
  if (macs.length > FILTER_MACS_MAX) flags |= FILTER_ALL_UNICAST | FILTER_ALL_MULTICAST;
  macs.slice(0, FILTER_MACS_MAX).forEach((mac, i) => {
    arena.u8.set(mac, off + FILTER_MAC + 8 * i);
  });
  arena.u32[(off + FILTER_FLAGS) >>> 2] = flags;
  arena.u32[(off + FILTER_MACS) >>> 2] = Math.min(macs.length, FILTER_MACS_MAX);
  for (const id of attrs.vlan_filters) arena.u32[((off + FILTER_VLANS) >>> 2) + (id >>> 5)]! |= 1 << (id & 31);
}
