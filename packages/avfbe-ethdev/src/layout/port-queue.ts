// The queues of the ethdev port as they lie in the arena. A receive queue of the port serves one or more transmit queues of
// the guest, whose states lie in one array (guest-queue.ts), and a transmit queue of the port feeds one receive queue of the
// guest, or all by a hash. Both begin with the counters of ethdev's layout/queue-stats.ts; the polling lcore writes what has no other writer
// named. Compiled by both tsc and asc.
export const RXQ_BYTES = 128;
export const RXQ_ACTIVE = 64; // u32 atomic, written by the main thread: bit i = transmit queue i of the guest is served
export const RXQ_FIRE = 68; // u32: guest queues whose vectors the lcore is to fire, or to look at the deadline of
export const RXQ_NEXT = 72; // u32: guest queue at which the next burst begins
export const RXQ_POOL = 76; // u32 mempool, written by the main thread
export const RXQ_ROOM = 80; // u32 bytes of data that one mbuf of it takes, written by the main thread
export const RXQ_PORT = 84; // u32 port id, written by the main thread
export const RXQ_GUESTS = 88; // u32 arena offset of the array of GTX_BYTES, written by the main thread
export const RXQ_POLLED = 92; // u32, written by the main thread: bit i = the doorbell of transmit queue i makes no event
export const RXQ_LEND = 96; // u32: 1 = long packets are lent, not copied: whoever receives is done with them before the next burst
export const RXQ_MEM_WORD = 100; // u32 arena offset of the device's word for its memory table, written by the main thread

export const TXQ_BYTES = 128;
export const TXQ_GUEST = 64; // u32 atomic, written by the main thread: the guest's receive queue, 0 = none
export const TXQ_FIRE = 68; // u32: the vector that the lcore is to fire, or to look at the deadline of, 0 = none, or
export const TXQ_FIRE_MANY = 1; // those of TXQ_FIRES
export const TXQ_RSS = 72; // u32 atomic, written by the main thread: the table (rss.ts) that spreads packets, 0 = all go to TXQ_GUEST
export const TXQ_OWN = 76; // u32, written by the main thread: the number of TXQ_GUEST, which gets what is not hashed
export const TXQ_SCRATCH = 80; // u32 arena offset of SPREAD_BYTES, written by the main thread
export const TXQ_STATES = 84; // u32 arena offset of the array of GRX_BYTES, written by the main thread
export const TXQ_FIRES = 88; // u32: receive queues of the guest whose vectors are to be fired
export const TXQ_MEM_WORD = 92; // u32, as RXQ_MEM_WORD

/** Descriptors that one call of a burst handles at most for one guest queue. */
export const BURST_DESCS_MAX = 512;
