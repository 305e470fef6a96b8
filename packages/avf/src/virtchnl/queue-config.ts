// virtchnl CONFIG_VSI_QUEUES: where each queue's ring lies and how it is used. A legacy list: drivers send one pair more than
// they count (72 + 64 n bytes), so encoding does too, and decoding takes any length from 8 + 64 n on.
import { type Codec, clear } from "../codec.ts";
import * as L from "../layout/limits.ts";

export interface TxQueueInfo {
  vsiId: number;
  queueId: number;
  /** Descriptors; 0 = this half of the pair is not used. */
  ringLen: number;
  headwbEnabled: number;
  ringAddr: bigint;
  headwbAddr: bigint;
}

export interface RxQueueInfo {
  vsiId: number;
  queueId: number;
  ringLen: number;
  hdrSize: number;
  splithdrEnabled: number;
  dataBufferSize: number;
  maxPktSize: number;
  crcDisable: number;
  rxdid: number;
  /** Bit 0: PTP timestamps. */
  flags: number;
  ringAddr: bigint;
  splitPos: number;
}

export interface QueuePairInfo {
  tx: TxQueueInfo;
  rx: RxQueueInfo;
}

export interface VsiQueueConfig {
  vsiId: number;
  pairs: QueuePairInfo[];
}

const HEAD = 8;
export const QUEUE_PAIR_BYTES = 64;
const RX = 24;

function putPair(view: DataView, at: number, { tx, rx }: QueuePairInfo): void {
  view.setUint16(at, tx.vsiId, true);
  view.setUint16(at + 2, tx.queueId, true);
  view.setUint16(at + 4, tx.ringLen, true);
  view.setUint16(at + 6, tx.headwbEnabled, true);
  view.setBigUint64(at + 8, tx.ringAddr, true);
  view.setBigUint64(at + 16, tx.headwbAddr, true);
  const r = at + RX;
  view.setUint16(r, rx.vsiId, true);
  view.setUint16(r + 2, rx.queueId, true);
  view.setUint32(r + 4, rx.ringLen, true);
  view.setUint16(r + 8, rx.hdrSize, true);
  view.setUint16(r + 10, rx.splithdrEnabled, true);
  view.setUint32(r + 12, rx.dataBufferSize, true);
  view.setUint32(r + 16, rx.maxPktSize, true);
  view.setUint8(r + 20, rx.crcDisable);
  view.setUint8(r + 21, rx.rxdid);
  view.setUint8(r + 22, rx.flags);
  view.setBigUint64(r + 24, rx.ringAddr, true);
  view.setInt32(r + 32, rx.splitPos, true);
}

function takePair(view: DataView, at: number): QueuePairInfo {
  const r = at + RX;
  return {
    tx: {
      vsiId: view.getUint16(at, true),
      queueId: view.getUint16(at + 2, true),
      ringLen: view.getUint16(at + 4, true),
      headwbEnabled: view.getUint16(at + 6, true),
      ringAddr: view.getBigUint64(at + 8, true),
      headwbAddr: view.getBigUint64(at + 16, true),
    },
    rx: {
      vsiId: view.getUint16(r, true),
      queueId: view.getUint16(r + 2, true),
      ringLen: view.getUint32(r + 4, true),
      hdrSize: view.getUint16(r + 8, true),
      splithdrEnabled: view.getUint16(r + 10, true),
      dataBufferSize: view.getUint32(r + 12, true),
      maxPktSize: view.getUint32(r + 16, true),
      crcDisable: view.getUint8(r + 20),
      rxdid: view.getUint8(r + 21),
      flags: view.getUint8(r + 22),
      ringAddr: view.getBigUint64(r + 24, true),
      splitPos: view.getInt32(r + 32, true),
    },
  };
}

