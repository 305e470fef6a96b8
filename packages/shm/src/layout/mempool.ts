// A mempool of equal objects as it lies in the arena: a header, a cache for each lcore, an MP/MC ring of free objects and
// the objects. An object is named by its arena offset. Compiled by both tsc and asc.
export const MEMPOOL_POPULATED = 0; // u32 objects
export const MEMPOOL_ELT_SIZE = 4; // u32 bytes from one object to the next
export const MEMPOOL_CACHE_SIZE = 8; // u32 objects a cache keeps; it is flushed above 1.5 times that
export const MEMPOOL_RING = 12; // u32 arena offset of the ring of free objects
export const MEMPOOL_OBJS = 16; // u32 arena offset of the first object
export const MEMPOOL_OBJS_BYTES = 20; // u32
export const MEMPOOL_DATAROOM = 24; // u32 bytes of headroom and data room of a pktmbuf pool, else 0
export const MEMPOOL_CACHES = 64; // MEMPOOL_CACHE_BYTES for each of LCORE_MAX lcores

// One lcore's cache; its owner is the only writer.
export const MEMPOOL_CACHE_BYTES = 3136;
export const MEMPOOL_CACHE_LEN = 0; // u32 objects in it
export const MEMPOOL_CACHE_GET_FAIL = 8; // u64 objects asked for and not had (exhaustion)
export const MEMPOOL_CACHE_GETS = 16; // u64 objects
export const MEMPOOL_CACHE_PUTS = 24; // u64 objects
export const MEMPOOL_CACHE_OBJS = 64; // u32[MEMPOOL_CACHE_SLOTS]
export const MEMPOOL_CACHE_SLOTS = 768; // MEMPOOL_CACHE_MAX * 1.5
export const MEMPOOL_CACHE_MAX = 512;

// The index of an lcore in per-lcore tables; 0 is the main lcore.
export const LCORE_MAX = 32;
