// virtchnl ADD/DEL_ETH_ADDR, ADD/DEL_VLAN, CONFIG_PROMISCUOUS_MODE and VLAN stripping: what reaches the guest. The lists are the
// function's; the backend learns them as attributes and filters. A list is taken whole or not at all.
import {
  AVF_MAC_FILTERS_MAX,
  ethAddrListCodec,
  PROMISC_MULTICAST,
  PROMISC_UNICAST,
  promiscCodec,
  VIRTCHNL_STATUS,
  vlanListCodec,
} from "@emudev/avf";
import { type Handler, INVALID, OK, type Reply, take, type VirtchnlContext } from "./context.ts";

const key = (mac: Uint8Array): string => Buffer.from(mac).toString("hex");

function publishMacs({ vf, setAttr }: VirtchnlContext): Reply {
  setAttr("mac_filters", [...vf.macs.values()]);
  return OK;
}

export const addEthAddr: Handler = (context, data): Reply => {
  const { macs } = context.vf;
  const msg = take(ethAddrListCodec, data);
  if (msg === null) return INVALID;
  const fresh = new Map(msg.list.map(({ addr }) => [key(addr), addr] as const).filter(([name]) => !macs.has(name)));
  if (macs.size + fresh.size > AVF_MAC_FILTERS_MAX) return { status: VIRTCHNL_STATUS.ERR_NO_MEMORY };
  for (const [name, addr] of fresh) macs.set(name, addr);
  return publishMacs(context);
};

export const delEthAddr: Handler = (context, data): Reply => {
  const msg = take(ethAddrListCodec, data);
  if (msg === null) return INVALID;
  for (const { addr } of msg.list) context.vf.macs.delete(key(addr));
  return publishMacs(context);
};

function publishVlans({ vf, setAttr }: VirtchnlContext): Reply {
  setAttr(
    "vlan_filters",
    [...vf.vlans].sort((a, b) => a - b),
  );
  return OK;
}

export const addVlan: Handler = (context, data): Reply => {
  const msg = take(vlanListCodec, data);
  if (msg === null) return INVALID;
  for (const id of msg.ids) context.vf.vlans.add(id);
  return publishVlans(context);
};

export const delVlan: Handler = (context, data): Reply => {
  const msg = take(vlanListCodec, data);
  if (msg === null) return INVALID;
  for (const id of msg.ids) context.vf.vlans.delete(id);
  return publishVlans(context);
};

export const configPromiscuous: Handler = ({ setAttr }, data): Reply => {
  const msg = take(promiscCodec, data);
  if (msg === null) return INVALID;
  setAttr("promisc_unicast", (msg.flags & PROMISC_UNICAST) !== 0);
  setAttr("promisc_multicast", (msg.flags & PROMISC_MULTICAST) !== 0);
  return OK;
};

export const enableVlanStripping: Handler = ({ setAttr }): Reply => {
  setAttr("vlan_strip", true);
  return OK;
};

export const disableVlanStripping: Handler = ({ setAttr }): Reply => {
  setAttr("vlan_strip", false);
  return OK;
};
