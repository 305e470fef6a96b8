// virtchnl messages behind capabilities that our device does not grant: ENABLE/DISABLE_QUEUES_V2 and MAP_QUEUE_VECTOR
// (LARGE_NUM_QPAIRS), GET_MAX_RSS_QREGION, GET_SUPPORTED_RXDIDS (RX_FLEX_DESC), PTP. Kept for drivers, the log and later widening.
import { type Codec, clear } from "../codec.ts";

export const QUEUE_TYPE_TX = 0;
export const QUEUE_TYPE_RX = 1;

export interface QueueChunk {
  type: number;
  startQueueId: number;
  numQueues: number;
}

export interface QueuesV2 {
  vportId: number;
  chunks: QueueChunk[];
}

const HEAD = 8;

/** ENABLE/DISABLE_QUEUES_V2: {0 vport u16, 4 chunks u16, 8 chunks of 8: type s32, start u16, count u16}. */
export const queuesV2Codec: Codec<QueuesV2> = {
  name: "queues v2",
  minBytes: HEAD,
  size: (msg) => HEAD + 8 * Math.max(1, msg.chunks.length),
  encodeInto(view, offset, msg) {
    const bytes = HEAD + 8 * Math.max(1, msg.chunks.length);
    clear(view, offset, bytes);
    view.setUint16(offset, msg.vportId, true);
    view.setUint16(offset + 4, msg.chunks.length, true);
    msg.chunks.forEach((chunk, i) => {
      view.setInt32(offset + HEAD + 8 * i, chunk.type, true);
      view.setUint16(offset + HEAD + 8 * i + 4, chunk.startQueueId, true);
      view.setUint16(offset + HEAD + 8 * i + 6, chunk.numQueues, true);
    });
    return bytes;
  },
  decode(view, offset, length) {
    if (length < HEAD) return null;
    const count = view.getUint16(offset + 4, true);
    if (length < HEAD + 8 * count) return null;
    const chunks: QueueChunk[] = [];
    for (let i = 0; i < count; i++) {
      const at = offset + HEAD + 8 * i;
      chunks.push({
        type: view.getInt32(at, true),
        startQueueId: view.getUint16(at + 4, true),
        numQueues: view.getUint16(at + 6, true),
      });
    }
    return { vportId: view.getUint16(offset, true), chunks };
  },
  invalid(msg) {
    if (msg.chunks.length === 0) return "no chunk";
    if (msg.chunks.some(({ type }) => type !== QUEUE_TYPE_TX && type !== QUEUE_TYPE_RX)) return "an unknown queue type";
    return msg.chunks.some(({ numQueues }) => numQueues === 0) ? "a chunk of no queues" : null;
  },
};

export interface QueueVector {
  queueId: number;
  vectorId: number;
  /** 0 = Rx, 1 = Tx, 3 = none. */
  itrIdx: number;
  queueType: number;
}

export interface QueueVectorMaps {
  vportId: number;
  maps: QueueVector[];
}

/** MAP_QUEUE_VECTOR: {0 vport u16, 2 count u16, 8 maps of 16: queue u16, vector u16, pad, itr s32, type s32}. */
export const queueVectorMapsCodec: Codec<QueueVectorMaps> = {
  name: "MAP_QUEUE_VECTOR",
  minBytes: HEAD,
  size: (msg) => HEAD + 16 * Math.max(1, msg.maps.length),
  encodeInto(view, offset, msg) {
    const bytes = HEAD + 16 * Math.max(1, msg.maps.length);
    clear(view, offset, bytes);
    view.setUint16(offset, msg.vportId, true);
    view.setUint16(offset + 2, msg.maps.length, true);
    msg.maps.forEach((map, i) => {
      const at = offset + HEAD + 16 * i;
      view.setUint16(at, map.queueId, true);
      view.setUint16(at + 2, map.vectorId, true);
      view.setInt32(at + 8, map.itrIdx, true);
      view.setInt32(at + 12, map.queueType, true);
    });
    return bytes;
  },
  decode(view, offset, length) {
    if (length < HEAD) return null;
    const count = view.getUint16(offset + 2, true);
    if (length < HEAD + 16 * count) return null;
    const maps: QueueVector[] = [];
    for (let i = 0; i < count; i++) {
      const at = offset + HEAD + 16 * i;
      maps.push({
        queueId: view.getUint16(at, true),
        vectorId: view.getUint16(at + 2, true),
        itrIdx: view.getInt32(at + 8, true),
        queueType: view.getInt32(at + 12, true),
      });
    }
    return { vportId: view.getUint16(offset, true), maps };
  },
  invalid: (msg) => (msg.maps.length === 0 ? "no map" : null),
};

