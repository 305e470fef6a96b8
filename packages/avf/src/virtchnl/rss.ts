// virtchnl CONFIG_RSS_KEY, CONFIG_RSS_LUT, CONFIG_RSS_HFUNC, GET_RSS_HENA_CAPS and SET_RSS_HENA (since Linux 6.17 called
// HASHCFG): what spreads received packets over queues. Key and table are legacy lists of bytes: drivers send one byte more.
import { type Codec, clear, putBytes, takeBytes } from "../codec.ts";
import { AVF_RSS_KEY_BYTES, AVF_RSS_LUT_ENTRIES } from "../layout/limits.ts";

export interface RssBytes {
  vsiId: number;
  bytes: Uint8Array;
}

const HEAD = 4;

const rssBytesCodec = (name: string, length: number): Codec<RssBytes> => ({
  name,
  minBytes: HEAD,
  size: (msg) => HEAD + msg.bytes.length + 1,
  encodeInto(view, offset, msg) {
    const bytes = HEAD + msg.bytes.length + 1;
    clear(view, offset, bytes);
    view.setUint16(offset, msg.vsiId, true);
    view.setUint16(offset + 2, msg.bytes.length, true);
    putBytes(view, offset + HEAD, msg.bytes);
    return bytes;
  },
  decode(view, offset, available) {
    if (available < HEAD) return null;
    const count = view.getUint16(offset + 2, true);
    if (available < HEAD + count) return null;
    return { vsiId: view.getUint16(offset, true), bytes: takeBytes(view, offset + HEAD, count) };
  },
  invalid: (msg) => (msg.bytes.length === length ? null : `${name} of ${msg.bytes.length} bytes, not ${length}`),
});

/** CONFIG_RSS_KEY: {0 vsi u16, 2 bytes u16, 4 key}. */
export const rssKeyCodec = rssBytesCodec("CONFIG_RSS_KEY", AVF_RSS_KEY_BYTES);

/** CONFIG_RSS_LUT: {0 vsi u16, 2 entries u16, 4 one queue number a byte}. */
export const rssLutCodec = rssBytesCodec("CONFIG_RSS_LUT", AVF_RSS_LUT_ENTRIES);

/** GET_RSS_HENA_CAPS (reply) and SET_RSS_HENA: {0 packet classes u64}. */
export const rssHenaCodec: Codec<bigint> = {
  name: "RSS HENA",
  minBytes: 8,
  size: () => 8,
  encodeInto(view, offset, hena) {
    view.setBigUint64(offset, hena, true);
    return 8;
  },
  decode: (view, offset, length) => (length < 8 ? null : view.getBigUint64(offset, true)),
  invalid: () => null,
};

/** Packet classes: 29-31 and 33-36 IPv4 (UDP, TCP, SCTP, other, fragments), 39-41 and 43-46 IPv6, 63 others. */
export const RSS_HENA_ALL = (0x7n << 29n) | (0xfn << 33n) | (0x7n << 39n) | (0xfn << 43n) | (1n << 63n);

export interface RssHfunc {
  vsiId: number;
  algorithm: number;
}

/** CONFIG_RSS_HFUNC: {0 vsi u16, 2 algorithm u16, 4 reserved u32}. */
export const rssHfuncCodec: Codec<RssHfunc> = {
  name: "CONFIG_RSS_HFUNC",
  minBytes: 8,
  size: () => 8,
  encodeInto(view, offset, msg) {
    clear(view, offset, 8);
    view.setUint16(offset, msg.vsiId, true);
    view.setUint16(offset + 2, msg.algorithm, true);
    return 8;
  },
  decode(view, offset, length) {
    if (length < 8) return null;
    return { vsiId: view.getUint16(offset, true), algorithm: view.getUint16(offset + 2, true) };
  },
  invalid: (msg) => (msg.algorithm > 3 ? `hash algorithm ${msg.algorithm}` : null),
};
