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

void ring_produce(u8 *base, u32 ring, u32 in, u32 burst, u32 total) {
  for (u32 sent = 0; sent < total;) sent += enqueue(base, ring, in, burst, true);
}

void ring_consume(u8 *base, u32 ring, u32 out, u32 burst, u32 total) {
  for (u32 got = 0; got < total;) got += dequeue(base, ring, out, burst, true);
}
