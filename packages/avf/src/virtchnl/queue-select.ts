// virtchnl ENABLE_QUEUES and DISABLE_QUEUES, and the request of GET_STATS, which uses the VSI alone. DPDK enables one queue a
// message, transmit queues first; Linux all at once.
import { type Codec, clear } from "../codec.ts";
import { AVF_QUEUE_PAIRS_MAX } from "../layout/limits.ts";

export interface QueueSelect {
  vsiId: number;
  /** Bit q: receive queue q. */
  rxQueues: number;
  txQueues: number;
}

/** Driver to device: {0 vsi u16, 2 pad, 4 rx bitmap u32, 8 tx bitmap u32}. */
export const queueSelectCodec: Codec<QueueSelect> = {
  name: "queue select",
  minBytes: 12,
  size: () => 12,
  encodeInto(view, offset, msg) {
    clear(view, offset, 12);
    view.setUint16(offset, msg.vsiId, true);
    view.setUint32(offset + 4, msg.rxQueues, true);
    view.setUint32(offset + 8, msg.txQueues, true);
    return 12;
  },
  decode(view, offset, length) {
    if (length < 12) return null;
    return {
      vsiId: view.getUint16(offset, true),
      rxQueues: view.getUint32(offset + 4, true),
      txQueues: view.getUint32(offset + 8, true),
    };
  },
  invalid(msg) {
    const all = (msg.rxQueues | msg.txQueues) >>> 0;
    if (all === 0) return "no queue selected";
    if (all >>> AVF_QUEUE_PAIRS_MAX !== 0) return `queues 0x${all.toString(16)} beyond ${AVF_QUEUE_PAIRS_MAX}`;
    return null;
  },
};
