// virtchnl VERSION, GET_VF_RESOURCES and REQUEST_QUEUES: what driver and device agree on first.
import { type Codec, clear, putBytes, takeBytes } from "../codec.ts";
import { VSI_TYPE_SRIOV } from "./ops.ts";

export interface VersionInfo {
  major: number;
  minor: number;
}

/** VERSION, both ways: {0 major u32, 4 minor u32}. */
export const versionCodec: Codec<VersionInfo> = {
  name: "VERSION",
  minBytes: 8,
  size: () => 8,
  encodeInto(view, offset, msg) {
    view.setUint32(offset, msg.major, true);
    view.setUint32(offset + 4, msg.minor, true);
    return 8;
  },
  decode(view, offset, length) {
    if (length < 8) return null;
    return { major: view.getUint32(offset, true), minor: view.getUint32(offset + 4, true) };
  },
  invalid: (msg) => (msg.major === 0 ? "major version 0" : null),
};

/** GET_VF_RESOURCES, driver to device: {0 caps u32}, the VF_CAP bits asked for. */
export const capsCodec: Codec<number> = {
  name: "GET_VF_RESOURCES request",
  minBytes: 4,
  size: () => 4,
  encodeInto(view, offset, caps) {
    view.setUint32(offset, caps, true);
    return 4;
  },
  decode: (view, offset, length) => (length < 4 ? null : view.getUint32(offset, true)),
  invalid: () => null,
};

export interface VsiResource {
  vsiId: number;
  numQueuePairs: number;
  vsiType: number;
  qsetHandle: number;
  mac: Uint8Array;
}

export interface VfResource {
  numQueuePairs: number;
  maxVectors: number;
  /** 0 = any. */
  maxMtu: number;
  caps: number;
  rssKeySize: number;
  rssLutSize: number;
  vsis: VsiResource[];
}

const HEAD = 20;
const VSI = 16;

/** GET_VF_RESOURCES, device to driver: 20 bytes, then 16 for each VSI. */
export const vfResourceCodec: Codec<VfResource> = {
  name: "GET_VF_RESOURCES",
  minBytes: HEAD,
  size: (msg) => HEAD + VSI * msg.vsis.length,
  encodeInto(view, offset, msg) {
    const bytes = HEAD + VSI * msg.vsis.length;
    clear(view, offset, bytes);
    view.setUint16(offset, msg.vsis.length, true);
    view.setUint16(offset + 2, msg.numQueuePairs, true);
    view.setUint16(offset + 4, msg.maxVectors, true);
    view.setUint16(offset + 6, msg.maxMtu, true);
    view.setUint32(offset + 8, msg.caps, true);
    view.setUint32(offset + 12, msg.rssKeySize, true);
    view.setUint32(offset + 16, msg.rssLutSize, true);
    msg.vsis.forEach((vsi, i) => {
      const at = offset + HEAD + VSI * i;
      view.setUint16(at, vsi.vsiId, true);
      view.setUint16(at + 2, vsi.numQueuePairs, true);
      view.setInt32(at + 4, vsi.vsiType, true);
      view.setUint16(at + 8, vsi.qsetHandle, true);
      putBytes(view, at + 10, vsi.mac);
    });
    return bytes;
  },
  decode(view, offset, length) {
    if (length < HEAD) return null;
    const count = view.getUint16(offset, true);
    if (length < HEAD + VSI * count) return null;
    const vsis: VsiResource[] = [];
    for (let i = 0; i < count; i++) {
      const at = offset + HEAD + VSI * i;
      vsis.push({
        vsiId: view.getUint16(at, true),
        numQueuePairs: view.getUint16(at + 2, true),
        vsiType: view.getInt32(at + 4, true),
        qsetHandle: view.getUint16(at + 8, true),
        mac: takeBytes(view, at + 10, 6),
      });
    }
    return {
      numQueuePairs: view.getUint16(offset + 2, true),
      maxVectors: view.getUint16(offset + 4, true),
      maxMtu: view.getUint16(offset + 6, true),
      caps: view.getUint32(offset + 8, true),
      rssKeySize: view.getUint32(offset + 12, true),
      rssLutSize: view.getUint32(offset + 16, true),
      vsis,
    };
  },
  invalid(msg) {
    if (!msg.vsis.some((vsi) => vsi.vsiType === VSI_TYPE_SRIOV)) return `no VSI of type ${VSI_TYPE_SRIOV}`;
    if (msg.numQueuePairs === 0) return "no queue pairs";
    if (msg.maxVectors < 2)
      return `${msg.maxVectors} vectors; a driver needs one for the admin queue and one for queues`;
    return null;
  },
};

/** REQUEST_QUEUES, both ways: {0 pairs u16}. */
export const requestQueuesCodec: Codec<number> = {
  name: "REQUEST_QUEUES",
  minBytes: 2,
  size: () => 2,
  encodeInto(view, offset, pairs) {
    view.setUint16(offset, pairs, true);
    return 2;
  },
  decode: (view, offset, length) => (length < 2 ? null : view.getUint16(offset, true)),
  invalid: (pairs) => (pairs === 0 ? "0 queue pairs asked for" : null),
};
