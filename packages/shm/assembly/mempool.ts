// rte_mempool's get and put over arena offsets (layout/mempool.ts), to be inlined into the kernels of every package. Each
// lcore has a cache of its own, which only it touches; the common MP/MC ring is visited when a cache is empty (it is then
// filled to its size) or full beyond 1.5 times its size (it is then emptied). An lcore index of LCORE_MAX or more has no
// cache and no counters.
import {
  LCORE_MAX,
  MEMPOOL_CACHE_BYTES,
  MEMPOOL_CACHE_GET_FAIL,
  MEMPOOL_CACHE_GETS,
  MEMPOOL_CACHE_LEN,
  MEMPOOL_CACHE_OBJS,
  MEMPOOL_CACHE_PUTS,
  MEMPOOL_CACHE_SIZE,
  MEMPOOL_CACHE_SLOTS,
  MEMPOOL_CACHES,
  MEMPOOL_RING,
} from "../src/layout/mempool";
import { copyWords, dequeue, dequeueOne, enqueue, enqueueOne, moved } from "./ring";

// @ts-ignore: decorator
@inline
export function cacheOf(pool: u32, lcore: u32): u32 {
  return pool + MEMPOOL_CACHES + lcore * MEMPOOL_CACHE_BYTES;
}

/** Objects above which a cache of this size is flushed. */
// @ts-ignore: decorator
@inline
export function flushThreshold(size: u32): u32 {
  return size + (size >> 1);
}

// @ts-ignore: decorator
@inline
export function count(cache: u32, counter: u32, n: u32): void {
  store<u64>(cache + counter, load<u64>(cache + counter) + <u64>n);
}

/** Takes n objects into u32 objs[n]. Returns n, or 0 when fewer are free (counted, nothing taken). */
// @ts-ignore: decorator
@inline
export function getBulk(pool: u32, lcore: u32, objs: u32, n: u32): u32 {
  if (lcore < <u32>LCORE_MAX) {
    const cache = cacheOf(pool, lcore);
    const len = load<u32>(cache, MEMPOOL_CACHE_LEN);
    if (n <= len) {
      const rest = len - n;
      copyWords(objs, cache + MEMPOOL_CACHE_OBJS + (rest << 2), n);
      store<u32>(cache, rest, MEMPOOL_CACHE_LEN);
      count(cache, MEMPOOL_CACHE_GETS, n);
      return n;
    }
  }
  return getSlow(pool, lcore, objs, n);
}

function getSlow(pool: u32, lcore: u32, objs: u32, n: u32): u32 {
  const ring = load<u32>(pool, MEMPOOL_RING);
  if (lcore >= <u32>LCORE_MAX) return moved(dequeue(ring, objs, n, true));
  const cache = cacheOf(pool, lcore);
  const size = load<u32>(pool, MEMPOOL_CACHE_SIZE);
  const len = load<u32>(cache, MEMPOOL_CACHE_LEN);
  const slots = cache + MEMPOOL_CACHE_OBJS;
  const missing = n - len;
  // The cache's objects lie below, safe until the rest is known to be had; refilling puts the new ones above them.
  if (size != 0 && n <= <u32>MEMPOOL_CACHE_SLOTS - size) {
    if (moved(dequeue(ring, slots + (len << 2), missing + size, true)) != 0) {
      copyWords(objs, slots + (size << 2), n);
      store<u32>(cache, size, MEMPOOL_CACHE_LEN);
      count(cache, MEMPOOL_CACHE_GETS, n);
      return n;
    }
  }
  // The pool is nearly empty, or the request is larger than a cache: only what is missing.
  if (moved(dequeue(ring, objs + (len << 2), missing, true)) == 0) {
    count(cache, MEMPOOL_CACHE_GET_FAIL, n);
    return 0;
  }
  copyWords(objs, slots, len);
  store<u32>(cache, 0, MEMPOOL_CACHE_LEN);
  count(cache, MEMPOOL_CACHE_GETS, n);
  return n;
}

/** Takes one object; 0 = none is free (counted). */
export function getOne(pool: u32, lcore: u32): u32 {
  const ring = load<u32>(pool, MEMPOOL_RING);
  if (lcore >= <u32>LCORE_MAX) return dequeueOne(ring);
  const cache = cacheOf(pool, lcore);
  const slots = cache + MEMPOOL_CACHE_OBJS;
  let len = load<u32>(cache, MEMPOOL_CACHE_LEN);
  if (len == 0) {
    const size = load<u32>(pool, MEMPOOL_CACHE_SIZE);
    len = moved(dequeue(ring, slots, size + 1, true));
    if (len == 0) {
      const obj = dequeueOne(ring);
      count(cache, obj != 0 ? MEMPOOL_CACHE_GETS : MEMPOOL_CACHE_GET_FAIL, 1);
      return obj;
    }
  }
  store<u32>(cache, len - 1, MEMPOOL_CACHE_LEN);
  count(cache, MEMPOOL_CACHE_GETS, 1);
  return load<u32>(slots + ((len - 1) << 2));
}

/** Gives back one object of the pool. */
export function putOne(pool: u32, lcore: u32, obj: u32): void {
  if (lcore < <u32>LCORE_MAX) {
    const cache = cacheOf(pool, lcore);
    const threshold = flushThreshold(load<u32>(pool, MEMPOOL_CACHE_SIZE));
    count(cache, MEMPOOL_CACHE_PUTS, 1);
    if (threshold != 0) {
      let len = load<u32>(cache, MEMPOOL_CACHE_LEN);
      if (len == threshold) len = flush(pool, cache, len);
      store<u32>(cache + (len << 2), obj, MEMPOOL_CACHE_OBJS);
      store<u32>(cache, len + 1, MEMPOOL_CACHE_LEN);
      return;
    }
  }
  if (enqueueOne(load<u32>(pool, MEMPOOL_RING), obj) == 0) unreachable();
}

/** Gives back the n objects of u32 objs[n]. */
// @ts-ignore: decorator
@inline
export function putBulk(pool: u32, lcore: u32, objs: u32, n: u32): void {
  if (lcore < <u32>LCORE_MAX) {
    const cache = cacheOf(pool, lcore);
    const len = load<u32>(cache, MEMPOOL_CACHE_LEN);
    const threshold = flushThreshold(load<u32>(pool, MEMPOOL_CACHE_SIZE));
    count(cache, MEMPOOL_CACHE_PUTS, n);
    if (n <= threshold) {
      const at = n <= threshold - len ? len : flush(pool, cache, len);
      copyWords(cache + MEMPOOL_CACHE_OBJS + (at << 2), objs, n);
      store<u32>(cache, at + n, MEMPOOL_CACHE_LEN);
      return;
    }
  }
  toRing(pool, objs, n);
}

/** Empties a cache into the ring; returns its new length, 0. */
export function flush(pool: u32, cache: u32, len: u32): u32 {
  toRing(pool, cache + MEMPOOL_CACHE_OBJS, len);
  store<u32>(cache, 0, MEMPOOL_CACHE_LEN);
  return 0;
}

// The ring holds every object of the pool, so only an object freed twice, or of another pool, can find it full: our bug.
function toRing(pool: u32, objs: u32, n: u32): void {
  if (n != 0 && moved(enqueue(load<u32>(pool, MEMPOOL_RING), objs, n, true)) == 0) unreachable();
}
