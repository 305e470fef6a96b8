// How packets are spread over the guest's receive queues, for the kernels (layout/rss.ts): made from the device's attributes
// and the queues that can be fed, a new table at each change, the old one freed when no lcore can use it. There is a table
// only where there is something to spread: a key, a lookup table, packet classes that the guest enabled, and two queues.
import {
  AVF_RSS_KEY_BYTES,
  AVF_RSS_LUT_ENTRIES,
  RX_PTYPE_IPV4,
  RX_PTYPE_IPV4_FRAG,
  RX_PTYPE_IPV4_ICMP,
  RX_PTYPE_IPV4_SCTP,
  RX_PTYPE_IPV4_TCP,
  RX_PTYPE_IPV4_UDP,
  RX_PTYPE_IPV6,
  RX_PTYPE_IPV6_FRAG,
  RX_PTYPE_IPV6_ICMP,
  RX_PTYPE_IPV6_SCTP,
  RX_PTYPE_IPV6_TCP,
  RX_PTYPE_IPV6_UDP,
} from "@emudev/avf";
import { type EmuDevAttrs, emuGetAttr } from "@emudev/emudev";
import type { Arena } from "@emudev/shm";
import { TXQ_SCRATCH } from "../layout/port-queue.ts";
import {
  RSS_ACTIVE,
  RSS_BYTES,
  RSS_INPUT_MAX,
  RSS_KIND_IPV4,
  RSS_KIND_IPV4_PORTS,
  RSS_KIND_IPV6,
  RSS_KIND_IPV6_PORTS,
  RSS_KINDS,
  RSS_LUT,
  RSS_TOEPLITZ,
  SPREAD_BYTES,
} from "../layout/rss.ts";

/** The attributes that the table is made of. */
export const RSS_ATTRS = ["rss_key", "rss_lut", "rss_hena"] as const;
export type RssAttrs = Pick<EmuDevAttrs, (typeof RSS_ATTRS)[number]>;

/** Of each packet type: the packet classes any of which enables its hash (virtchnl's hena bits), and what is hashed. */
const CLASSES: readonly (readonly [ptype: number, bits: readonly bigint[], kind: number])[] = [
  [RX_PTYPE_IPV4_UDP, [29n, 30n, 31n], RSS_KIND_IPV4_PORTS],
  [RX_PTYPE_IPV4_TCP, [33n], RSS_KIND_IPV4_PORTS],
  [RX_PTYPE_IPV4_SCTP, [34n], RSS_KIND_IPV4_PORTS],
  [RX_PTYPE_IPV4_ICMP, [35n], RSS_KIND_IPV4],
  [RX_PTYPE_IPV4, [35n], RSS_KIND_IPV4],
  [RX_PTYPE_IPV4_FRAG, [36n], RSS_KIND_IPV4],
  [RX_PTYPE_IPV6_UDP, [39n, 40n, 41n], RSS_KIND_IPV6_PORTS],
  [RX_PTYPE_IPV6_TCP, [43n], RSS_KIND_IPV6_PORTS],
  [RX_PTYPE_IPV6_SCTP, [44n], RSS_KIND_IPV6_PORTS],
  [RX_PTYPE_IPV6_ICMP, [45n], RSS_KIND_IPV6],
  [RX_PTYPE_IPV6, [45n], RSS_KIND_IPV6],
  [RX_PTYPE_IPV6_FRAG, [46n], RSS_KIND_IPV6],
];

export interface RssEnvironment {
  arena: Arena;
  /** The port's name, for memzones. */
  name: string;
  devId: number;
  pairs: number;
  rss?: boolean;
  /** Resolves when no lcore can use what was unpublished before. */
  synchronize(): Promise<void>;
}

export class RssTable {
  readonly #env: RssEnvironment;
  #zone = "";
  #off = 0;
  /** What the table was made of. */
  #made = "";
  #scratchOff = 0;
  #generation = 0;
  /** Frees old tables, one after another. */
  #freeing: Promise<void> = Promise.resolve();

  constructor(env: RssEnvironment) {
    this.#env = env;
  }