export interface RssQregion {
  vportId: number;
  /** log2 of the most queues a region has. */
  qregionWidth: number;
}

/** GET_MAX_RSS_QREGION, device to driver: {0 vport u16, 2 width u16, pad to 8}. */
export const rssQregionCodec: Codec<RssQregion> = {
  name: "GET_MAX_RSS_QREGION",
  minBytes: 8,
  size: () => 8,
  encodeInto(view, offset, msg) {
    clear(view, offset, 8);
    view.setUint16(offset, msg.vportId, true);
    view.setUint16(offset + 2, msg.qregionWidth, true);
    return 8;
  },
  decode(view, offset, length) {
    if (length < 8) return null;
    return { vportId: view.getUint16(offset, true), qregionWidth: view.getUint16(offset + 2, true) };
  },
  invalid: (msg) => (msg.qregionWidth > 15 ? `a region of 2^${msg.qregionWidth} queues` : null),
};

/** GET_SUPPORTED_RXDIDS, device to driver: {0 bitmap u64}. */
export const rxdidsCodec: Codec<bigint> = {
  name: "GET_SUPPORTED_RXDIDS",
  minBytes: 8,
  size: () => 8,
  encodeInto(view, offset, bitmap) {
    view.setBigUint64(offset, bitmap, true);
    return 8;
  },
  decode: (view, offset, length) => (length < 8 ? null : view.getBigUint64(offset, true)),
  invalid: (bitmap) => (bitmap === 0n ? "no descriptor id" : null),
};

export interface PtpCaps {
  clockHi: number;
  clockLo: number;
  bar: number;
  caps: number;
  maxAdj: number;
  txTimestampIdx: number;
  extTs: number;
  perOut: number;
  pins: number;
  txTimestampFormat: number;
}

/** PTP_GET_CAPS: 48 bytes; all-zero caps mean no PTP. */
export const ptpCapsCodec: Codec<PtpCaps> = {
  name: "PTP_GET_CAPS",
  minBytes: 48,
  size: () => 48,
  encodeInto(view, offset, msg) {
    clear(view, offset, 48);
    view.setUint32(offset, msg.clockHi, true);
    view.setUint32(offset + 4, msg.clockLo, true);
    view.setUint8(offset + 8, msg.bar);
    view.setUint32(offset + 24, msg.caps, true);
    view.setInt32(offset + 28, msg.maxAdj, true);
    view.setUint8(offset + 32, msg.txTimestampIdx);
    view.setUint8(offset + 33, msg.extTs);
    view.setUint8(offset + 34, msg.perOut);
    view.setUint8(offset + 35, msg.pins);
    view.setUint8(offset + 36, msg.txTimestampFormat);
    return 48;
  },
  decode(view, offset, length) {
    if (length < 48) return null;
    return {
      clockHi: view.getUint32(offset, true),
      clockLo: view.getUint32(offset + 4, true),
      bar: view.getUint8(offset + 8),
      caps: view.getUint32(offset + 24, true),
      maxAdj: view.getInt32(offset + 28, true),
      txTimestampIdx: view.getUint8(offset + 32),
      extTs: view.getUint8(offset + 33),
      perOut: view.getUint8(offset + 34),
      pins: view.getUint8(offset + 35),
      txTimestampFormat: view.getUint8(offset + 36),
    };
  },
  invalid: () => null,
};

/** PTP_GET_TIME, device to driver: {0 time u64 nanoseconds, 8 reserved}. */
export const phcTimeCodec: Codec<bigint> = {
  name: "PTP_GET_TIME",
  minBytes: 16,
  size: () => 16,
  encodeInto(view, offset, time) {
    clear(view, offset, 16);
    view.setBigUint64(offset, time, true);
    return 16;
  },
  decode: (view, offset, length) => (length < 16 ? null : view.getBigUint64(offset, true)),
  invalid: () => null,
};
