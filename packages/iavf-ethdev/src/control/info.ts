// What the port can do (rte_eth_dev_info), from what the device has granted.
import * as A from "@emudev/avf";
import type { EthDevInfo } from "@emudev/ethdev";

export const DRIVER_NAME = "net_iavf";
const RING_DEFAULT = 512;
const LIMITS = { min: A.AVF_RING_LEN_MIN, max: 4096, align: A.AVF_RING_LEN_STEP };
const MTU_MIN = 68;

export function portInfo(maxQueues: number, { caps, maxMtu, rssLutSize, rssKeySize }: A.VfResource): EthDevInfo {
  const vlan = (caps & A.VF_CAP.VLAN) !== 0;
  const rss = (caps & A.VF_CAP.RSS_PF) !== 0;
  const checksums = ["IPV4_CKSUM", "UDP_CKSUM", "TCP_CKSUM", "SCTP_CKSUM"];
  return {
    driverName: DRIVER_NAME,
    minRxBufsize: A.AVF_RX_BUF_MIN,
    maxRxPktlen: A.AVF_FRAME_MAX,
    maxRxQueues: maxQueues,
    maxTxQueues: maxQueues,
    rxOffloadCapa: [...checksums.slice(0, 3), "SCATTER", ...(vlan ? ["VLAN_STRIP"] : []), ...(rss ? ["RSS_HASH"] : [])],
    txOffloadCapa: [...checksums, "TCP_TSO", "MULTI_SEGS", ...(vlan ? ["VLAN_INSERT"] : [])],
    rxDescLim: LIMITS,
    txDescLim: LIMITS,
    defaultRxRingSize: RING_DEFAULT,
    defaultTxRingSize: RING_DEFAULT,
    speedCapa: [],
    retaSize: rss ? rssLutSize : 0,
    hashKeySize: rss ? rssKeySize : 0,
    minMtu: MTU_MIN,
    maxMtu: maxMtu === 0 ? A.AVF_MTU_MAX : Math.min(maxMtu, A.AVF_MTU_MAX),
    maxMacAddrs: A.AVF_MAC_FILTERS_MAX,
  };
}
