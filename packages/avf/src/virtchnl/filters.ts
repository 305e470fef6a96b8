// virtchnl ADD/DEL_ETH_ADDR, ADD/DEL_VLAN and CONFIG_PROMISCUOUS_MODE: what the guest wants to receive. Both lists are legacy
// lists: drivers send one element more than they count.
import { type Codec, clear, isZeroMac, putBytes, takeBytes } from "../codec.ts";
import { AVF_MAC_FILTERS_MAX, AVF_VLAN_ID_MAX } from "../layout/limits.ts";

/** Type of an address: as before types existed, the device's own, or a further one. */
export const ETH_ADDR_LEGACY = 0;
export const ETH_ADDR_PRIMARY = 1;
export const ETH_ADDR_EXTRA = 2;

export interface EthAddr {
  addr: Uint8Array;
  type: number;
}

export interface EthAddrList {
  vsiId: number;
  list: EthAddr[];
}

const HEAD = 4;
const ETH = 8;

/** {0 vsi u16, 2 count u16, 4 entries of 8: addr[6], type u8, pad}. */
export const ethAddrListCodec: Codec<EthAddrList> = {
  name: "ethernet address list",
  minBytes: HEAD,
  size: (msg) => HEAD + ETH * (msg.list.length + 1),
  encodeInto(view, offset, msg) {
    const bytes = HEAD + ETH * (msg.list.length + 1);
    clear(view, offset, bytes);
    view.setUint16(offset, msg.vsiId, true);
    view.setUint16(offset + 2, msg.list.length, true);
    msg.list.forEach(({ addr, type }, i) => {
      putBytes(view, offset + HEAD + ETH * i, addr);
      view.setUint8(offset + HEAD + ETH * i + 6, type);
    });
    return bytes;
  },
  decode(view, offset, length) {
    if (length < HEAD) return null;
    const count = view.getUint16(offset + 2, true);
    if (length < HEAD + ETH * count) return null;
    const list: EthAddr[] = [];
    for (let i = 0; i < count; i++) {
      const at = offset + HEAD + ETH * i;
      list.push({ addr: takeBytes(view, at, 6), type: view.getUint8(at + 6) });
    }
    return { vsiId: view.getUint16(offset, true), list };
  },
  invalid(msg) {
    if (msg.list.length === 0) return "an empty list of addresses";
    if (msg.list.length > AVF_MAC_FILTERS_MAX) return `${msg.list.length} addresses, more than ${AVF_MAC_FILTERS_MAX}`;
    if (msg.list.some(({ addr }) => isZeroMac(addr))) return "address 00:00:00:00:00:00";
    if (msg.list.some(({ type }) => type > ETH_ADDR_EXTRA)) return "an address type above 2";
    return null;
  },
};

export interface VlanList {
  vsiId: number;
  ids: number[];
}

/** {0 vsi u16, 2 count u16, 4 ids u16}. */
export const vlanListCodec: Codec<VlanList> = {
  name: "VLAN list",
  minBytes: HEAD,
  size: (msg) => HEAD + 2 * (msg.ids.length + 1),
  encodeInto(view, offset, msg) {
    const bytes = HEAD + 2 * (msg.ids.length + 1);
    clear(view, offset, bytes);
    view.setUint16(offset, msg.vsiId, true);
    view.setUint16(offset + 2, msg.ids.length, true);
    msg.ids.forEach((id, i) => {
      view.setUint16(offset + HEAD + 2 * i, id, true);
    });
    return bytes;
  },
  decode(view, offset, length) {
    if (length < HEAD) return null;
    const count = view.getUint16(offset + 2, true);
    if (length < HEAD + 2 * count) return null;
    const ids: number[] = [];
    for (let i = 0; i < count; i++) ids.push(view.getUint16(offset + HEAD + 2 * i, true));
    return { vsiId: view.getUint16(offset, true), ids };
  },
  invalid(msg) {
    if (msg.ids.length === 0) return "an empty list of VLAN ids";
    const wrong = msg.ids.find((id) => id > AVF_VLAN_ID_MAX);
    return wrong === undefined ? null : `VLAN id ${wrong}, more than ${AVF_VLAN_ID_MAX}`;
  },
};

export const PROMISC_UNICAST = 1;
export const PROMISC_MULTICAST = 2;

export interface PromiscInfo {
  vsiId: number;
  /** PROMISC_* bits. */
  flags: number;
}

/** CONFIG_PROMISCUOUS_MODE: {0 vsi u16, 2 flags u16}. */
export const promiscCodec: Codec<PromiscInfo> = {
  name: "CONFIG_PROMISCUOUS_MODE",
  minBytes: 4,
  size: () => 4,
  encodeInto(view, offset, msg) {
    view.setUint16(offset, msg.vsiId, true);
    view.setUint16(offset + 2, msg.flags, true);
    return 4;
  },
  decode(view, offset, length) {
    if (length < 4) return null;
    return { vsiId: view.getUint16(offset, true), flags: view.getUint16(offset + 2, true) };
  },
  invalid: (msg) =>
    (msg.flags & ~(PROMISC_UNICAST | PROMISC_MULTICAST)) === 0 ? null : `flags 0x${msg.flags.toString(16)}`,
};
