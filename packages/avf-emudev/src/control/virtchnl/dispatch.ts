// From a virtchnl message to its one reply: the table of operations with the capability each needs. An operation that is not in
// the table, or whose capability was not granted, is answered ERR_NOT_SUPPORTED with its own number, so no driver waits in
// vain; anything malformed is ERR_PARAM. Before GET_VF_RESOURCES only the operations that lead there are served.
import { VIRTCHNL_OP as OP, VF_CAP, VIRTCHNL_STATUS } from "@emudev/avf";
import type { Counters } from "../counters.ts";
import { type Handler, INVALID, NOT_SUPPORTED, type Reply, type VirtchnlContext } from "./context.ts";
import * as filters from "./filters.ts";
import * as queues from "./queues.ts";
import * as rss from "./rss.ts";
import * as session from "./session.ts";

interface Row {
  handler: Handler;
  /** VF_CAP bits that must have been granted. */
  caps: number;
  /** Served before GET_VF_RESOURCES too. */
  early?: boolean;
}

const TABLE = new Map<number, Row>([
  [OP.VERSION, { handler: session.version, caps: 0, early: true }],
  [OP.RESET_VF, { handler: session.resetVf, caps: 0, early: true }],
  [OP.GET_VF_RESOURCES, { handler: session.getVfResources, caps: 0, early: true }],
  [OP.CONFIG_VSI_QUEUES, { handler: queues.configVsiQueues, caps: 0 }],
  [OP.CONFIG_IRQ_MAP, { handler: queues.configIrqMap, caps: 0 }],
  [OP.ENABLE_QUEUES, { handler: queues.enableQueues, caps: 0 }],
  [OP.DISABLE_QUEUES, { handler: queues.disableQueues, caps: 0 }],
  [OP.ADD_ETH_ADDR, { handler: filters.addEthAddr, caps: 0 }],
  [OP.DEL_ETH_ADDR, { handler: filters.delEthAddr, caps: 0 }],
  [OP.ADD_VLAN, { handler: filters.addVlan, caps: VF_CAP.VLAN }],
  [OP.DEL_VLAN, { handler: filters.delVlan, caps: VF_CAP.VLAN }],
  [OP.CONFIG_PROMISCUOUS_MODE, { handler: filters.configPromiscuous, caps: 0 }],
  [OP.GET_STATS, { handler: session.getStats, caps: 0 }],
  [OP.CONFIG_RSS_KEY, { handler: rss.configRssKey, caps: VF_CAP.RSS_PF }],
  [OP.CONFIG_RSS_LUT, { handler: rss.configRssLut, caps: VF_CAP.RSS_PF }],
  [OP.GET_RSS_HENA_CAPS, { handler: rss.getRssHenaCaps, caps: VF_CAP.RSS_PF }],
  [OP.SET_RSS_HENA, { handler: rss.setRssHena, caps: VF_CAP.RSS_PF }],
  [OP.ENABLE_VLAN_STRIPPING, { handler: filters.enableVlanStripping, caps: VF_CAP.VLAN }],
  [OP.DISABLE_VLAN_STRIPPING, { handler: filters.disableVlanStripping, caps: VF_CAP.VLAN }],
  [OP.REQUEST_QUEUES, { handler: session.requestQueues, caps: VF_CAP.REQ_QUEUES }],
]);

/** Carries out one message; null = it gets no reply. */
export async function dispatch(
  context: VirtchnlContext,
  op: number,
  data: Uint8Array,
  counters: Counters,
): Promise<Reply | null> {
  counters.vcMessages++;
  const row = TABLE.get(op);
  const reply = await answer(context, row, data);
  if (reply?.status === VIRTCHNL_STATUS.ERR_PARAM) counters.vcInvalid++;
  if (reply?.status === VIRTCHNL_STATUS.ERR_NOT_SUPPORTED) counters.vcNotSupported++;
  return reply;
}

function answer(
  context: VirtchnlContext,
  row: Row | undefined,
  data: Uint8Array,
): Reply | null | Promise<Reply | null> {
  if (row === undefined) return NOT_SUPPORTED;
  if (!row.early && !context.vf.ready) return INVALID;
  if ((context.vf.caps & row.caps) !== row.caps) return NOT_SUPPORTED;
  return row.handler(context, data);
}