  /**
   * The table for the device's settings of now. The one before is freed after the next synchronization: the caller publishes
   * this one at once.
   * @param queues receive queues that can be fed
   * @returns arena offset, 0 = nothing is to be spread
   */
  follow(queues: readonly number[]): number {
    const { arena, devId, name } = this.#env;
    const attrs = Object.fromEntries(RSS_ATTRS.map((attr) => [attr, emuGetAttr(devId, attr)])) as unknown as RssAttrs;
    const wanted = this.#env.rss !== false && queues.length > 1 && isConfigured(attrs);
    const made = wanted ? `${attrs.rss_key} ${attrs.rss_lut} ${attrs.rss_hena} ${queues}` : "";
    if (made === this.#made) return this.#off;
    this.#made = made;
    const old = this.#zone;
    this.#zone = wanted ? `${name}.rss.${++this.#generation}` : "";
    this.#off = wanted ? arena.memzoneReserve(this.#zone, RSS_BYTES).off : 0;
    if (wanted) writeRssTable(arena, this.#off, attrs, queues);
    if (old !== "")
      this.#freeing = this.#freeing.then(() => this.#env.synchronize()).then(() => arena.memzoneFree(old));
    return this.#off;
  }

  /** Gives transmit queue `queue` of the port, whose state is at `off`, the scratch memory that it needs with a table. */
  lendScratch(off: number, queue: number): void {
    const { arena, name, pairs } = this.#env;
    if (this.#scratchOff === 0) this.#scratchOff = arena.memzoneReserve(`${name}.spread`, pairs * SPREAD_BYTES).off;
    Atomics.store(arena.u32, (off + TXQ_SCRATCH) >>> 2, this.#scratchOff + queue * SPREAD_BYTES);
  }

  /** Resolves when tables that were replaced are freed. */
  settled(): Promise<void> {
    return this.#freeing;
  }

  /** Frees all; no lcore may know the table any longer. */
  free(): void {
    const { arena, name } = this.#env;
    if (this.#zone !== "") arena.memzoneFree(this.#zone);
    if (this.#scratchOff !== 0) arena.memzoneFree(`${name}.spread`);
    this.#zone = "";
    this.#scratchOff = 0;
  }
}

/** Whether the guest's driver has set all that is needed. Lengths are the provider's to check, and checked again. */
function isConfigured({ rss_key, rss_lut, rss_hena }: RssAttrs): boolean {
  return rss_key.length === AVF_RSS_KEY_BYTES && rss_lut.length === AVF_RSS_LUT_ENTRIES && rss_hena !== 0n;
}

/** Writes a table into zeroed memory. Entries of the lookup table that name a queue which cannot be fed go to the others in turn. */
export function writeRssTable(arena: Arena, off: number, attrs: RssAttrs, queues: readonly number[]): void {
  const { rss_key: key, rss_lut: lut, rss_hena: hena } = attrs;
  for (const [ptype, bits, kind] of CLASSES)
    if (bits.some((bit) => (hena >> bit) & 1n)) arena.u8[off + RSS_KINDS + ptype] = kind;
  for (const [i, queue] of lut.entries())
    arena.u8[off + RSS_LUT + i] = queues.includes(queue) ? queue : queues[queue % queues.length]!;
  arena.u32[(off + RSS_ACTIVE) >>> 2] = queues.reduce((mask, queue) => mask | (1 << queue), 0);
  const hash = new Uint32Array(256);
  for (let at = 0; at < RSS_INPUT_MAX; at++) {
    // The 32 bits of the key behind bit `bit` of the input, for each bit of one byte; then all values by their lowest bit.
    for (let bit = 0; bit < 8; bit++) hash[0x80 >> bit] = keyWindow(key, 8 * at + bit);
    for (let value = 1; value < 256; value++) hash[value] = hash[value & (value - 1)]! ^ hash[value & -value]!;
    arena.u32.set(hash, ((off + RSS_TOEPLITZ) >>> 2) + 256 * at);
  }
}

/** 32 bits of the key from bit `bit` on, the first byte's highest bit being bit 0. */
function keyWindow(key: Uint8Array, bit: number): number {
  const at = bit >>> 3;
  const high = ((key[at]! << 24) | (key[at + 1]! << 16) | (key[at + 2]! << 8) | key[at + 3]!) >>> 0;
  const shift = bit & 7;
  return shift === 0 ? high : ((high << shift) | (key[at + 4]! >>> (8 - shift))) >>> 0;
}
