// virtchnl ADD/DEL_ETH_ADDR, ADD/DEL_VLAN, CONFIG_PROMISCUOUS_MODE and VLAN stripping: what reaches the guest. The lists are the
// function's; the backend learns them as attributes and filters. A list is taken whole or not at all, and answered when the
// backend filters by it.
import {
  AVF_MAC_FILTERS_MAX,
  ETH_ADDR_PRIMARY,
  ethAddrListCodec,
  isMulticastMac,
  PROMISC_MULTICAST,
  PROMISC_UNICAST,
  promiscCodec,
  VIRTCHNL_STATUS,
  vlanListCodec,
} from "@emudev/avf";
import { type Handler, INVALID, OK, type Reply, take, type VirtchnlContext } from "./context.ts";

const key = (mac: Uint8Array): string => Buffer.from(mac).toString("hex");

const publishMacs = ({ vf, setAttr }: VirtchnlContext): Promise<void> => setAttr("mac_filters", [...vf.macs.values()]);

export const addEthAddr: Handler = async (context, data): Promise<Reply> => {
  const { macs } = context.vf;
  const msg = take(ethAddrListCodec, data);
  if (msg === null) return INVALID;
  const primary = msg.list.find(({ type }) => type === ETH_ADDR_PRIMARY);
  if (primary !== undefined && isMulticastMac(primary.addr)) return INVALID;
  const fresh = new Map(msg.list.map(({ addr }) => [key(addr), addr] as const).filter(([name]) => !macs.has(name)));
  if (macs.size + fresh.size > AVF_MAC_FILTERS_MAX) return { status: VIRTCHNL_STATUS.ERR_NO_MEMORY };
  for (const [name, addr] of fresh) macs.set(name, addr);
  await publishMacs(context);
  // The driver's own address: after its next RESET_VF it is to find this one, as on hardware.
  if (primary !== undefined && key(primary.addr) !== key(context.mac())) await context.setAttr("mac", primary.addr);
  return OK;
};

export const delEthAddr: Handler = async (context, data): Promise<Reply> => {
  const msg = take(ethAddrListCodec, data);
  if (msg === null) return INVALID;
  for (const { addr } of msg.list) context.vf.macs.delete(key(addr));
  await publishMacs(context);
  return OK;
};

const publishVlans = ({ vf, setAttr }: VirtchnlContext): Promise<void> => {
  const ids = [...vf.vlans].sort((a, b) => a - b);
  return setAttr("vlan_filters", ids);
};

export const addVlan: Handler = async (context, data): Promise<Reply> => {
  const msg = take(vlanListCodec, data);
  if (msg === null) return INVALID;
  for (const id of msg.ids) context.vf.vlans.add(id);
  await publishVlans(context);
  return OK;
};

export const delVlan: Handler = async (context, data): Promise<Reply> => {
  const msg = take(vlanListCodec, data);
  if (msg === null) return INVALID;
  for (const id of msg.ids) context.vf.vlans.delete(id);
  await publishVlans(context);
  return OK;
};

export const configPromiscuous: Handler = async ({ setAttr }, data): Promise<Reply> => {
  const msg = take(promiscCodec, data);
  if (msg === null) return INVALID;
  await setAttr("promisc_unicast", (msg.flags & PROMISC_UNICAST) !== 0);
  await setAttr("promisc_multicast", (msg.flags & PROMISC_MULTICAST) !== 0);
  return OK;
};

const vlanStripping =
  (on: boolean): Handler =>
  async ({ setAttr }): Promise<Reply> => {
    await setAttr("vlan_strip", on);
    return OK;
  };

export const enableVlanStripping = vlanStripping(true);
export const disableVlanStripping = vlanStripping(false);
