// The Virtual Function's configuration as the guest's driver has made it by virtchnl: what was granted, the queues, the
// vector map, filters, RSS. Plain data; handlers in virtchnl/ change it, device.ts reads it for the emudev class, and a
// reset replaces it whole.
import { ITR_INDEX_NONE, type RxQueueInfo, type TxQueueInfo } from "@emudev/avf";

/** The one VSI of the function. */
export const VSI_ID = 1;

export interface QueueState<Info> {
  /** As configured by CONFIG_VSI_QUEUES, null before. */
  info: Info | null;
  enabled: boolean;
  /** It was enabled when its client left: ENABLE_QUEUES goes on where it stands, everything else begins anew. */
  resume: boolean;
  /** MSI-X vector of the queue, -1 = none. */
  vector: number;
  /** ITR index 0-2 of the queue's causes, 3 = none. */
  itr: number;
}

export interface Vf {
  /** VERSION has been exchanged and GET_VF_RESOURCES answered. */
  ready: boolean;
  /** VF_CAP bits granted. */
  caps: number;
  /** Minor version of the driver's virtchnl. */
  minor: number;
  rx: QueueState<RxQueueInfo>[];
  tx: QueueState<TxQueueInfo>[];
  /** Hexadecimal addresses, to find them by, with the bytes. */
  macs: Map<string, Uint8Array>;
  vlans: Set<number>;
}

/** A function nobody has configured, with `pairs` queue pairs. */
export function newVf(pairs: number): Vf {
  const queues = () =>
    Array.from({ length: pairs }, () => ({
      info: null,
      enabled: false,
      resume: false,
      vector: -1,
      itr: ITR_INDEX_NONE,
    }));
  return { ready: false, caps: 0, minor: 0, rx: queues(), tx: queues(), macs: new Map(), vlans: new Set() };
}

/** The state of an emudev queue number (2 i = receive queue i, 2 i + 1 = transmit queue i), undefined beyond the last. */
export function queueOf(vf: Vf, number: number): QueueState<RxQueueInfo> | QueueState<TxQueueInfo> | undefined {
  return (number & 1) === 0 ? vf.rx[number >> 1] : vf.tx[number >> 1];
}

/** Numbers of the queues that are enabled. */
export function enabledQueues(vf: Vf): number[] {
  return Array.from({ length: 2 * vf.rx.length }, (_, number) => number).filter((n) => queueOf(vf, n)?.enabled);
}
