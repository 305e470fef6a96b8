// The numbers of virtchnl: operations, statuses, capability bits, events, and their names for the log.

export const VIRTCHNL_OP = {
  UNKNOWN: 0,
  VERSION: 1,
  RESET_VF: 2,
  GET_VF_RESOURCES: 3,
  CONFIG_TX_QUEUE: 4,
  CONFIG_RX_QUEUE: 5,
  CONFIG_VSI_QUEUES: 6,
  CONFIG_IRQ_MAP: 7,
  ENABLE_QUEUES: 8,
  DISABLE_QUEUES: 9,
  ADD_ETH_ADDR: 10,
  DEL_ETH_ADDR: 11,
  ADD_VLAN: 12,
  DEL_VLAN: 13,
  CONFIG_PROMISCUOUS_MODE: 14,
  GET_STATS: 15,
  EVENT: 17,
  CONFIG_RSS_HFUNC: 18,
  RDMA: 20,
  CONFIG_RDMA_IRQ_MAP: 21,
  RELEASE_RDMA_IRQ_MAP: 22,
  CONFIG_RSS_KEY: 23,
  CONFIG_RSS_LUT: 24,
  GET_RSS_HENA_CAPS: 25,
  SET_RSS_HENA: 26,
  ENABLE_VLAN_STRIPPING: 27,
  DISABLE_VLAN_STRIPPING: 28,
  REQUEST_QUEUES: 29,
  ENABLE_CHANNELS: 30,
  DISABLE_CHANNELS: 31,
  ADD_CLOUD_FILTER: 32,
  DEL_CLOUD_FILTER: 33,
  GET_SUPPORTED_RXDIDS: 44,
  ADD_RSS_CFG: 45,
  DEL_RSS_CFG: 46,
  ADD_FDIR_FILTER: 47,
  DEL_FDIR_FILTER: 48,
  GET_MAX_RSS_QREGION: 50,
  GET_OFFLOAD_VLAN_V2_CAPS: 51,
  ADD_VLAN_V2: 52,
  DEL_VLAN_V2: 53,
  ENABLE_VLAN_STRIPPING_V2: 54,
  DISABLE_VLAN_STRIPPING_V2: 55,
  ENABLE_VLAN_INSERTION_V2: 56,
  DISABLE_VLAN_INSERTION_V2: 57,
  ENABLE_VLAN_FILTERING_V2: 58,
  DISABLE_VLAN_FILTERING_V2: 59,
  PTP_GET_CAPS: 60,
  PTP_GET_TIME: 61,
  GET_QOS_CAPS: 66,
  CONFIG_QUEUE_TC_MAP: 67,
  ENABLE_QUEUES_V2: 107,
  DISABLE_QUEUES_V2: 108,
  MAP_QUEUE_VECTOR: 111,
  CONFIG_QUEUE_BW: 112,
  CONFIG_QUANTA: 113,
} as const;

/** Status of a reply; 0 is success, failures are negative. */
export const VIRTCHNL_STATUS = {
  SUCCESS: 0,
  ERR_PARAM: -5,
  ERR_NO_MEMORY: -18,
  ERR_OPCODE_MISMATCH: -38,
  ERR_CQP_COMPL_ERROR: -39,
  ERR_INVALID_VF_ID: -40,
  ERR_ADMIN_QUEUE_ERROR: -53,
  ERR_NOT_SUPPORTED: -64,
} as const;

/** Capability bits of GET_VF_RESOURCES, as unsigned 32-bit numbers. */
export const VF_CAP = {
  L2: 0x1,
  RDMA: 0x2,
  RSS_AQ: 0x8,
  RSS_REG: 0x10,
  WB_ON_ITR: 0x20,
  REQ_QUEUES: 0x40,
  ADV_LINK_SPEED: 0x80,
  INLINE_IPSEC: 0x100,
  LARGE_NUM_QPAIRS: 0x200,
  CRC: 0x400,
  TC_U32: 0x800,
  FSUB_PF: 0x4000,
  VLAN_V2: 0x8000,
  VLAN: 0x10000,
  RX_POLLING: 0x20000,
  RSS_PCTYPE_V2: 0x40000,
  RSS_PF: 0x80000,
  ENCAP: 0x100000,
  ENCAP_CSUM: 0x200000,
  RX_ENCAP_CSUM: 0x400000,
  ADQ: 0x800000,
  ADQ_V2: 0x1000000,
  USO: 0x2000000,
  RX_FLEX_DESC: 0x4000000,
  ADV_RSS_PF: 0x8000000,
  FDIR_PF: 0x10000000,
  QOS: 0x20000000,
  DCF: 0x40000000,
  PTP: 0x80000000,
} as const;

export const VIRTCHNL_EVENT = { UNKNOWN: 0, LINK_CHANGE: 1, RESET_IMPENDING: 2, PF_DRIVER_CLOSE: 3 } as const;

export const VIRTCHNL_VERSION_MAJOR = 1;
export const VIRTCHNL_VERSION_MINOR = 1;
/** The one type of VSI that drivers accept. */
export const VSI_TYPE_SRIOV = 6;

const namesOf = (table: Record<string, number>) => new Map(Object.entries(table).map(([name, value]) => [value, name]));
const OP_NAMES = namesOf(VIRTCHNL_OP);
const STATUS_NAMES = namesOf(VIRTCHNL_STATUS);
const CAP_NAMES = namesOf(VF_CAP);
const EVENT_NAMES = namesOf(VIRTCHNL_EVENT);

/** "ENABLE_QUEUES", or "op 99" for a number without a name. */
export const opName = (op: number): string => OP_NAMES.get(op) ?? `op ${op}`;

/** "SUCCESS", "ERR_PARAM", ..., or "status -7". */
export const statusName = (status: number): string => STATUS_NAMES.get(status) ?? `status ${status}`;

/** "LINK_CHANGE", ..., or "event 9". */
export const eventName = (event: number): string => EVENT_NAMES.get(event) ?? `event ${event}`;

/** "L2|VLAN|RSS_PF" for a mask of capability bits, "bit 13" where one has no name, "none" for 0. */
export function capName(mask: number): string {
  const names: string[] = [];
  for (let bit = 0; bit < 32; bit++) {
    const value = (1 << bit) >>> 0;
    if ((mask & value) !== 0) names.push(CAP_NAMES.get(value) ?? `bit ${bit}`);
  }
  return names.length === 0 ? "none" : names.join("|");
}
