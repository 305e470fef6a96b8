// virtchnl GET_STATS: twelve u64 counters seen from the guest. Linux asks about every two seconds.
import type { Codec } from "../codec.ts";

/** The counters in the order of the wire. */
export const ETH_STATS_FIELDS = [
  "rxBytes",
  "rxUnicast",
  "rxMulticast",
  "rxBroadcast",
  "rxDiscards",
  "rxUnknownProtocol",
  "txBytes",
  "txUnicast",
  "txMulticast",
  "txBroadcast",
  "txDiscards",
  "txErrors",
] as const;

export type EthStatsWords = Record<(typeof ETH_STATS_FIELDS)[number], bigint>;

export const ETH_STATS_BYTES = 8 * ETH_STATS_FIELDS.length;

/** GET_STATS, device to driver: 96 bytes. */
export const ethStatsCodec: Codec<EthStatsWords> = {
  name: "GET_STATS",
  minBytes: ETH_STATS_BYTES,
  size: () => ETH_STATS_BYTES,
  encodeInto(view, offset, msg) {
    ETH_STATS_FIELDS.forEach((field, i) => {
      view.setBigUint64(offset + 8 * i, msg[field], true);
    });
    return ETH_STATS_BYTES;
  },
  decode(view, offset, length) {
    if (length < ETH_STATS_BYTES) return null;
    const msg = {} as EthStatsWords;
    ETH_STATS_FIELDS.forEach((field, i) => {
      msg[field] = view.getBigUint64(offset + 8 * i, true);
    });
    return msg;
  },
  invalid: () => null,
};
