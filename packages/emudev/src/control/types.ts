// The structures and the operations of an emulated device: rte_emudev.h of the RFC in TypeScript. The provider implements
// EmuDevOps, the class calls it after its own checks, the backend sees the result. Pointers to void became objects whose
// type the device type ("avf") defines; `size` of a queue is in descriptors, which the header left open.
import type { AttrName, AttrValue, EmuDevAttrs } from "./attributes.ts";
import type { EmuDevEventChannel, EmuDevSubscription } from "./events.ts";
import type { EmuDevMemTable } from "./mem-table.ts";
import type { State } from "./states.ts";

/** A value or a promise of it. */
export type Awaitable<T> = T | Promise<T>;

export interface EmuDevInfo {
  /** What queues, doorbells and events mean: "avf". */
  devType: string;
  /** Queue pairs. */
  maxQpNum: number;
  /** Interrupt vectors. */
  maxEventNum: number;
}

/** Where a queue stands, kept by the provider beyond the backend's hold on the queue. */
export interface EmuDevQueuePosition {
  /** Arena offset of the words of layout/position.ts. */
  off: number;
  /** The words outlive the process: descriptors are given back only once their packets were handed on. */
  durable: boolean;
}

export interface EmuDevQueueInfo {
  /** Guest address of the ring. */
  base: bigint;
  /** Descriptors. */
  size: number;
  doorbellId: number;
  /** Vector the queue raises; -1 = none. */
  irqVector: number;
  /** Where to begin, and where to leave the position. Without it a queue begins at descriptor 0 each time it is enabled. */
  position?: EmuDevQueuePosition;
  /** The device type's own words; for "avf" AvfQueuePriv of package avf. */
  priv: object;
}

export interface EmuDevIrqInfo {
  vector: number;
  /** eventfd that the client is listening on, -1 = none; the provider owns it. */
  fd: number;
  /** Arena offset of the vector's words (layout/vector.ts). */
  priv: { off: number };
}

/** The doorbell is signalled through an eventfd (`fd`). */
export const EMU_DEV_DB_FD = 1;
/** The doorbell is a word in shared memory (`mem`), written by the guest without a trap. */
export const EMU_DEV_DB_MEM = 2;

export interface EmuDevDbInfo {
  id: number;
  flag: typeof EMU_DEV_DB_FD | typeof EMU_DEV_DB_MEM;
  /** With EMU_DEV_DB_FD: an eventfd; the provider owns it. */
  fd?: number;
  /** With EMU_DEV_DB_MEM: arena offset of the word. */
  mem?: { base: number; size: 4 };
  /** Arena offset of the word that holds the newest value, in both modes. */
  priv: { off: number };
}

/** What a provider implements. A promise delays the caller's own; a failure is thrown. */
export interface EmuDevOps {
  devStart(dev: EmuDev): Awaitable<void>;
  devStop(dev: EmuDev): Awaitable<void>;
  devConfigure(dev: EmuDev, conf: unknown): Awaitable<void>;
  devClose(dev: EmuDev): Awaitable<void>;
  getDevInfo(dev: EmuDev): EmuDevInfo;
  /** Called after the class has taken the channel in; the class itself delivers events. */
  subscribeEvent(dev: EmuDev, chnl: EmuDevEventChannel): Awaitable<void>;
  unsubscribeEvent(dev: EmuDev, chnl: EmuDevEventChannel): Awaitable<void>;
  getMemTable(dev: EmuDev): EmuDevMemTable;
  /** null while the guest has not configured or not enabled the queue. Queue 2i = receive queue i, 2i+1 = transmit queue i. */
  getQueueInfo(dev: EmuDev, queue: number): EmuDevQueueInfo | null;
  getIrqInfo(dev: EmuDev, vector: number): EmuDevIrqInfo | null;
  getDbInfo(dev: EmuDev, doorbell: number): EmuDevDbInfo | null;
  getAttr<K extends AttrName>(dev: EmuDev, name: K): EmuDevAttrs[K];
  /** Name, type and the right to write are checked before. */
  setAttr(dev: EmuDev, name: AttrName, value: AttrValue): Awaitable<void>;
  /** `base` is an arena offset of `bytes` bytes that the backend keeps until it unsubscribes; null takes the loan back. */
  regionMap(dev: EmuDev, name: string, bytes: number, base: number | null): void;
}

/** One emulated device, as emuDevAllocate makes it. */
export interface EmuDev {
  readonly id: number;
  readonly name: string;
  readonly ops: EmuDevOps;
  readonly state: State;
  /** The provider's own. */
  privData: unknown;
  /** Who is told of events, oldest first. */
  readonly subscriptions: readonly EmuDevSubscription[];
}
