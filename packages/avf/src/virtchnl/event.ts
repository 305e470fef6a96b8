// virtchnl EVENT, device to driver only: link change and reset warnings. DPDK ignores one shorter than 16 bytes.
import { type Codec, clear } from "../codec.ts";
import { VIRTCHNL_EVENT } from "./ops.ts";

export interface PfEvent {
  /** VIRTCHNL_EVENT. */
  event: number;
  /** Mbit/s when ADV_LINK_SPEED was granted, else one of LINK_SPEED_BITS. */
  linkSpeed: number;
  linkUp: boolean;
  severity: number;
}

/** {0 event s32, 4 link speed u32, 8 link status u8, 12 severity s32}. */
export const pfEventCodec: Codec<PfEvent> = {
  name: "EVENT",
  minBytes: 16,
  size: () => 16,
  encodeInto(view, offset, msg) {
    clear(view, offset, 16);
    view.setInt32(offset, msg.event, true);
    view.setUint32(offset + 4, msg.linkSpeed, true);
    view.setUint8(offset + 8, msg.linkUp ? 1 : 0);
    view.setInt32(offset + 12, msg.severity, true);
    return 16;
  },
  decode(view, offset, length) {
    if (length < 16) return null;
    return {
      event: view.getInt32(offset, true),
      linkSpeed: view.getUint32(offset + 4, true),
      linkUp: view.getUint8(offset + 8) !== 0,
      severity: view.getInt32(offset + 12, true),
    };
  },
  invalid: (msg) =>
    msg.event < VIRTCHNL_EVENT.LINK_CHANGE || msg.event > VIRTCHNL_EVENT.PF_DRIVER_CLOSE ? `event ${msg.event}` : null,
};

/** The link speeds that exist as one bit, in Mbit/s, for drivers without ADV_LINK_SPEED. */
export const LINK_SPEED_BITS: readonly (readonly [mbps: number, bit: number])[] = [
  [100, 0x02],
  [1000, 0x04],
  [2500, 0x01],
  [5000, 0x80],
  [10000, 0x08],
  [20000, 0x20],
  [25000, 0x40],
  [40000, 0x10],
];

/** The bit of the fastest listed speed that is not above `mbps`; 0 below 100. */
export function linkSpeedBit(mbps: number): number {
  let bit = 0;
  for (const [speed, value] of LINK_SPEED_BITS) if (speed <= mbps) bit = value;
  return bit;
}

/** Mbit/s of a link speed bit; 0 for an unknown one. */
export const linkSpeedOfBit = (bit: number): number => LINK_SPEED_BITS.find(([, value]) => value === bit)?.[0] ?? 0;
