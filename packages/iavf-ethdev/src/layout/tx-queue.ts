// The state of one transmit queue as it lies in the arena, after iavf_tx_queue: the ethdev counters, what the main thread
// sets, and what the lcore that polls it keeps. The device reports completion only where RS was asked for, so the queue
// keeps the indexes of those descriptors in order. Compiled by both tsc and asc.
// 0..63: ethdev's layout/queue-stats.ts
export const TXQ_RUN = 64; // u32 atomic, main: 1 = bursts may touch the ring, 0 = they return 0
export const TXQ_RING = 68; // u32 arena offset of the descriptors
export const TXQ_SIZE = 72; // u32 descriptors; one is always left empty
export const TXQ_SW_RING = 76; // u32 arena offset of u32[TXQ_SIZE]: the mbuf segment behind each descriptor, 0 = none
export const TXQ_DOORBELL = 80; // u32 arena offset of the tail word
export const TXQ_KICK = 84; // u32 arena offset of the device's kick word (layout/doorbell.ts), 0 = the tail word is mapped
export const TXQ_RS = 88; // u32 arena offset of u32[TXQ_RS_SIZE]: ring indexes of descriptors that asked for a report
export const TXQ_RS_SIZE = 92; // u32 slots of it
export const TXQ_MAX_PKT = 96; // u32 longest packet in bytes that is not segmented
export const TXQ_TAIL = 128; // u32 lcore: descriptor to write next
export const TXQ_FREE = 132; // u32 lcore: descriptors that may be written
export const TXQ_CLEAN = 136; // u32 lcore: oldest descriptor not reclaimed
export const TXQ_USED = 140; // u32 lcore: descriptors written since the last RS
export const TXQ_RS_HEAD = 144; // u32 lcore: oldest report awaited
export const TXQ_RS_TAIL = 148; // u32 lcore: slot for the next one
export const TXQ_FULL = 152; // u64 lcore: packets turned away because the ring was full
export const TXQ_RECLAIMED = 160; // u64 lcore: descriptors the device has reported done
export const TXQ_BYTES = 192;

export const TXQ_DESC_BYTES = 16;
export const TXQ_RS_THRESH = 32; // descriptors between two reports, at most
export const TXQ_MAX_SEGS = 8; // buffers of a packet sent as it is
export const TXQ_MAX_TSO_SEGS = 24; // buffers of a packet to be segmented
export const TXQ_MAX_BUF = 16383; // bytes of one buffer (14 bits)
export const TXQ_TSO_MSS_MIN = 64;
export const TXQ_TSO_MSS_MAX = 9668;
