// The state of one receive queue as it lies in the arena, after iavf_rx_queue: the ethdev counters, what the main thread
// sets before the queue runs, and what the lcore that polls it keeps. Descriptors are 32 bytes; a descriptor whose packet
// was taken is "held" until a run of RXQ_FREE_THRESH can be given back to the device with fresh mbufs at once. Compiled by
// both tsc and asc.
// 0..63: ethdev's layout/queue-stats.ts
export const RXQ_RUN = 64; // u32 atomic, main: 1 = bursts may touch the ring, 0 = they return 0
export const RXQ_RING = 68; // u32 arena offset of the descriptors
export const RXQ_SIZE = 72; // u32 descriptors, a multiple of RXQ_FREE_THRESH
export const RXQ_SW_RING = 76; // u32 arena offset of u32[RXQ_SIZE]: the mbuf behind each descriptor
export const RXQ_POOL = 80; // u32 arena offset of the mempool
export const RXQ_DOORBELL = 84; // u32 arena offset of the tail word
export const RXQ_KICK = 88; // u32 arena offset of the device's kick word (layout/doorbell.ts), 0 = the tail word is mapped
export const RXQ_BUF_SIZE = 92; // u32 bytes a descriptor's buffer takes
export const RXQ_MAX_PKT = 96; // u32 longest packet in bytes
export const RXQ_PTYPES = 100; // u32 arena offset of u32[256]: packet_type of each hardware ptype
export const RXQ_PORT = 104; // u32 port id, stored in each mbuf
export const RXQ_NEXT = 128; // u32 lcore: descriptor to look at next
export const RXQ_HELD = 132; // u32 lcore: descriptors behind RXQ_NEXT that have no mbuf
export const RXQ_FIRST = 136; // u32 lcore: first mbuf of a packet whose end has not come, or 0
export const RXQ_LAST = 140; // u32 lcore: its last mbuf
export const RXQ_SKIP = 144; // u32 lcore: 1 = dropping a bad packet up to its last descriptor
export const RXQ_REFILL_FAILS = 152; // u64 lcore: runs that could not be given back for want of mbufs
export const RXQ_BYTES = 192;

export const RXQ_DESC_BYTES = 32;
export const RXQ_FREE_THRESH = 32;
export const RXQ_MAX_SEGS = 64; // segments of a packet the driver takes
