// What the backend knows of the guest's queues, in the arena: a common head, then the part of the guest's transmit queues
// (GTX_, served by the port's receive bursts) or receive queues (GRX_, fed by its transmit bursts). The main thread fills
// a state while no lcore knows it; from then on the lcore that polls it is the writer, the lock and what is marked apart.
// Compiled by both tsc and asc.
export const GQ_MEM_WORD = 0; // u32 arena offset of the word that holds the memory table's offset
export const GQ_DOORBELL = 4; // u32 arena offset of the tail, a word that the guest writes
export const GQ_BASE = 8; // u64 guest address of the ring
export const GQ_SIZE = 16; // u32 descriptors
export const GQ_HEAD = 20; // u32 next descriptor to be handled
export const GQ_VECTOR = 24; // u32 arena offset of the interrupt vector, 0 = none
export const GQ_WANT_BOUNCE = 28; // u32 atomic: 1 = met memory that is not mapped; read by the main thread
export const GQ_LOCK = 32; // i32 atomic: 1 = an lcore is at it (receive queues can be fed by several)
export const GQ_FENCE = 36; // u32 whose atomic addition orders data before descriptors
export const GQ_BAD_TAIL = 40; // u64 bursts that found a tail outside the ring
export const GQ_BOUNCE_FAULT = 56; // u64, by the main thread: buffers that a bounced queue could not reach
export const GQ_RING_FAULT = 48; // u64 bursts that found the ring outside guest memory

// Counters, u64 each. Every malformed packet is counted once, under what was found first.
export const GTX_PACKETS = 64;
export const GTX_BYTES_SENT = 72;
export const GTX_MULTICAST = 80;
export const GTX_BROADCAST = 88;
export const GTX_TSO = 96; // packets that were cut into segments
export const GTX_CHECKSUM = 104; // packets whose checksums were finished
export const GTX_BAD_TYPE = 112; // unknown descriptor type
export const GTX_BAD_LENGTH = 120; // empty buffer, frame too short or too long
export const GTX_NO_EOP = 128; // more descriptors than a packet may have
export const GTX_BAD_ADDRESS = 136; // a buffer outside guest memory
export const GTX_BAD_CONTEXT = 144; // a context descriptor amid a packet, or asking for a tunnel
export const GTX_BAD_OFFLOAD = 152; // header lengths and packet disagree
export const GTX_BAD_TSO = 160; // segment size or lengths that no TSO may have
export const GTX_ERRORS_FIRST = 112;
export const GTX_ERRORS_LAST = 160;
// Working state of a transmit queue
export const GTX_SCRATCH = 168; // u32 arena offset of GTX_SCRATCH_BYTES
export const GTX_CRC32C = 172; // u32 arena offset of u32[16][256], the tables of CRC-32C
export const GTX_SKIP = 176; // u32: 1 = descriptors are dropped up to the next end of packet
// The packet that is being segmented; it lies in the scratch memory.
export const GTX_TSO_LEFT = 180; // u32 bytes of payload not sent yet, 0 = no packet
export const GTX_TSO_AT = 184; // u32 arena offset of the next payload byte
export const GTX_TSO_MSS = 188; // u32
export const GTX_TSO_HEADERS = 192; // u32 bytes of all headers, inserted tags included
export const GTX_TSO_L3 = 196; // u32 offset of the IP header
export const GTX_TSO_L4 = 200; // u32 offset of the TCP or UDP header
export const GTX_TSO_FLAGS = 204; // u32 TSO_*
export const GTX_TSO_SEQ = 208; // u32 TCP sequence number of the next segment
export const GTX_TSO_IP_ID = 212; // u32 IPv4 identification of the next segment
export const GTX_TSO_DESC = 216; // u32 first descriptor of the packet
// Where the queue stands, for a provider that keeps it beyond this process (emudev's layout/position.ts)
export const GTX_POSITION = 220; // u32 arena offset of the words, by the main thread; 0 = descriptors are given back at once
export const GTX_DONE = 224; // u32 first descriptor that was taken and is not given back, which waits for the next burst where
// a position is kept or a packet was lent; else = GQ_HEAD
export const GTX_DRAIN = 228; // u32, by the main thread: 1 = nothing new is taken, what is begun is finished
export const GTX_TSO_TEMPLATE = 256; // TSO_HEADERS_MAX bytes: the headers as the guest wrote them
export const TSO_HEADERS_MAX = 256;
export const TSO_IPV6 = 1; // without: IPv4
export const TSO_UDP = 2; // without: TCP
export const TSO_FIRST = 4; // no segment was sent yet
export const GTX_BYTES = 512;

// Scratch memory of a transmit queue: copies of one packet's descriptors, room for two tags, the packet in one piece.
export const GTX_DESCS = 0;
export const GTX_DESCS_MAX = 258; // context, data, one above the limit
export const GTX_LINEAR = 4224; // where a packet is gathered; 64 bytes before it are free
export const GTX_LINEAR_MAX = 66560; // 65,536 bytes and headers
export const GTX_SCRATCH_BYTES = 70784;

/** Data descriptors of a packet, as the hardware's limit for one buffer chain; and of a TSO packet. */
export const GTX_PACKET_DESCS_MAX = 8;
export const GTX_TSO_DESCS_MAX = 256;
/** Bytes of a frame without CRC. */
export const FRAME_MIN = 14;
export const FRAME_MAX = 9724;
export const TSO_MSS_MIN = 64;

export const GRX_PACKETS = 64;
export const GRX_BYTES_SENT = 72;
export const GRX_MULTICAST = 80;
export const GRX_BROADCAST = 88;
export const GRX_FILTERED = 96; // packets for an address or VLAN the guest does not listen on
export const GRX_OVERSIZE = 104; // packets longer than the guest takes
export const GRX_NO_DESC = 112; // bursts cut short for want of descriptors
export const GRX_BAD_ADDRESS = 120; // packets lost to a buffer outside guest memory
export const GRX_BUSY = 128; // bursts that found another lcore at the queue for too long
// Settings, by the main thread
export const GRX_FILTER_WORD = 136; // u32 arena offset of the word that holds the filter table's offset
export const GRX_BUF_SIZE = 140; // u32 bytes of each posted buffer
export const GRX_MAX_PKT = 144; // u32 bytes of the longest packet, without CRC
export const GRX_CRC = 148; // u32 arena offset of u32[16][256], the tables of the frame check sequence, if it is kept; else 0
export const GRX_POSITION = 152; // u32 arena offset of the words of a durable position, 0 = none
export const GRX_HOLD = 156; // u32 arena offset of the area for packets that wait for a window (hold.ts), 0 = none
export const GRX_HELD = 160; // u64 packets that have waited there
export const GRX_HELD_LOST = 168; // u64, by the main thread: those that were there when the queue was let go
export const GRX_FRONT = 192; // 16 bytes: the first bytes of a frame whose tag is inserted or taken out
export const GRX_WRITE_BACK = 256; // u64[BURST_DESCS_MAX]: second words of the descriptors of this burst
export const GRX_BYTES = 4352;

/** In a position's words, beside the index: descriptors are dropped up to the next end of packet (GTX_SKIP). */
export const POSITION_SKIP = 0x10000;
