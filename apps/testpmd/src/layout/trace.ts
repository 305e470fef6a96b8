// The trace of a forwarding lcore: what `set verbose` shows of packets, written by the lcore and printed by the main thread.
// A ring of fixed records with one writer and one reader; a record that finds no room is counted as lost. Compiled by both
// tsc and asc.
export const TRACE_HEAD = 0; // u32 atomic: records written
export const TRACE_TAIL = 64; // u32 atomic: records read
export const TRACE_LOST = 128; // u32
export const TRACE_RECORDS = 192;
export const TRACE_COUNT = 512; // a power of two
export const TRACE_RECORD_BYTES = 128;
export const TRACE_BYTES = 192 + 512 * 128;

export const RECORD_PORT = 0; // u16
export const RECORD_QUEUE = 2; // u16
export const RECORD_SENT = 4; // u16: 0 = received, 1 = sent
export const RECORD_BURST = 6; // u16 packets in the burst, in the first packet's record; 0 in the others
export const RECORD_MBUF = 16; // the first MBUF_SIZE - 16 = 48 bytes of the mbuf's header
export const RECORD_MBUF_BYTES = 48;
export const RECORD_FRAME = 64; // the packet's first bytes
export const RECORD_FRAME_BYTES = 64;
