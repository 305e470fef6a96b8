// The memory of a queue: its descriptor ring, on pages of its own since the device reads and writes it, and the state that
// layout/rx-queue.ts and layout/tx-queue.ts describe, with the software ring behind it. Called by the port when a queue is
// set up.
import { RX_DESC_BYTES, TX_DESC_BYTES } from "@emudev/avf";
import type { MemzoneArena } from "@emudev/shm";
import * as R from "../layout/rx-queue.ts";
import * as T from "../layout/tx-queue.ts";

const PAGE_BYTES = 4096;

export interface QueueMemory {
  /** Arena offset of the state. */
  readonly off: number;
  /** Arena offset of the descriptors. */
  readonly ringOff: number;
  /** Descriptors. */
  readonly size: number;
  /** Frees the memory; neither the device nor an lcore may know of it any more. */
  free(): void;
}

/** Where a queue's tail goes (layout/doorbell.ts). */
export interface Doorbell {
  /** Arena offset of the tail word. */
  word: number;
  /** Arena offset of the kick word, 0 when the tail word is the device's register. */
  kick: number;
}

export interface RxQueueSpec {
  size: number;
  doorbell: Doorbell;
  /** Arena offset of the mempool. */
  pool: number;
  bufSize: number;
  maxPkt: number;
  /** Arena offset of the packet type table. */
  ptypes: number;
  portId: number;
}

export interface TxQueueSpec {
  size: number;
  doorbell: Doorbell;
  maxPkt: number;
}

/** @throws ShmError ENOMEM; nothing is left behind */
export function reserveRxQueue(arena: MemzoneArena, name: string, spec: RxQueueSpec): QueueMemory {
  const memory = reserve(arena, name, spec.size * RX_DESC_BYTES, R.RXQ_BYTES + spec.size * 4);
  const set = setter(arena, memory.off);
  set(R.RXQ_RING, memory.ringOff);
  set(R.RXQ_SIZE, spec.size);
  set(R.RXQ_SW_RING, memory.off + R.RXQ_BYTES);
  set(R.RXQ_POOL, spec.pool);
  set(R.RXQ_DOORBELL, spec.doorbell.word);
  set(R.RXQ_KICK, spec.doorbell.kick);
  set(R.RXQ_BUF_SIZE, spec.bufSize);
  set(R.RXQ_MAX_PKT, spec.maxPkt);
  set(R.RXQ_PTYPES, spec.ptypes);
  set(R.RXQ_PORT, spec.portId);
  set(R.RXQ_HELD, spec.size);
  return { ...memory, size: spec.size };
}

/** @throws ShmError ENOMEM; nothing is left behind */
export function reserveTxQueue(arena: MemzoneArena, name: string, spec: TxQueueSpec): QueueMemory {
  // Every report covers TXQ_RS_THRESH descriptors or more, so this many never fill up.
  const reports = Math.ceil(spec.size / T.TXQ_RS_THRESH) + 1;
  const memory = reserve(arena, name, spec.size * TX_DESC_BYTES, T.TXQ_BYTES + (spec.size + reports) * 4);
  const set = setter(arena, memory.off);
  set(T.TXQ_RING, memory.ringOff);
  set(T.TXQ_SIZE, spec.size);
  set(T.TXQ_SW_RING, memory.off + T.TXQ_BYTES);
  set(T.TXQ_RS, memory.off + T.TXQ_BYTES + spec.size * 4);
  set(T.TXQ_RS_SIZE, reports);
  set(T.TXQ_DOORBELL, spec.doorbell.word);
  set(T.TXQ_KICK, spec.doorbell.kick);
  set(T.TXQ_MAX_PKT, spec.maxPkt);
  set(T.TXQ_FREE, spec.size - 1);
  return { ...memory, size: spec.size };
}

function reserve(arena: MemzoneArena, name: string, ringBytes: number, stateBytes: number) {
  const ring = arena.memzoneReserve(`${name}_ring`, ringBytes, PAGE_BYTES);
  try {
    const state = arena.memzoneReserve(name, stateBytes, 64);
    const free = () => {
      arena.memzoneFree(state.name);
      arena.memzoneFree(ring.name);
    };
    return { off: state.off, ringOff: ring.off, free };
  } catch (error) {
    arena.memzoneFree(ring.name);
    throw error;
  }
}

const setter = (arena: MemzoneArena, off: number) => (field: number, value: number) => {
  arena.u32[(off + field) >>> 2] = value;
};
