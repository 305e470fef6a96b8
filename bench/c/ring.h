// rte_ring's algorithm over the layout of shm, as plain C; the same work and checks as shm/assembly/ring.ts.
#pragma once
#include <stdbool.h>
#include "arena.h"

static inline void put_slots(u8 *base, u32 ring, u32 head, u32 objs, u32 n) {
  u32 first = head & U32(ring + RING_MASK), room = U32(ring + RING_SIZE) - first;
  u32 run = n < room ? n : room;
  memcpy(base + ring + RING_OBJS + 4 * first, base + objs, 4ul * run);
  if (unlikely(run < n)) memcpy(base + ring + RING_OBJS, base + objs + 4 * run, 4ul * (n - run));
}

static inline void take_slots(u8 *base, u32 ring, u32 head, u32 objs, u32 n) {
  u32 first = head & U32(ring + RING_MASK), room = U32(ring + RING_SIZE) - first;
  u32 run = n < room ? n : room;
  memcpy(base + objs, base + ring + RING_OBJS + 4 * first, 4ul * run);
  if (unlikely(run < n)) memcpy(base + objs + 4 * run, base + ring + RING_OBJS, 4ul * (n - run));
}

static inline u32 enqueue(u8 *base, u32 ring, u32 objs, u32 n, bool fixed) {
  bool single = U32(ring + RING_FLAGS) & RING_F_SP_ENQ;
  u32 capacity = U32(ring + RING_CAPACITY), head, count, free;
  for (;;) {
    head = __atomic_load_n(PTR(u32, ring + RING_PROD_HEAD), __ATOMIC_RELAXED);
    if (!single) __atomic_thread_fence(__ATOMIC_ACQUIRE);
    free = capacity + ACQUIRE(ring + RING_CONS_TAIL) - head;
    count = n <= free ? n : fixed ? 0 : free;
    if (unlikely(count == 0)) return 0;
    if (single) {
      U32(ring + RING_PROD_HEAD) = head + count;
      break;
    }
    if (likely(__atomic_compare_exchange_n(PTR(u32, ring + RING_PROD_HEAD), &head, head + count, false,
                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED)))
      break;
  }
  put_slots(base, ring, head, objs, count);
  if (!single) while (__atomic_load_n(PTR(u32, ring + RING_PROD_TAIL), __ATOMIC_RELAXED) != head) pause_cpu();
  RELEASE(ring + RING_PROD_TAIL, head + count);
  return count;
}

static inline u32 dequeue(u8 *base, u32 ring, u32 objs, u32 n, bool fixed) {
  bool single = U32(ring + RING_FLAGS) & RING_F_SC_DEQ;
  u32 head, count, used;
  for (;;) {
    head = __atomic_load_n(PTR(u32, ring + RING_CONS_HEAD), __ATOMIC_RELAXED);
    if (!single) __atomic_thread_fence(__ATOMIC_ACQUIRE);
    used = ACQUIRE(ring + RING_PROD_TAIL) - head;
    count = n <= used ? n : fixed ? 0 : used;
    if (unlikely(count == 0)) return 0;
    if (single) {
      U32(ring + RING_CONS_HEAD) = head + count;
      break;
    }
    if (likely(__atomic_compare_exchange_n(PTR(u32, ring + RING_CONS_HEAD), &head, head + count, false,
                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED)))
      break;
  }
  take_slots(base, ring, head, objs, count);
  if (!single) while (__atomic_load_n(PTR(u32, ring + RING_CONS_TAIL), __ATOMIC_RELAXED) != head) pause_cpu();
  RELEASE(ring + RING_CONS_TAIL, head + count);
  return count;
}
