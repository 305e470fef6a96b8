// A ring of u32 objects as it lies in the arena, after rte_ring: producer and consumer each have a head (reserved up to)
// and a tail (published up to). Indexes run freely over 32 bits; capacity is size - 1 as in rte_ring, or exactly the asked
// count with RING_F_EXACT_SZ. What only one side touches and what both do lie 128 bytes apart: processors fetch cache lines
// in pairs. Compiled by both tsc and asc.
export const RING_SIZE = 0; // u32 slots, a power of two
export const RING_MASK = 4; // u32 size - 1
export const RING_CAPACITY = 8; // u32 usable slots
export const RING_FLAGS = 12; // u32 RING_F_*
export const RING_PROD_HEAD = 128; // u32 atomic
export const RING_PROD_SEEN = 132; // u32 RING_CONS_TAIL as a single producer last saw it
export const RING_PROD_TAIL = 256; // u32 atomic
export const RING_CONS_HEAD = 384; // u32 atomic
export const RING_CONS_SEEN = 388; // u32 RING_PROD_TAIL as a single consumer last saw it
export const RING_CONS_TAIL = 512; // u32 atomic
export const RING_OBJS = 640; // u32[size]

export const RING_F_SP_ENQ = 1;
export const RING_F_SC_DEQ = 2;
export const RING_F_EXACT_SZ = 4;
