// virtchnl CONFIG_IRQ_MAP: which vector each queue raises. A legacy list (14 + 12 n bytes from drivers). Linux sends the
// queue vectors first and vector 0 with empty maps last.
import { type Codec, clear } from "../codec.ts";
import { AVF_VECTORS_MAX } from "../layout/limits.ts";

export interface VectorMap {
  vsiId: number;
  vectorId: number;
  /** Bit q: receive queue q raises this vector. */
  rxqMap: number;
  txqMap: number;
  /** ITR index 0-2, 3 = none. */
  rxitrIdx: number;
  txitrIdx: number;
}

export interface IrqMap {
  vectors: VectorMap[];
}

const HEAD = 2;
export const VECTOR_MAP_BYTES = 12;

/** CONFIG_IRQ_MAP, driver to device: {0 count u16, 2 maps of 12 bytes, six u16 each}. */
export const irqMapCodec: Codec<IrqMap> = {
  name: "CONFIG_IRQ_MAP",
  minBytes: HEAD,
  size: (msg) => HEAD + VECTOR_MAP_BYTES * (msg.vectors.length + 1),
  encodeInto(view, offset, msg) {
    const bytes = HEAD + VECTOR_MAP_BYTES * (msg.vectors.length + 1);
    clear(view, offset, bytes);
    view.setUint16(offset, msg.vectors.length, true);
    msg.vectors.forEach((map, i) => {
      const at = offset + HEAD + VECTOR_MAP_BYTES * i;
      view.setUint16(at, map.vsiId, true);
      view.setUint16(at + 2, map.vectorId, true);
      view.setUint16(at + 4, map.rxqMap, true);
      view.setUint16(at + 6, map.txqMap, true);
      view.setUint16(at + 8, map.rxitrIdx, true);
      view.setUint16(at + 10, map.txitrIdx, true);
    });
    return bytes;
  },
  decode(view, offset, length) {
    if (length < HEAD) return null;
    const count = view.getUint16(offset, true);
    if (length < HEAD + VECTOR_MAP_BYTES * count) return null;
    const vectors: VectorMap[] = [];
    for (let i = 0; i < count; i++) {
      const at = offset + HEAD + VECTOR_MAP_BYTES * i;
      vectors.push({
        vsiId: view.getUint16(at, true),
        vectorId: view.getUint16(at + 2, true),
        rxqMap: view.getUint16(at + 4, true),
        txqMap: view.getUint16(at + 6, true),
        rxitrIdx: view.getUint16(at + 8, true),
        txitrIdx: view.getUint16(at + 10, true),
      });
    }
    return { vectors };
  },
  invalid(msg) {
    if (msg.vectors.length === 0 || msg.vectors.length > AVF_VECTORS_MAX) return `${msg.vectors.length} vector maps`;
    for (const map of msg.vectors) {
      if (map.vectorId >= AVF_VECTORS_MAX) return `vector ${map.vectorId}`;
      if (map.rxitrIdx > 3 || map.txitrIdx > 3) return `ITR index ${Math.max(map.rxitrIdx, map.txitrIdx)}`;
      if (map.vectorId === 0 && (map.rxqMap | map.txqMap) !== 0) return "a queue on vector 0, the admin queue's";
    }
    return null;
  },
};
