// Packets for the guest that met a buffer in memory without a window: they are copied here, taken over from the caller, and
// wait in order until the window is there. One area for each receive queue of a guest whose memory has windows on demand;
// whoever holds the queue's lock is the writer. Records lie one behind the other, each an mbuf of one segment that belongs
// to no pool. Compiled by both tsc and asc.
export const HOLD_COUNT = 0; // u32 packets that wait
export const HOLD_HEAD = 4; // u32 where the oldest record lies, from HOLD_RECORDS on
export const HOLD_TAIL = 8; // u32 where the next one goes
export const HOLD_BURST = 32; // packets that are tried at a time:
export const HOLD_PKTS = 64; // u32[HOLD_BURST]
export const HOLD_MARKS = 192; // u64[HOLD_BURST], see SPREAD_MARKS
export const HOLD_RECORDS = 448;
export const HOLD_RECORDS_BYTES = 1048576;
export const HOLD_BYTES = 1049024;

export const HOLD_RECORD_BYTES = 0; // u32, a multiple of 64; 0 = the next record lies at the beginning
export const HOLD_RECORD_MARK = 8; // u64
export const HOLD_RECORD_MBUF = 64; // then the data
