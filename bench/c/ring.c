// Baseline of the ring benches: bursts through a ring on one core, and each half of it for two threads.
#include "ring.h"

// Ours keep the other side's tail as they last saw it; this leaves it as they would.
static inline void seen_by_producer(u8 *base, u32 ring) {
  U32(ring + RING_PROD_SEEN) = ACQUIRE(ring + RING_CONS_TAIL);
}
static inline void seen_by_consumer(u8 *base, u32 ring) {
  U32(ring + RING_CONS_SEEN) = ACQUIRE(ring + RING_PROD_TAIL);
}

u32 ring_round(u8 *base, u32 ring, u32 in, u32 out, u32 burst, u32 times) {
  u32 moved = 0;
  for (u32 i = 0; i < times; i++) {
    enqueue(base, ring, in, burst, false);
    moved += dequeue(base, ring, out, burst, false);
  }
  seen_by_producer(base, ring);
  seen_by_consumer(base, ring);
  return moved;
}

u32 ring_produce(u8 *base, u32 ring, u32 in, u32 burst, u32 total) {
  u32 sent = 0;
  while (sent < total) sent += enqueue(base, ring, in, burst, true);
  seen_by_producer(base, ring);
  return sent;
}

u32 ring_consume(u8 *base, u32 ring, u32 out, u32 burst, u32 total) {
  u32 got = 0;
  while (got < total) got += dequeue(base, ring, out, burst, true);
  seen_by_consumer(base, ring);
  return got;
}
