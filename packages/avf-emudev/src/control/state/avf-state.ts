// The state of an emulated AVF as plain data: what a device in another process needs to go on where this one stopped. The
// driver's memory and eventfds are no part of it; the client brings them along. It travels as a head (magic, version, length,
// SHA-256) and JSON, so that a stream that is torn, changed or of another version is told apart from one that is whole, and
// nothing of it is made use of before every value was checked. migration.ts and state-file.ts carry it, snapshot.ts makes it.
import { createHash } from "node:crypto";
import {
  AQ_BUF_MAX,
  AQ_INDEX_MASK,
  AVF_MAC_FILTERS_MAX,
  AVF_QUEUE_PAIRS_MAX,
  AVF_RSS_KEY_BYTES,
  AVF_RSS_LUT_ENTRIES,
  AVF_VECTORS_MAX,
  ITR_INDEX_NONE,
  type QueuePairInfo,
  RSS_HENA_ALL,
  vsiQueueConfigCodec,
} from "@emudev/avf";
import { QPOS_INDEX } from "@emudev/emudev";
import { VSI_ID } from "../vf.ts";
import { bool, type Check, hexBytes, int, list, nullOr, object, u32, u64Text } from "./check.ts";

export const STATE_VERSION = 1;
const MAGIC = "AVFSTATE";
const HEAD = 48; // 0 magic, 8 version u32, 12 bytes of JSON u32, 16 SHA-256 of version, length and JSON
/** More than any state takes: 64 messages of 4,096 bytes wait at most. */
export const STATE_BYTES_MAX = 1024 * 1024;

export interface RingState {
  head: number;
  tail: number;
  len: number;
  bal: number;
  bah: number;
}

export interface QueueSnapshot {
  /** The queue's half of CONFIG_VSI_QUEUES, addresses as text; null = not configured. */
  info: Record<string, number | string> | null;
  enabled: boolean;
  /** Enabled before its client left: ENABLE_QUEUES goes on at its position. */
  resume: boolean;
  vector: number;
  itr: number;
  /** Word of its position (emudev's layout/position.ts). */
  position: number;
}

/** Bytes are hexadecimal text, numbers of 64 bits "0x..." */
export interface AvfState {
  /** What the two devices must have in common. */
  queues: number;
  mtu: number;
  pairs: number;
  ready: boolean;
  caps: number;
  minor: number;
  rx: QueueSnapshot[];
  tx: QueueSnapshot[];
  macs: string[];
  vlans: number[];
  mac: string;
  promiscUnicast: boolean;
  promiscMulticast: boolean;
  vlanStrip: boolean;
  rssKey: string;
  rssLut: string;
  rssHena: string;
  /** The link that the driver was told last. */
  linkTold: string | null;
  atq: RingState;
  arq: RingState;
  backlog: { op: number; status: number; data: string }[];
  icr0: number;
  icr0Ena: number;
  itr0: number[];
  /** By vector: bits of DYN_CTL that read back, INTENA, and whether an interrupt is pending. */
  vectors: { kept: number; armed: boolean; pending: boolean }[];
  /** Offset and value of registers without effect, and of the words in the doorbell pages that are not 0. */
  registers: [number, number][];
  doorbells: [number, number][];
  config: string;
  msix: string;
  /** Counters of GET_STATS at the time of the snapshot. */
  stats: string[];
}

const ring = object({
  head: int(0, AQ_INDEX_MASK),
  tail: int(0, AQ_INDEX_MASK),
  len: u32,
  bal: u32,
  bah: u32,
});

const queue = (info: Check): Check =>
  object({
    info: nullOr(info),
    enabled: bool,
    resume: bool,
    vector: int(-1, AVF_VECTORS_MAX - 1),
    itr: int(0, ITR_INDEX_NONE),
    position: u32,
  });

const u16 = int(0, 0xffff);
const rxInfo = object({
  vsiId: u16,
  queueId: u16,
  ringLen: u32,
  hdrSize: u16,
  splithdrEnabled: u16,
  dataBufferSize: u32,
  maxPktSize: u32,
  crcDisable: int(0, 255),
  rxdid: int(0, 255),
  flags: int(0, 255),
  ringAddr: u64Text,
  splitPos: int(-0x80000000, 0x7fffffff),
});
const txInfo = object({
  vsiId: u16,
  queueId: u16,
  ringLen: u16,
  headwbEnabled: u16,
  ringAddr: u64Text,
  headwbAddr: u64Text,
});

const word: Check = (value, where) => {
  const wrong = list(u32, 2, 2)(value, where);
  if (wrong !== null) return wrong;
  return ((value as number[])[0]! & 3) === 0 ? null : `${where} is no register: its offset is not aligned`;
};

