// What the main thread hands to a forwarding lcore with its task: plain data, arena offsets and module URLs.
import type { FwdModeName } from "./modes.ts";

/** One queue of a port. */
export interface QueueRef {
  /** File URL of the driver's data module. */
  module: string;
  /** Arena offset of the queue's state. */
  off: number;
  portId: number;
  queueId: number;
}

export interface StreamTask {
  /** Arena offset of the stream's record (layout/stream.ts). */
  off: number;
  /** null where the mode does not receive, or not send. */
  rx: QueueRef | null;
  tx: QueueRef | null;
  /** Transmit queues that get every packet too, by reference. */
  copies: QueueRef[];
}

export interface FwdTask {
  mode: FwdModeName;
  /** Arena offset of the control block that all lcores share. */
  block: number;
  /** Arena offset of the mempool that txonly takes mbufs from. */
  pool: number;
  /** Arena offset of this lcore's trace (layout/trace.ts). */
  trace: number;
  streams: StreamTask[];
  /** `streams` are those of all lcores, and this one polls what it owns at the time. */
  shared: boolean;
  /** Bursts of made packets to send on every stream before forwarding begins. */
  txFirst: number;
}
