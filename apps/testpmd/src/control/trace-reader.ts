// Reads the lcores' traces while `set verbose` asks for them, and hands each record to a view. The writer is fwd/trace.ts.
import type { Arena } from "@emudev/shm";
import { TRACE_COUNT, TRACE_HEAD, TRACE_LOST, TRACE_RECORD_BYTES, TRACE_RECORDS, TRACE_TAIL } from "../layout/trace.ts";

/**
 * Takes all records of a trace.
 * @param each gets a record's bytes, which are its own
 * @returns records lost since the trace was made
 */
export function drainTrace(arena: Arena, off: number, each: (record: Uint8Array) => void): number {
  const { i32, u32, u8 } = arena;
  const tailWord = (off + TRACE_TAIL) >>> 2;
  const head = Atomics.load(i32, (off + TRACE_HEAD) >>> 2);
  let tail = i32[tailWord]!;
  for (; tail !== head; tail = (tail + 1) | 0) {
    const at = off + TRACE_RECORDS + (tail & (TRACE_COUNT - 1)) * TRACE_RECORD_BYTES;
    each(u8.slice(at, at + TRACE_RECORD_BYTES));
  }
  Atomics.store(i32, tailWord, tail);
  return u32[(off + TRACE_LOST) >>> 2]!;
}
