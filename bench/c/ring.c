// Baseline of the ring benches: bursts through a ring on one core, and each half of it for two threads.
#include "ring.h"

u32 ring_round(u8 *base, u32 ring, u32 in, u32 out, u32 burst, u32 times) {
  u32 moved = 0;
  for (u32 i = 0; i < times; i++) {
    enqueue(base, ring, in, burst, false);
    moved += dequeue(base, ring, out, burst, false);
  }
  return moved;
}

u32 ring_produce(u8 *base, u32 ring, u32 in, u32 burst, u32 total) {
  u32 sent = 0;
  while (sent < total) sent += enqueue(base, ring, in, burst, true);
  return sent;
}

u32 ring_consume(u8 *base, u32 ring, u32 out, u32 burst, u32 total) {
  u32 got = 0;
  while (got < total) got += dequeue(base, ring, out, burst, true);
  return got;
}