function invalidRing(what: string, ringLen: number, ringAddr: bigint): string | null {
  if (ringLen % L.AVF_RING_LEN_STEP !== 0 || ringLen < L.AVF_RING_LEN_MIN || ringLen > L.AVF_RING_LEN_MAX)
    return `${what}: ring of ${ringLen} descriptors, not ${L.AVF_RING_LEN_MIN} to ${L.AVF_RING_LEN_MAX} by ${L.AVF_RING_LEN_STEP}`;
  if (ringAddr === 0n || (ringAddr & 0x7fn) !== 0n)
    return `${what}: ring at 0x${ringAddr.toString(16)}, not 128-byte aligned`;
  return null;
}

function invalidTx(tx: TxQueueInfo): string | null {
  if (tx.ringLen === 0) return null;
  const what = `transmit queue ${tx.queueId}`;
  if (tx.headwbEnabled !== 0) return `${what}: head write-back is not offered`;
  return invalidRing(what, tx.ringLen, tx.ringAddr);
}

function invalidRx(rx: RxQueueInfo): string | null {
  if (rx.ringLen === 0) return null;
  const what = `receive queue ${rx.queueId}`;
  if (rx.splithdrEnabled !== 0) return `${what}: header split is not offered`;
  if (rx.rxdid > 1) return `${what}: descriptor id ${rx.rxdid} is not offered`;
  if (rx.dataBufferSize < L.AVF_RX_BUF_MIN || rx.dataBufferSize > L.AVF_RX_BUF_MAX)
    return `${what}: buffers of ${rx.dataBufferSize} bytes, not ${L.AVF_RX_BUF_MIN} to ${L.AVF_RX_BUF_MAX}`;
  if (rx.maxPktSize < L.AVF_FRAME_MIN || rx.maxPktSize > L.AVF_FRAME_MAX)
    return `${what}: packets up to ${rx.maxPktSize} bytes, not ${L.AVF_FRAME_MIN} to ${L.AVF_FRAME_MAX}`;
  return invalidRing(what, rx.ringLen, rx.ringAddr);
}

/** CONFIG_VSI_QUEUES, driver to device: {0 vsi u16, 2 pairs u16, 4 pad, 8 pairs of 64 bytes: tx @0, rx @24}. */
export const vsiQueueConfigCodec: Codec<VsiQueueConfig> = {
  name: "CONFIG_VSI_QUEUES",
  minBytes: HEAD,
  size: (msg) => HEAD + QUEUE_PAIR_BYTES * (msg.pairs.length + 1),
  encodeInto(view, offset, msg) {
    const bytes = HEAD + QUEUE_PAIR_BYTES * (msg.pairs.length + 1);
    clear(view, offset, bytes);
    view.setUint16(offset, msg.vsiId, true);
    view.setUint16(offset + 2, msg.pairs.length, true);
    msg.pairs.forEach((pair, i) => {
      putPair(view, offset + HEAD + QUEUE_PAIR_BYTES * i, pair);
    });
    return bytes;
  },
  decode(view, offset, length) {
    if (length < HEAD) return null;
    const count = view.getUint16(offset + 2, true);
    if (length < HEAD + QUEUE_PAIR_BYTES * count) return null;
    const pairs: QueuePairInfo[] = [];
    for (let i = 0; i < count; i++) pairs.push(takePair(view, offset + HEAD + QUEUE_PAIR_BYTES * i));
    return { vsiId: view.getUint16(offset, true), pairs };
  },
  invalid(msg) {
    if (msg.pairs.length === 0 || msg.pairs.length > L.AVF_QUEUE_PAIRS_MAX) return `${msg.pairs.length} queue pairs`;
    for (const { tx, rx } of msg.pairs) {
      if (tx.vsiId !== msg.vsiId || rx.vsiId !== msg.vsiId) return `a queue of another VSI than ${msg.vsiId}`;
      if (tx.queueId !== rx.queueId) return `a pair of queues ${tx.queueId} and ${rx.queueId}`;
      const why = invalidTx(tx) ?? invalidRx(rx);
      if (why !== null) return why;
    }
    return null;
  },
};
