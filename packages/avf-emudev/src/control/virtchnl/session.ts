// virtchnl VERSION, GET_VF_RESOURCES, RESET_VF, REQUEST_QUEUES and GET_STATS: how a driver and the function get to know each
// other. What is granted is what was asked for and is in GRANTABLE; every other capability would bring operations that
// drivers then insist on.
import {
  AVF_RSS_KEY_BYTES,
  AVF_RSS_LUT_ENTRIES,
  capsCodec,
  encode,
  requestQueuesCodec,
  VF_CAP,
  VIRTCHNL_VERSION_MAJOR,
  VIRTCHNL_VERSION_MINOR,
  VSI_TYPE_SRIOV,
  versionCodec,
  vfResourceCodec,
} from "@emudev/avf";
import { VSI_ID } from "../vf.ts";
import { type Handler, INVALID, type Reply, take } from "./context.ts";

/** VF_CAP bits that a driver can have. */
export const GRANTABLE =
  VF_CAP.L2 | VF_CAP.VLAN | VF_CAP.RSS_PF | VF_CAP.WB_ON_ITR | VF_CAP.ADV_LINK_SPEED | VF_CAP.REQ_QUEUES;

export const version: Handler = (context, data): Reply => {
  const asked = take(versionCodec, data);
  if (asked === null) return INVALID;
  // A 1.0 driver is answered 1.0; anything newer learns what we speak and decides by itself.
  const minor =
    asked.major === VIRTCHNL_VERSION_MAJOR ? Math.min(asked.minor, VIRTCHNL_VERSION_MINOR) : VIRTCHNL_VERSION_MINOR;
  context.vf.minor = minor;
  return { status: 0, data: encode(versionCodec, { major: VIRTCHNL_VERSION_MAJOR, minor }) };
};

export const getVfResources: Handler = (context, data): Reply => {
  const { vf } = context;
  // A 1.0 driver sends no capabilities and means these.
  const asked = data.length >= 4 ? take(capsCodec, data) : VF_CAP.L2 | VF_CAP.VLAN;
  if (asked === null) return INVALID;
  vf.caps = (asked & GRANTABLE) >>> 0;
  vf.ready = true;
  const numQueuePairs = vf.rx.length;
  const reply = encode(vfResourceCodec, {
    numQueuePairs,
    maxVectors: context.vectors,
    maxMtu: context.frameMax,
    caps: vf.caps,
    rssKeySize: AVF_RSS_KEY_BYTES,
    rssLutSize: AVF_RSS_LUT_ENTRIES,
    vsis: [{ vsiId: VSI_ID, numQueuePairs, vsiType: VSI_TYPE_SRIOV, qsetHandle: 0, mac: context.mac() }],
  });
  return { status: 0, data: reply, after: () => context.introduced() };
};

/** Without a reply: the driver watches VFGEN_RSTAT. */
export const resetVf: Handler = (context): null => {
  context.resetVf();
  return null;
};

/** More pairs than there are: answered with what there is. As many as now: nothing to do. Else a reset, and no reply. */
export const requestQueues: Handler = async (context, data): Promise<Reply | null> => {
  const pairs = take(requestQueuesCodec, data);
  if (pairs === null) return INVALID;
  const { pairsMax, vf } = context;
  if (pairs > pairsMax || pairs === vf.rx.length)
    return { status: 0, data: encode(requestQueuesCodec, Math.min(pairs, pairsMax)) };
  await context.changePairs(pairs);
  return null;
};

export const getStats: Handler = (context): Reply => ({ status: 0, data: context.stats() });
