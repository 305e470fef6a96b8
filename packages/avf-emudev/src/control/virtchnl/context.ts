// What virtchnl handlers are given and what they answer: the function's state to change, and the few things that only the
// device can do. A handler never throws on what the driver sent; dispatch.ts turns its answer into the reply.
import { type Codec, decode, VIRTCHNL_STATUS } from "@emudev/avf";
import type { AttrName, AttrValue } from "@emudev/emudev";
import type { Vf } from "../vf.ts";
import { VSI_ID } from "../vf.ts";

export interface VirtchnlContext {
  /** As it is now: a reset replaces it whole. */
  readonly vf: Vf;
  /** Queue pairs that REQUEST_QUEUES may ask for. */
  readonly pairsMax: number;
  /** MSI-X vectors of the function, vector 0 included. */
  readonly vectors: number;
  /** Bytes of the largest frame. */
  readonly frameMax: number;
  mac(): Uint8Array;
  /** The counters of the backend in virtchnl_eth_stats order, 96 bytes. */
  stats(): Uint8Array;
  /** Resolves when the backend works with the new value. */
  setAttr(name: AttrName, value: AttrValue): Promise<void>;
  /** Tells the backend; resolves when it has the queues, or has let go of them. Numbers as in emudev. */
  queuesEnabled(numbers: readonly number[]): Promise<void>;
  queuesDisabled(numbers: readonly number[]): Promise<void>;
  /** Forgets the tails of queues that nobody uses any more. */
  clearTails(numbers: readonly number[]): void;
  /** The driver has the resources: it may be told of the link. */
  introduced(): void;
  /** Queues were enabled or disabled: it must be told. */
  queuesChanged(): void;
  /** The driver's RESET_VF: there is no reply. */
  resetVf(): void;
  /** Another number of queue pairs was accepted: the driver is warned, the function is reset and comes back with them. */
  changePairs(pairs: number): Promise<void>;
  /** The vector map changed: vectors learn where their ITR register lies. */
  vectorsMapped(): void;
}

export interface Reply {
  status: number;
  data?: Uint8Array;
  /** What is to be done once the reply is on its way. */
  after?: () => void;
}

/** A handler answers, or answers nothing (null). */
export type Handler = (context: VirtchnlContext, data: Uint8Array) => Reply | null | Promise<Reply | null>;

export const OK: Reply = { status: VIRTCHNL_STATUS.SUCCESS };
export const INVALID: Reply = { status: VIRTCHNL_STATUS.ERR_PARAM };
export const NOT_SUPPORTED: Reply = { status: VIRTCHNL_STATUS.ERR_NOT_SUPPORTED };

/** The message in `data`, or null when it is too short or makes no sense, or is for another VSI. */
export function take<T>(codec: Codec<T>, data: Uint8Array): T | null {
  const msg = decode(codec, data);
  if (msg === null || codec.invalid(msg) !== null) return null;
  if (typeof msg === "object" && msg !== null && "vsiId" in msg && msg.vsiId !== VSI_ID) return null;
  return msg;
}
