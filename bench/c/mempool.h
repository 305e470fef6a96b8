// rte_mempool's and rte_mbuf's algorithms over the layout of shm, as plain C; the same work and checks as
// shm/assembly/mempool.ts and mbuf.ts.
#pragma once
#include "ring.h"

static inline u32 cache_of(u32 pool, u32 lcore) { return pool + MEMPOOL_CACHES + lcore * MEMPOOL_CACHE_BYTES; }

static inline u32 flush_threshold(u32 size) { return size + size / 2; }

static u32 get_slow(u8 *base, u32 pool, u32 lcore, u32 objs, u32 n) {
  u32 ring = U32(pool + MEMPOOL_RING);
  if (lcore >= LCORE_MAX) return dequeue(base, ring, objs, n, true);
  u32 cache = cache_of(pool, lcore), size = U32(pool + MEMPOOL_CACHE_SIZE), len = U32(cache + MEMPOOL_CACHE_LEN);
  u32 slots = cache + MEMPOOL_CACHE_OBJS, missing = n - len;
  if (size != 0 && n <= MEMPOOL_CACHE_SLOTS - size && dequeue(base, ring, slots + 4 * len, missing + size, true)) {
    memcpy(base + objs, base + slots + 4 * size, 4ul * n);
    U32(cache + MEMPOOL_CACHE_LEN) = size;
    U64(cache + MEMPOOL_CACHE_GETS) += n;
    return n;
  }
  if (dequeue(base, ring, objs + 4 * len, missing, true) == 0) {
    U64(cache + MEMPOOL_CACHE_GET_FAIL) += n;
    return 0;
  }
  memcpy(base + objs, base + slots, 4ul * len);
  U32(cache + MEMPOOL_CACHE_LEN) = 0;
  U64(cache + MEMPOOL_CACHE_GETS) += n;
  return n;
}

static inline u32 get_bulk(u8 *base, u32 pool, u32 lcore, u32 objs, u32 n) {
  if (likely(lcore < LCORE_MAX)) {
    u32 cache = cache_of(pool, lcore), len = U32(cache + MEMPOOL_CACHE_LEN);
    if (likely(n <= len)) {
      memcpy(base + objs, base + cache + MEMPOOL_CACHE_OBJS + 4 * (len - n), 4ul * n);
      U32(cache + MEMPOOL_CACHE_LEN) = len - n;
      U64(cache + MEMPOOL_CACHE_GETS) += n;
      return n;
    }
  }
  return get_slow(base, pool, lcore, objs, n);
}

static void to_ring(u8 *base, u32 pool, u32 objs, u32 n) {
  if (n != 0 && enqueue(base, U32(pool + MEMPOOL_RING), objs, n, true) == 0) __builtin_trap();
}

static inline void put_bulk(u8 *base, u32 pool, u32 lcore, u32 objs, u32 n) {
  if (likely(lcore < LCORE_MAX)) {
    u32 cache = cache_of(pool, lcore), len = U32(cache + MEMPOOL_CACHE_LEN);
    u32 threshold = flush_threshold(U32(pool + MEMPOOL_CACHE_SIZE));
    U64(cache + MEMPOOL_CACHE_PUTS) += n;
    if (likely(n <= threshold)) {
      if (unlikely(n > threshold - len)) {
        to_ring(base, pool, cache + MEMPOOL_CACHE_OBJS, len);
        len = 0;
      }
      memcpy(base + cache + MEMPOOL_CACHE_OBJS + 4 * len, base + objs, 4ul * n);
      U32(cache + MEMPOOL_CACHE_LEN) = len + n;
      return;
    }
  }
  to_ring(base, pool, objs, n);
}

static inline void mbuf_reset(u8 *base, u32 mbuf, u32 pool, u32 data_room) {
  U32(mbuf + MBUF_BUF) = mbuf + MBUF_SIZE;
  U16(mbuf + MBUF_DATA_OFF) = MBUF_HEADROOM;
  U16(mbuf + MBUF_REFCNT) = 1;
  U16(mbuf + MBUF_NB_SEGS) = 1;
  U16(mbuf + MBUF_PORT) = 0xffff;
  U16(mbuf + MBUF_DATA_LEN) = 0;
  U16(mbuf + MBUF_BUF_LEN) = data_room;
  memset(base + mbuf + 16, 0, MBUF_SIZE - 16);
  U32(mbuf + MBUF_POOL) = pool;
}

static inline u32 mbuf_alloc_bulk(u8 *base, u32 pool, u32 lcore, u32 objs, u32 n) {
  u32 got = get_bulk(base, pool, lcore, objs, n), data_room = U32(pool + MEMPOOL_DATAROOM);
  for (u32 i = 0; i < got; i++) mbuf_reset(base, U32(objs + 4 * i), pool, data_room);
  return got;
}

// One segment whose last reference went, back to its pool.
static inline void put_one(u8 *base, u32 lcore, u32 mbuf) {
  u32 pool = U32(mbuf + MBUF_POOL), cache = cache_of(pool, lcore), len = U32(cache + MEMPOOL_CACHE_LEN);
  u32 threshold = flush_threshold(U32(pool + MEMPOOL_CACHE_SIZE));
  if (unlikely(len >= threshold)) {
    to_ring(base, pool, cache + MEMPOOL_CACHE_OBJS, len);
    len = 0;
  }
  U32(cache + MEMPOOL_CACHE_OBJS + 4 * len) = mbuf;
  U32(cache + MEMPOOL_CACHE_LEN) = len + 1;
  U64(cache + MEMPOOL_CACHE_PUTS) += 1;
}

static inline bool prefree(u8 *base, u32 mbuf) {
  if (likely(__atomic_load_n(PTR(u16, mbuf + MBUF_REFCNT), __ATOMIC_RELAXED) == 1)) return true;
  return __atomic_sub_fetch(PTR(u16, mbuf + MBUF_REFCNT), 1, __ATOMIC_ACQ_REL) == 0;
}

static void mbuf_free(u8 *base, u32 lcore, u32 mbuf) {
  while (mbuf != 0) {
    u32 next = U32(mbuf + MBUF_NEXT);
    if (prefree(base, mbuf)) put_one(base, lcore, mbuf);
    mbuf = next;
  }
}

static inline void mbuf_free_bulk(u8 *base, u32 lcore, u32 objs, u32 n) {
  u32 at = 0;
  while (at < n) {
    u32 pool = U32(U32(objs + 4 * at) + MBUF_POOL), cache = cache_of(pool, lcore), before = at;
    u32 threshold = flush_threshold(U32(pool + MEMPOOL_CACHE_SIZE)), len = U32(cache + MEMPOOL_CACHE_LEN);
    if (likely(pool != 0 && len < threshold)) {
      u32 stop = n - at < threshold - len ? n : at + threshold - len;
      for (; at < stop; at++) {
        u32 mbuf = U32(objs + 4 * at);
        if (unlikely(U16(mbuf + MBUF_REFCNT) != 1 || U32(mbuf + MBUF_NEXT) != 0 || U32(mbuf + MBUF_POOL) != pool)) break;
        U32(cache + MEMPOOL_CACHE_OBJS + 4 * (len + at - before)) = mbuf;
      }
      U32(cache + MEMPOOL_CACHE_LEN) = len + at - before;
      U64(cache + MEMPOOL_CACHE_PUTS) += at - before;
    }
    if (at == before) mbuf_free(base, lcore, U32(objs + 4 * at++));
  }
}
