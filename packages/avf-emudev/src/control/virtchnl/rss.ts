// virtchnl CONFIG_RSS_KEY, CONFIG_RSS_LUT, GET_RSS_HENA_CAPS and SET_RSS_HENA: checked and kept as attributes. A table that names a
// queue the function has not got is refused.
import { encode, RSS_HENA_ALL, rssHenaCodec, rssKeyCodec, rssLutCodec } from "@emudev/avf";
import { type Handler, INVALID, OK, type Reply, take } from "./context.ts";

export const configRssKey: Handler = async ({ setAttr }, data): Promise<Reply> => {
  const msg = take(rssKeyCodec, data);
  if (msg === null) return INVALID;
  await setAttr("rss_key", msg.bytes);
  return OK;
};

export const configRssLut: Handler = async ({ vf, setAttr }, data): Promise<Reply> => {
  const msg = take(rssLutCodec, data);
  if (msg === null || msg.bytes.some((queue) => queue >= vf.rx.length)) return INVALID;
  await setAttr("rss_lut", msg.bytes);
  return OK;
};

export const getRssHenaCaps: Handler = (): Reply => ({ status: 0, data: encode(rssHenaCodec, RSS_HENA_ALL) });

export const setRssHena: Handler = async ({ setAttr }, data): Promise<Reply> => {
  const hena = take(rssHenaCodec, data);
  if (hena === null || (hena & ~RSS_HENA_ALL) !== 0n) return INVALID;
  await setAttr("rss_hena", hena);
  return OK;
};
