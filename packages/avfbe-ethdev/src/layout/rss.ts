// What spreads packets over the guest's receive queues: the table that a transmit burst of the port looks into, and the
// scratch memory of one port queue for it. A table is never edited: a new one is written beside it and swapped in
// (control/rss.ts). Compiled by both tsc and asc.
export const RSS_KINDS = 0; // u8[256]: by packet type of the write-back, what is hashed: RSS_KIND_*
export const RSS_LUT = 256; // u8[RSS_LUT_ENTRIES]: a receive queue that can be fed
export const RSS_LUT_ENTRIES = 64; // as AVF_RSS_LUT_ENTRIES, a power of two
export const RSS_ACTIVE = 320; // u32: bit i = receive queue i can be fed
export const RSS_TOEPLITZ = 384; // u32[RSS_INPUT_MAX][256]: the hash of each value of each byte of the input
export const RSS_INPUT_MAX = 36; // bytes: two IPv6 addresses and two ports
export const RSS_BYTES = 37248;

// Bytes of the hash input
export const RSS_KIND_NONE = 0;
export const RSS_KIND_IPV4 = 8;
export const RSS_KIND_IPV4_PORTS = 12;
export const RSS_KIND_IPV6 = 32;
export const RSS_KIND_IPV6_PORTS = 36;

/** Packets of one burst that is spread. */
export const SPREAD_MAX = 512;
// Scratch memory: in the order of the burst, then in the order of queues.
export const SPREAD_COUNTS = 0; // u32[32]: packets for each queue, then where the next one goes
export const SPREAD_QUEUES = 128; // u8[SPREAD_MAX]
export const SPREAD_MARKS = 640; // u64[SPREAD_MAX]: hash in the high half, its status bits in the low one; 0 = not hashed
export const SPREAD_SORTED_PKTS = 4736; // u32[SPREAD_MAX]
export const SPREAD_SORTED_MARKS = 6784; // u64[SPREAD_MAX]
export const SPREAD_BYTES = 10880;
