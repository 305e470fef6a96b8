// Writes an lcore's trace (layout/trace.ts): a record for each packet of a burst while `set verbose` asks for it. Never waits:
// what finds no room is counted. The reader is ../control/trace-reader.ts.
import { type Arena, MBUF_BUF, MBUF_DATA_LEN, MBUF_DATA_OFF } from "@emudev/shm/data";
import {
  RECORD_BURST,
  RECORD_FRAME,
  RECORD_FRAME_BYTES,
  RECORD_MBUF,
  RECORD_MBUF_BYTES,
  RECORD_PORT,
  RECORD_QUEUE,
  RECORD_SENT,
  TRACE_COUNT,
  TRACE_HEAD,
  TRACE_LOST,
  TRACE_RECORD_BYTES,
  TRACE_RECORDS,
  TRACE_TAIL,
} from "../layout/trace.ts";
import type { QueueRef } from "./task.ts";

export class Trace {
  readonly #arena: Arena;
  readonly #off: number;

  constructor(arena: Arena, off: number) {
    this.#arena = arena;
    this.#off = off;
  }

  /** Records the n packets of the u32 array at `pkts`. */
  burst(pkts: number, n: number, queue: QueueRef, sent: 0 | 1): void {
    const { i32, u32 } = this.#arena;
    const headWord = (this.#off + TRACE_HEAD) >>> 2;
    const head = Atomics.load(i32, headWord);
    const used = (head - Atomics.load(i32, (this.#off + TRACE_TAIL) >>> 2)) >>> 0;
    const fits = Math.min(n, TRACE_COUNT - used);
    u32[(this.#off + TRACE_LOST) >>> 2]! += n - fits;
    for (let i = 0; i < fits; i++) {
      const slot = (head + i) & (TRACE_COUNT - 1);
      this.#record(this.#off + TRACE_RECORDS + slot * TRACE_RECORD_BYTES, u32[(pkts >>> 2) + i]!, queue, sent);
      this.#arena.u16[(this.#off + TRACE_RECORDS + slot * TRACE_RECORD_BYTES + RECORD_BURST) >>> 1] = i === 0 ? n : 0;
    }
    Atomics.store(i32, headWord, (head + fits) | 0);
  }

  #record(at: number, mbuf: number, queue: QueueRef, sent: number): void {
    const { u8, u16, u32 } = this.#arena;
    u16[(at + RECORD_PORT) >>> 1] = queue.portId;
    u16[(at + RECORD_QUEUE) >>> 1] = queue.queueId;
    u16[(at + RECORD_SENT) >>> 1] = sent;
    u8.copyWithin(at + RECORD_MBUF, mbuf, mbuf + RECORD_MBUF_BYTES);
    const data = u32[(mbuf + MBUF_BUF) >>> 2]! + u16[(mbuf + MBUF_DATA_OFF) >>> 1]!;
    const bytes = Math.min(u16[(mbuf + MBUF_DATA_LEN) >>> 1]!, RECORD_FRAME_BYTES);
    u8.copyWithin(at + RECORD_FRAME, data, data + bytes);
    u8.fill(0, at + RECORD_FRAME + bytes, at + RECORD_FRAME + RECORD_FRAME_BYTES);
  }
}
