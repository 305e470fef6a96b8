// The regions a backend may lend a device (rte_emu_region_map). The RFC's size is 16 bits wide and its names are unsaid;
// here both ends share this table. A region is memory of the backend in the arena that the provider reads.
import { EmuDevError } from "./errors.ts";

/** Offsets in region "eth_stats": 12 counters of 64 bits in the order of virtchnl_eth_stats, as the guest sees them. */
export const ETH_STATS = {
  rxBytes: 0,
  rxUnicast: 8,
  rxMulticast: 16,
  rxBroadcast: 24,
  rxDiscards: 32,
  rxUnknownProtocol: 40,
  txBytes: 48,
  txUnicast: 56,
  txMulticast: 64,
  txBroadcast: 72,
  txDiscards: 80,
  txErrors: 88,
} as const;
export const ETH_STATS_BYTES = 96;

const REGIONS: Record<string, number> = { eth_stats: ETH_STATS_BYTES };

/** The size of a region by name; EmuDevError ENOENT for an unknown one. */
export function regionBytes(name: string): number {
  const bytes = Object.hasOwn(REGIONS, name) ? REGIONS[name] : undefined;
  if (bytes !== undefined) return bytes;
  throw new EmuDevError("ENOENT", `emudev: no region '${name}'; one of ${Object.keys(REGIONS).join(", ")}`);
}
