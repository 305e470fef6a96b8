// What the main thread and forwarding lcores share in the arena: one control block for all lcores, and a record for each
// stream (receive queue to transmit queue) with its counters, its packet headers and its arrays of mbufs. The stream's lcore
// is the only writer of the counters, the main thread of the rest. Compiled by both tsc and asc.
export const FWD_BLOCK_BYTES = 64;
export const FWD_BURST = 0; // u32 packets a burst
export const FWD_VERBOSE = 4; // u32: 1 = received packets are traced, 2 = sent ones, 3 = both
export const FWD_RETRY = 8; // u32: 1 = packets that were not accepted are offered again
export const FWD_LIVE = 12; // i32 atomic: lcores that poll

export const FWD_MOVES = 20; // i32 atomic: counts changes of streams' owners
export const FWD_TIMED = 24; // u32: 1 = some turns of streams are timed
export const FWD_RECORD_BURSTS = 16; // u32: 1 = the sizes of bursts are counted

export const BURST_MAX = 512;
export const SEGS_MAX = 8; // segments of a packet that txonly makes

export const STREAM_RX = 0; // f64 packets received
export const STREAM_TX = 8; // f64 packets accepted by the transmit queue
export const STREAM_DROPPED = 16; // f64 packets not accepted and freed
export const STREAM_CONSUMED = 24; // f64 packets that end here: rxonly's, and what icmpecho does not answer
export const STREAM_NOMBUF = 32; // f64 packets not made for want of mbufs
export const STREAM_RETRIES = 40; // f64 bursts offered again
export const STREAM_TIMED_NS = 48; // f64 nanoseconds of the turns that were timed and moved packets
export const STREAM_TIMED_PACKETS = 56; // f64 packets of those
export const STREAM_OWNER = 76; // i32 atomic, by the main thread: index of the lcore that polls it, 0 = none
export const STREAM_MACS = 64; // destination and source address for modes that set them: 12 bytes
export const STREAM_SEGS = 80; // u32 segments of a packet that txonly makes
export const STREAM_SEG_LEN = 84; // u16[SEGS_MAX] bytes of each
export const STREAM_HEAD_LEN = 100; // u32 bytes of the head
export const STREAM_ZEROS = 104; // u32: 1 = buffers of the pool hold zeros behind their first STREAM_HEAD_MAX bytes
export const STREAM_HEAD = 128; // the packet's first bytes, the rest is zero
export const STREAM_HEAD_MAX = 128;
export const STREAM_PKTS = 256; // u32[BURST_MAX] mbufs of the burst
export const STREAM_MORE = 2304; // u32[BURST_MAX] mbufs of a further segment
export const STREAM_RX_BURSTS = 4352; // f64[BURST_MAX + 1]: bursts received of 0, 1, 2, ... packets
export const STREAM_TX_BURSTS = 8456; // f64[BURST_MAX + 1]: bursts accepted
export const COPIES_MAX = 256; // transmit queues besides its own that a stream sends to: ETH_PORTS_MAX of ethdev
export const STREAM_COPY_DROPPED = 12560; // f64[COPIES_MAX]: packets that each of them did not accept
export const STREAM_BYTES = 14656;
