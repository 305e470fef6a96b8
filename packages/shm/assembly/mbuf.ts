// rte_mbuf's alloc and free over arena offsets (layout/mbuf.ts), to be inlined into the kernels of every package. An mbuf
// in its pool has undefined fields: alloc writes the whole header, four stores and no load. Freeing appends straight to the
// lcore's cache, so a burst of mbufs of one pool costs one look at the pool.
import {
  MBUF_DATA_LEN,
  MBUF_DATA_OFF,
  MBUF_BUF,
  MBUF_HEADROOM,
  MBUF_NEXT,
  MBUF_POOL,
  MBUF_REFCNT,
  MBUF_SIZE,
} from "../src/layout/mbuf";
import {
  LCORE_MAX,
  MEMPOOL_CACHE_LEN,
  MEMPOOL_CACHE_OBJS,
  MEMPOOL_CACHE_PUTS,
  MEMPOOL_CACHE_SIZE,
  MEMPOOL_DATAROOM,
} from "../src/layout/mempool";
import { copy } from "./copy";
import { cacheOf, count, flush, flushThreshold, getBulk, putOne } from "./mempool";

/** Arena offset of the segment's first byte of data. */
// @ts-ignore: decorator
@inline
export function data(mbuf: u32): u32 {
  return load<u32>(mbuf, MBUF_BUF) + <u32>load<u16>(mbuf, MBUF_DATA_OFF);
}

/** Makes an mbuf of the pool an empty packet of one segment (rte_pktmbuf_reset, and refcnt 1). */
// @ts-ignore: decorator
@inline
export function reset(mbuf: u32, pool: u32): void {
  resetFrom(mbuf, firstWords(load<u32>(pool, MEMPOOL_DATAROOM)), poolWords(pool));
}

// buf, data_off | refcnt, nb_segs | port, data_len | buf_len; buf is filled in for each mbuf.
// @ts-ignore: decorator
@inline
function firstWords(dataRoom: u32): v128 {
  return i32x4.replace_lane(i32x4(0, (1 << 16) | MBUF_HEADROOM, 0xffff0001, 0), 3, <i32>(dataRoom << 16));
}

// next, pool, rss, vlan_tci | vlan_tci_outer
// @ts-ignore: decorator
@inline
function poolWords(pool: u32): v128 {
  return i32x4.replace_lane(i32x4(0, 0, 0, 0), 1, pool);
}

// @ts-ignore: decorator
@inline
function resetFrom(mbuf: u32, first: v128, third: v128): void {
  v128.store(mbuf, i32x4.replace_lane(first, 0, mbuf + MBUF_SIZE));
  v128.store(mbuf, i32x4(0, 0, 0, 0), 16);
  v128.store(mbuf, third, 32);
  v128.store(mbuf, i32x4(0, 0, 0, 0), 48);
}

/** rte_pktmbuf_alloc_bulk: n or 0. */
// @ts-ignore: decorator
@inline
export function allocBulk(pool: u32, lcore: u32, objs: u32, n: u32): u32 {
  const got = getBulk(pool, lcore, objs, n);
  const first = firstWords(load<u32>(pool, MEMPOOL_DATAROOM));
  const third = poolWords(pool);
  const end = objs + (got << 2);
  for (let at = objs; at < end; at += 4) resetFrom(load<u32>(at), first, third);
  return got;
}

/** Drops one reference to a segment; true when it was the last and the segment is the caller's to put back. */
// @ts-ignore: decorator
@inline
export function prefree(mbuf: u32): bool {
  if (atomic.load<u16>(mbuf, MBUF_REFCNT) == 1) return true;
  return atomic.sub<u16>(mbuf, 1, MBUF_REFCNT) == 1;
}

/** rte_mbuf_refcnt_update for n packets, every segment of each: `more` further owners, each of whom frees them once. */
export function referBulk(objs: u32, n: u32, more: u32): void {
  const end = objs + (n << 2);
  for (let at = objs; at < end; at += 4) {
    for (let mbuf = load<u32>(at); mbuf != 0; mbuf = load<u32>(mbuf, MBUF_NEXT))
      atomic.add<u16>(mbuf, <u16>more, MBUF_REFCNT);
  }
}

/** rte_pktmbuf_free_bulk: frees n packets, chains included; a slot that holds 0 is passed over. */
export function freeBulk(lcore: u32, objs: u32, n: u32): void {
  const end = objs + (n << 2);
  for (let at = objs; at < end; ) {
    const before = at;
    if (lcore < <u32>LCORE_MAX) at = freePlain(lcore, at, end);
    if (at != before) continue;
    free(lcore, load<u32>(at));
    at += 4;
  }
}

// The common case, a run of packets of one segment, one reference and one pool, goes to the cache in a loop without calls.
// Returns where it stopped: at another kind of packet, or when the cache is full, which it is not at the start.
function freePlain(lcore: u32, at: u32, end: u32): u32 {
  const pool = load<u32>(load<u32>(at), MBUF_POOL);
  const cache = cacheOf(pool, lcore);
  const threshold = flushThreshold(load<u32>(pool, MEMPOOL_CACHE_SIZE));
  let len = load<u32>(cache, MEMPOOL_CACHE_LEN);
  if (pool == 0 || threshold == 0) return at;
  if (len == threshold) len = flush(pool, cache, len);
  const room = at + ((threshold - len) << 2);
  const stop = room < end ? room : end;
  const nextAndPool = (<u64>pool) << 32;
  const slots = cache + MEMPOOL_CACHE_OBJS + (len << 2) - at;
  const start = at;
  for (; at < stop; at += 4) {
    const mbuf = load<u32>(at);
    if (atomic.load<u16>(mbuf, MBUF_REFCNT) != 1 || load<u64>(mbuf, MBUF_NEXT) != nextAndPool) break;
    store<u32>(slots + at, mbuf);
  }
  const put = (at - start) >> 2;
  store<u32>(cache, len + put, MEMPOOL_CACHE_LEN);
  count(cache, MEMPOOL_CACHE_PUTS, put);
  return at;
}

/** rte_pktmbuf_free_seg: one segment, whatever follows it. */
export function freeSeg(lcore: u32, mbuf: u32): void {
  if (!prefree(mbuf)) return;
  putOne(load<u32>(mbuf, MBUF_POOL), lcore, mbuf);
}

/** rte_pktmbuf_free: a whole chain; 0 is no packet. */
export function free(lcore: u32, mbuf: u32): void {
  while (mbuf != 0) {
    const next = load<u32>(mbuf, MBUF_NEXT);
    freeSeg(lcore, mbuf);
    mbuf = next;
  }
}

/**
 * Copies `bytes` of a packet from `offset` on to plain memory, over as many segments as they lie in (rte_pktmbuf_read).
 * Returns the bytes copied, fewer when the packet ends before.
 */
export function readPacket(mbuf: u32, offset: u32, bytes: u32, to: u32): u32 {
  let done: u32 = 0;
  while (mbuf != 0 && done < bytes) {
    const len = <u32>load<u16>(mbuf, MBUF_DATA_LEN);
    if (offset < len) {
      const run = min<u32>(len - offset, bytes - done);
      copy(to + done, data(mbuf) + offset, run);
      done += run;
      offset = 0;
    } else {
      offset -= len;
    }
    mbuf = load<u32>(mbuf, MBUF_NEXT);
  }
  return done;
}
