// A stream as its lcore sees it: a receive queue, a transmit queue, the array of mbufs of the burst between them, and the
// counters. Forwarding modes are written in terms of receive, send and consume, which count every packet exactly once.
import type { LcoreEnv } from "@emudev/eal/data";
import type { RxQueue, TxQueue } from "@emudev/ethdev/data";
import { type ShmKernels, shmKernels } from "@emudev/shm/data";
import {
  FWD_BURST,
  FWD_RECORD_BURSTS,
  FWD_RETRY,
  FWD_VERBOSE,
  STREAM_CONSUMED,
  STREAM_COPY_DROPPED,
  STREAM_DROPPED,
  STREAM_NOMBUF,
  STREAM_PKTS,
  STREAM_RETRIES,
  STREAM_RX,
  STREAM_RX_BURSTS,
  STREAM_TX,
  STREAM_TX_BURSTS,
} from "../layout/stream.ts";
import { type FwdKernels, fwdKernels } from "./kernels.ts";
import { FWD_MODES } from "./modes.ts";
import type { FwdTask, StreamTask } from "./task.ts";
import { Trace } from "./trace.ts";

const RETRIES = 64; // BURST_TX_RETRIES of DPDK's testpmd
const TRACE_RX = 1;
const TRACE_TX = 2;

export class Stream {
  /** Arena offset of the stream's record. */
  readonly off: number;
  /** Arena offset of the burst's mbufs. */
  readonly pkts: number;
  readonly lcore: number;
  readonly pool: number;
  readonly kernels: FwdKernels;
  readonly #shm: ShmKernels;
  readonly #u32: Uint32Array;
  readonly #f64: Float64Array;
  readonly #rx: RxQueue;
  readonly #tx: TxQueue;
  readonly #copies: readonly TxQueue[];
  readonly #task: StreamTask;
  readonly #trace: Trace;
  readonly #burstWord: number;
  readonly #verboseWord: number;
  readonly #retryWord: number;
  readonly #recordWord: number;

  constructor(
    env: LcoreEnv,
    task: FwdTask,
    stream: StreamTask,
    rx: RxQueue,
    tx: TxQueue,
    copies: readonly TxQueue[] = [],
  ) {
    this.off = stream.off;
    this.pkts = stream.off + STREAM_PKTS;
    this.lcore = env.index;
    this.pool = task.pool;
    this.kernels = fwdKernels(env.arena);
    this.#shm = shmKernels(env.arena);
    this.#u32 = env.arena.u32;
    this.#f64 = env.arena.f64;
    this.#rx = rx;
    this.#tx = tx;
    this.#copies = copies;
    this.#task = stream;
    this.#trace = new Trace(env.arena, task.trace);
    this.#burstWord = (task.block + FWD_BURST) >>> 2;
    this.#verboseWord = (task.block + FWD_VERBOSE) >>> 2;
    // Such a mode leaves packets alone and is done with them in the same turn.
    rx.lend?.(FWD_MODES[task.mode].keeps && [tx, ...copies].every(({ immediate }) => immediate === true));
    this.#recordWord = (task.block + FWD_RECORD_BURSTS) >>> 2;
    this.#retryWord = (task.block + FWD_RETRY) >>> 2;
  }

  /** Packets a burst, as set at the moment. */
  get burst(): number {
    return this.#u32[this.#burstWord]!;
  }

  /** Takes a burst from the receive queue into `pkts`; they are this lcore's now. */
  receive(): number {
    const n = this.#rx.burst(this.pkts, this.#u32[this.#burstWord]!);
    if (this.#u32[this.#recordWord] !== 0) this.#count(STREAM_RX_BURSTS + (n << 3), 1);
    if (n === 0) return 0;
    this.#count(STREAM_RX, n);
    if ((this.#u32[this.#verboseWord]! & TRACE_RX) !== 0) this.#trace.burst(this.pkts, n, this.#task.rx!, 0);
    return n;
  }

  /**
   * Gives the first n of `pkts` to the transmit queue; what it does not accept is freed and counted as dropped.
   * @returns packets accepted
   */
  send(n: number): number {
    if ((this.#u32[this.#verboseWord]! & TRACE_TX) !== 0) this.#trace.burst(this.pkts, n, this.#task.tx!, 1);
    if (this.#copies.length !== 0) this.#sendCopies(n);
    let sent = this.#tx.burst(this.pkts, n);
    if (sent < n) {
      if (this.#u32[this.#retryWord] !== 0) sent = this.#retry(sent, n);
      if (sent < n) {
        this.#shm.pktmbuf_free_bulk(this.lcore, this.pkts + (sent << 2), n - sent);
        this.#count(STREAM_DROPPED, n - sent);
      }
    }
    this.#count(STREAM_TX, sent);
    if (this.#u32[this.#recordWord] !== 0) this.#count(STREAM_TX_BURSTS + (sent << 3), 1);
    return sent;
  }

  /** Whether the next packet wakes the lcore. */
  announced(): boolean {
    return this.#rx.announced?.() === true;
  }

  /** A turn without packets to send: lets the driver finish what it holds back. */
  flush(): void {
    this.#tx.flush?.();
    for (let i = 0; i < this.#copies.length; i++) this.#copies[i]!.flush?.();
  }

  /** Frees the first n of `pkts`: they end here. */
  consume(n: number): void {
    this.#shm.pktmbuf_free_bulk(this.lcore, this.pkts, n);
    this.#count(STREAM_CONSUMED, n);
  }

  /** Counts packets that a mode ended by itself. */
  consumed(n: number): void {
    this.#count(STREAM_CONSUMED, n);
  }

  /** Counts packets that could not be made. */
  noMbuf(n: number): void {
    this.#count(STREAM_NOMBUF, n);
  }

  /** The same packets to further queues: each is one more owner, and what it does not accept is given up for it. */
  #sendCopies(n: number): void {
    this.#shm.pktmbuf_refer_bulk(this.pkts, n, this.#copies.length);
    for (let i = 0; i < this.#copies.length; i++) {
      const sent = this.#copies[i]!.burst(this.pkts, n);
      if (sent === n) continue;
      this.#shm.pktmbuf_free_bulk(this.lcore, this.pkts + (sent << 2), n - sent);
      this.#count(STREAM_COPY_DROPPED + (i << 3), n - sent);
    }
  }

  #retry(sent: number, n: number): number {
    let accepted = sent;
    for (let i = 0; i < RETRIES && accepted < n; i++)
      accepted += this.#tx.burst(this.pkts + (accepted << 2), n - accepted);
    this.#count(STREAM_RETRIES, 1);
    return accepted;
  }

  #count(counter: number, n: number): void {
    this.#f64[(this.off + counter) >>> 3]! += n;
  }
}

/** What a forwarding mode is: made once for a stream, then called every turn; returns the packets that it moved. */
export type FwdMode = (stream: Stream) => () => number;