const SHAPE = object({
  queues: int(1, AVF_QUEUE_PAIRS_MAX),
  mtu: u16,
  pairs: int(1, AVF_QUEUE_PAIRS_MAX),
  ready: bool,
  caps: u32,
  minor: u32,
  rx: list(queue(rxInfo), 1, AVF_QUEUE_PAIRS_MAX),
  tx: list(queue(txInfo), 1, AVF_QUEUE_PAIRS_MAX),
  macs: list(hexBytes(6, 6), 0, AVF_MAC_FILTERS_MAX),
  vlans: list(int(0, 4095), 0, 4096),
  mac: hexBytes(6, 6),
  promiscUnicast: bool,
  promiscMulticast: bool,
  vlanStrip: bool,
  rssKey: hexBytes(0, AVF_RSS_KEY_BYTES),
  rssLut: hexBytes(0, AVF_RSS_LUT_ENTRIES),
  rssHena: u64Text,
  linkTold: (value, where) =>
    value === null || (typeof value === "string" && /^(down|up \d{1,6})$/.test(value)) ? null : `${where} is no link`,
  atq: ring,
  arq: ring,
  backlog: list(object({ op: u32, status: int(-0x80000000, 0xffffffff), data: hexBytes(0, AQ_BUF_MAX) }), 0, 64),
  icr0: u32,
  icr0Ena: u32,
  itr0: list(int(0, 0xfff), 3, 3),
  vectors: list(object({ kept: u32, armed: bool, pending: bool }), 2, AVF_VECTORS_MAX),
  registers: list(word, 0, 1024),
  doorbells: list(word, 0, 128),
  config: hexBytes(64, 4096),
  msix: hexBytes(0, 16 * AVF_VECTORS_MAX),
  stats: list(u64Text, 12, 12),
});

/** What is wrong with a state, by itself; null = nothing. Whether a device can take it, snapshot.ts says. */
export function invalidState(value: unknown): string | null {
  const wrong = SHAPE(value, "state");
  if (wrong !== null) return wrong;
  const state = value as AvfState;
  const { pairs, queues, rx, tx, vectors, rssHena, rssLut } = state;
  if (pairs > queues) return `state.pairs is ${pairs} of ${queues}`;
  if (rx.length !== pairs || tx.length !== pairs) return `state.rx and state.tx are not lists of ${pairs}`;
  if (vectors.length !== queues + 1) return `state.vectors is no list of ${queues + 1}`;
  if ((BigInt(rssHena) & ~RSS_HENA_ALL) !== 0n) return "state.rssHena has classes that are not known";
  if (Buffer.from(rssLut, "hex").some((entry) => entry >= pairs)) return "state.rssLut names a queue that is not there";
  for (let i = 0; i < pairs; i++) {
    const why = invalidQueue(rx[i]!, vectors.length) ?? invalidQueue(tx[i]!, vectors.length);
    if (why !== null) return `queue pair ${i}: ${why}`;
    const config = { vsiId: VSI_ID, pairs: [pairOf(state, i)] };
    const wrongQueue = vsiQueueConfigCodec.invalid(config);
    if (wrongQueue !== null) return wrongQueue;
  }
  return null;
}

function invalidQueue({ info, enabled, resume, vector, position }: QueueSnapshot, vectors: number): string | null {
  if (vector === 0 || vector >= vectors) return `vector ${vector}`;
  if (info === null) return enabled || resume ? "enabled and not configured" : null;
  const { ringLen } = info;
  return (position & QPOS_INDEX) < (ringLen as number) ? null : `a position beyond the ring's ${ringLen} descriptors`;
}

const unused = (queueId: number): QueueSnapshot["info"] => ({ vsiId: VSI_ID, queueId, ringLen: 0 });

interface InfoText {
  ringAddr?: string;
  headwbAddr?: string;
}

/** The configuration of pair `i`; a half that is not configured has a ring of no descriptors. */
export function pairOf({ rx, tx }: AvfState, i: number): QueuePairInfo {
  const { ringAddr: txRing = "0x0", headwbAddr = "0x0", ...txRest } = { ...(tx[i]!.info ?? unused(i)) } as InfoText;
  const { ringAddr: rxRing = "0x0", ...rxRest } = { ...(rx[i]!.info ?? unused(i)) } as InfoText;
  return {
    tx: { headwbEnabled: 0, ...txRest, ringAddr: BigInt(txRing), headwbAddr: BigInt(headwbAddr) },
    rx: { ...rxRest, ringAddr: BigInt(rxRing) },
  } as QueuePairInfo;
}

export function encodeState(state: AvfState): Uint8Array {
  const json = Buffer.from(JSON.stringify(state));
  const bytes = Buffer.alloc(HEAD + json.length);
  bytes.write(MAGIC, 0, "latin1");
  bytes.writeUInt32LE(STATE_VERSION, 8);
  bytes.writeUInt32LE(json.length, 12);
  json.copy(bytes, HEAD);
  digest(bytes).copy(bytes, 16);
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The state in `bytes` (what lies behind it is ignored), or why there is none. Does not throw. */
export function decodeState(bytes: Uint8Array): { state: AvfState } | { wrong: string } {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (all.length < HEAD || all.toString("latin1", 0, 8) !== MAGIC) return { wrong: "this is no state of an AVF" };
  const version = all.readUInt32LE(8);
  const length = all.readUInt32LE(12);
  if (version !== STATE_VERSION) return { wrong: `a state of version ${version}; this device knows ${STATE_VERSION}` };
  if (length > STATE_BYTES_MAX || all.length < HEAD + length)
    return { wrong: `the state is cut short: ${all.length - HEAD} of ${length} bytes` };
  const own = all.subarray(0, HEAD + length);
  if (!digest(own).equals(own.subarray(16, HEAD))) return { wrong: "the state is damaged: its checksum is another" };
  let value: unknown;
  try {
    value = JSON.parse(own.toString("utf8", HEAD));
  } catch {
    return { wrong: "the state is no JSON" };
  }
  const wrong = invalidState(value);
  return wrong === null ? { state: value as AvfState } : { wrong };
}

function digest(bytes: Buffer): Buffer {
  return createHash("sha256").update(bytes.subarray(8, 16)).update(bytes.subarray(HEAD)).digest();
}
