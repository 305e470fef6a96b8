// Baseline of the mempool and pktmbuf benches: objects taken and given back in bursts by one lcore.
#include "mempool.h"

u32 mempool_round(u8 *base, u32 pool, u32 lcore, u32 objs, u32 burst, u32 times) {
  u32 taken = 0;
  for (u32 i = 0; i < times; i++) {
    taken += get_bulk(base, pool, lcore, objs, burst);
    put_bulk(base, pool, lcore, objs, burst);
  }
  return taken;
}

u32 pktmbuf_round(u8 *base, u32 pool, u32 lcore, u32 objs, u32 burst, u32 times) {
  u32 taken = 0;
  for (u32 i = 0; i < times; i++) {
    taken += mbuf_alloc_bulk(base, pool, lcore, objs, burst);
    mbuf_free_bulk(base, lcore, objs, burst);
  }
  return taken;
}
