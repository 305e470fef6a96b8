// What an AVF provider hands an AVF backend beside the generic queue information of emudev: the driver's own words about a
// queue, from virtchnl CONFIG_VSI_QUEUES.

/** `priv` of an EmuDevQueueInfo whose device type is "avf". */
export interface AvfQueuePriv {
  kind: "rx" | "tx";
  /** Number of the queue pair, 0-15. */
  queue: number;
  /** Descriptors of the ring. */
  ringLen: number;
  /** Receive: bytes of each posted buffer. */
  dataBufferSize?: number;
  /** Receive: longest frame the driver takes, in bytes without CRC. */
  maxPktSize?: number;
  /** Receive: the driver wants the CRC kept. */
  crcDisable?: boolean;
  /** Receive: descriptor id of the write-back, RXDID_LEGACY_* here. */
  rxdid?: number;
}

/** Queue numbers of emudev for queue pair i: the guest's receive queue is 2 i, its transmit queue 2 i + 1. */
export const rxQueueNumber = (pair: number): number => 2 * pair;
export const txQueueNumber = (pair: number): number => 2 * pair + 1;
