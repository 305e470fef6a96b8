// Packets as control code and tests handle them: one at a time, by arena offset. Lcores work on bursts by the kernels
// instead. Field offsets are those of layout/mbuf.ts.
import {
  MBUF_BUF,
  MBUF_BUF_LEN,
  MBUF_DATA_LEN,
  MBUF_DATA_OFF,
  MBUF_NB_SEGS,
  MBUF_NEXT,
  MBUF_PKT_LEN,
  MBUF_REFCNT,
} from "../layout/mbuf.ts";
import type { Arena } from "./arena.ts";
import { ShmError } from "./error.ts";
import { shmKernels } from "./kernels.ts";
import { checkLcore, type Mempool } from "./mempool.ts";

/** An empty packet of one segment, or 0 when the pool is exhausted. */
export function mbufAlloc(pool: Mempool, lcore: number): number {
  return shmKernels(pool.arena).pktmbuf_alloc(pool.off, checkLcore(lcore)) >>> 0;
}

/** Frees a packet with all its segments; 0 is no packet. */
export function mbufFree(arena: Arena, lcore: number, mbuf: number): void {
  shmKernels(arena).pktmbuf_free(checkLcore(lcore), mbuf);
}

/** The data of one segment, in place. */
export function mbufData(arena: Arena, mbuf: number): Uint8Array<SharedArrayBuffer> {
  const at = arena.u32[(mbuf + MBUF_BUF) >>> 2]! + arena.u16[(mbuf + MBUF_DATA_OFF) >>> 1]!;
  return arena.u8.subarray(at, at + arena.u16[(mbuf + MBUF_DATA_LEN) >>> 1]!);
}

/** The segments of a packet, first to last. */
export function mbufSegments(arena: Arena, mbuf: number): number[] {
  const segments: number[] = [];
  for (let at = mbuf; at !== 0; at = arena.u32[(at + MBUF_NEXT) >>> 2]!) segments.push(at);
  return segments;
}

/** A copy of the whole packet. */
export function mbufBytes(arena: Arena, mbuf: number): Uint8Array<ArrayBuffer> {
  const segments = mbufSegments(arena, mbuf).map((segment) => mbufData(arena, segment));
  const bytes = new Uint8Array(segments.reduce((sum, segment) => sum + segment.length, 0));
  let at = 0;
  for (const segment of segments) {
    bytes.set(segment, at);
    at += segment.length;
  }
  return bytes;
}

/** Bytes free behind the data of a segment. */
export function mbufTailroom(arena: Arena, mbuf: number): number {
  const half = (field: number) => arena.u16[(mbuf + field) >>> 1]!;
  return half(MBUF_BUF_LEN) - half(MBUF_DATA_OFF) - half(MBUF_DATA_LEN);
}

/**
 * Lengthens a packet by `bytes` behind its last segment (rte_pktmbuf_append).
 * @returns arena offset of the new bytes, or 0 when the tailroom is smaller; then nothing has changed
 */
export function mbufAppend(arena: Arena, mbuf: number, bytes: number): number {
  const last = mbufSegments(arena, mbuf).at(-1)!;
  if (bytes > mbufTailroom(arena, last)) return 0;
  const data = mbufData(arena, last);
  arena.u16[(last + MBUF_DATA_LEN) >>> 1] = data.length + bytes;
  arena.u32[(mbuf + MBUF_PKT_LEN) >>> 2]! += bytes;
  return data.byteOffset + data.length;
}

/**
 * Lengthens a packet by `bytes` in front (rte_pktmbuf_prepend).
 * @returns arena offset of the new first byte, or 0 when the headroom is smaller; then nothing has changed
 */
export function mbufPrepend(arena: Arena, mbuf: number, bytes: number): number {
  const headroom = arena.u16[(mbuf + MBUF_DATA_OFF) >>> 1]!;
  if (bytes > headroom) return 0;
  arena.u16[(mbuf + MBUF_DATA_OFF) >>> 1] = headroom - bytes;
  arena.u16[(mbuf + MBUF_DATA_LEN) >>> 1]! += bytes;
  arena.u32[(mbuf + MBUF_PKT_LEN) >>> 2]! += bytes;
  return arena.u32[(mbuf + MBUF_BUF) >>> 2]! + headroom - bytes;
}

/** Appends packet `tail`, with its segments, to `head` (rte_pktmbuf_chain). */
export function mbufChain(arena: Arena, head: number, tail: number): void {
  const segments = arena.u16[(head + MBUF_NB_SEGS) >>> 1]! + arena.u16[(tail + MBUF_NB_SEGS) >>> 1]!;
  if (segments > 0xffff) throw new ShmError("EINVAL", `a packet of ${segments} segments: the most is 65535`);
  const last = mbufSegments(arena, head).at(-1)!;
  arena.u32[(last + MBUF_NEXT) >>> 2] = tail;
  arena.u16[(head + MBUF_NB_SEGS) >>> 1] = segments;
  arena.u32[(head + MBUF_PKT_LEN) >>> 2]! += arena.u32[(tail + MBUF_PKT_LEN) >>> 2]!;
}

/** Adds `value` references to every segment; each then needs as many more frees. */
export function mbufRefcntUpdate(arena: Arena, mbuf: number, value: number): void {
  for (const segment of mbufSegments(arena, mbuf)) Atomics.add(arena.u16, (segment + MBUF_REFCNT) >>> 1, value);
}

/**
 * Makes a packet of `bytes`, in as many segments as it takes.
 * @returns its arena offset, or 0 when the pool is exhausted; then nothing is kept
 */
export function mbufFrom(pool: Mempool, lcore: number, bytes: Uint8Array): number {
  const { arena } = pool;
  const head = mbufAlloc(pool, lcore);
  let at = 0;
  for (let last = head; last !== 0; ) {
    const run = Math.min(mbufTailroom(arena, last), bytes.length - at);
    arena.u8.set(bytes.subarray(at, at + run), mbufAppend(arena, last, run));
    at += run;
    if (last !== head) mbufChain(arena, head, last);
    if (at === bytes.length) return head;
    last = mbufAlloc(pool, lcore);
  }
  mbufFree(arena, lcore, head);
  return 0;
}
