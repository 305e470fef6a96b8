// virtchnl's second VLAN family (capability VLAN_V2): GET_OFFLOAD_VLAN_V2_CAPS, ADD/DEL_VLAN_V2, and the settings of
// stripping, insertion and filtering. Our device does not grant it; the codecs serve the log and other devices.
import { type Codec, clear } from "../codec.ts";

/** Bits of a support word: ethertypes, where the tag travels, and how settings combine. */
export const VLAN_V2 = {
  ETHERTYPE_8100: 0x1,
  ETHERTYPE_88A8: 0x2,
  ETHERTYPE_9100: 0x4,
  TAG_L2TAG1: 0x100,
  TAG_L2TAG2: 0x200,
  TAG_L2TAG2_2: 0x400,
  PRIO: 0x0100_0000,
  FILTER_MASK: 0x1000_0000,
  AND: 0x2000_0000,
  XOR: 0x4000_0000,
  TOGGLE: 0x8000_0000,
} as const;

export interface VlanV2Caps {
  filterOuter: number;
  filterInner: number;
  filterEthertypeInit: number;
  maxFilters: number;
  stripOuter: number;
  stripInner: number;
  insertOuter: number;
  insertInner: number;
  offloadEthertypeInit: number;
  ethertypeMatch: number;
}

/** GET_OFFLOAD_VLAN_V2_CAPS, device to driver: 40 bytes, filtering then offloads. */
export const vlanV2CapsCodec: Codec<VlanV2Caps> = {
  name: "GET_OFFLOAD_VLAN_V2_CAPS",
  minBytes: 40,
  size: () => 40,
  encodeInto(view, offset, msg) {
    clear(view, offset, 40);
    view.setUint32(offset, msg.filterOuter, true);
    view.setUint32(offset + 4, msg.filterInner, true);
    view.setUint32(offset + 8, msg.filterEthertypeInit, true);
    view.setUint16(offset + 12, msg.maxFilters, true);
    view.setUint32(offset + 16, msg.stripOuter, true);
    view.setUint32(offset + 20, msg.stripInner, true);
    view.setUint32(offset + 24, msg.insertOuter, true);
    view.setUint32(offset + 28, msg.insertInner, true);
    view.setUint32(offset + 32, msg.offloadEthertypeInit, true);
    view.setUint8(offset + 36, msg.ethertypeMatch);
    return 40;
  },
  decode(view, offset, length) {
    if (length < 40) return null;
    return {
      filterOuter: view.getUint32(offset, true),
      filterInner: view.getUint32(offset + 4, true),
      filterEthertypeInit: view.getUint32(offset + 8, true),
      maxFilters: view.getUint16(offset + 12, true),
      stripOuter: view.getUint32(offset + 16, true),
      stripInner: view.getUint32(offset + 20, true),
      insertOuter: view.getUint32(offset + 24, true),
      insertInner: view.getUint32(offset + 28, true),
      offloadEthertypeInit: view.getUint32(offset + 32, true),
      ethertypeMatch: view.getUint8(offset + 36),
    };
  },
  invalid: () => null,
};

export interface VlanTag {
  tci: number;
  mask: number;
  tpid: number;
}

export interface VlanFilterV2 {
  inner: VlanTag;
  outer: VlanTag;
}

export interface VlanListV2 {
  vportId: number;
  filters: VlanFilterV2[];
}

const HEAD = 8;
const FILTER = 32;

const putTag = (view: DataView, at: number, tag: VlanTag): void => {
  view.setUint16(at, tag.tci, true);
  view.setUint16(at + 2, tag.mask, true);
  view.setUint16(at + 4, tag.tpid, true);
};
const takeTag = (view: DataView, at: number): VlanTag => ({
  tci: view.getUint16(at, true),
  mask: view.getUint16(at + 2, true),
  tpid: view.getUint16(at + 4, true),
});

/** ADD/DEL_VLAN_V2: {0 vport u16, 2 count u16, 8 filters of 32: inner {tci, mask, tpid, pad}, outer the same}. */
export const vlanListV2Codec: Codec<VlanListV2> = {
  name: "VLAN list v2",
  minBytes: HEAD,
  size: (msg) => HEAD + FILTER * (msg.filters.length + 1),
  encodeInto(view, offset, msg) {
    const bytes = HEAD + FILTER * (msg.filters.length + 1);
    clear(view, offset, bytes);
    view.setUint16(offset, msg.vportId, true);
    view.setUint16(offset + 2, msg.filters.length, true);
    msg.filters.forEach((filter, i) => {
      putTag(view, offset + HEAD + FILTER * i, filter.inner);
      putTag(view, offset + HEAD + FILTER * i + 8, filter.outer);
    });
    return bytes;
  },
  decode(view, offset, length) {
    if (length < HEAD) return null;
    const count = view.getUint16(offset + 2, true);
    if (length < HEAD + FILTER * count) return null;
    const filters: VlanFilterV2[] = [];
    for (let i = 0; i < count; i++) {
      const at = offset + HEAD + FILTER * i;
      filters.push({ inner: takeTag(view, at), outer: takeTag(view, at + 8) });
    }
    return { vportId: view.getUint16(offset, true), filters };
  },
  invalid: (msg) => (msg.filters.length === 0 ? "an empty list of VLAN filters" : null),
};

export interface VlanSetting {
  outer: number;
  inner: number;
  vportId: number;
}

/** Stripping, insertion and filtering v2: {0 outer u32, 4 inner u32, 8 vport u16, pad to 16}. */
export const vlanSettingCodec: Codec<VlanSetting> = {
  name: "VLAN setting",
  minBytes: 16,
  size: () => 16,
  encodeInto(view, offset, msg) {
    clear(view, offset, 16);
    view.setUint32(offset, msg.outer, true);
    view.setUint32(offset + 4, msg.inner, true);
    view.setUint16(offset + 8, msg.vportId, true);
    return 16;
  },
  decode(view, offset, length) {
    if (length < 16) return null;
    return {
      outer: view.getUint32(offset, true),
      inner: view.getUint32(offset + 4, true),
      vportId: view.getUint16(offset + 8, true),
    };
  },
  invalid: (msg) => (msg.outer === 0 && msg.inner === 0 ? "no ethertype set" : null),
};
