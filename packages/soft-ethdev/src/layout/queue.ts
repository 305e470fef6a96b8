// The state of a queue of a soft port in the arena, behind the counters that every queue has. The control side writes
// it before the port starts; the lcore that polls the queue writes the counters and SQ_NEXT. Compiled by tsc alone.
export const SQ_KIND = 64; // u32 KIND_*
export const SQ_STARTED = 68; // u32 atomic: 0 = bursts move nothing
export const SQ_POOL = 72; // u32 mempool of an Rx queue
export const SQ_ROOM = 76; // u32 data bytes of one mbuf of that pool
export const SQ_FD = 80; // i32 tap or file
export const SQ_RING = 84; // u32 ring of a net_ring queue
export const SQ_PACKET = 88; // u32 bytes of a packet of net_null
export const SQ_COPY = 92; // u32: 1 = net_null copies packets
export const SQ_RECORDS = 96; // u32 arena offset of net_pcap's packets: pairs of u32, offset and length
export const SQ_COUNT = 100; // u32 packets there
export const SQ_NEXT = 104; // u32 next of them
export const SQ_LOOP = 108; // u32: 1 = from the first again (infinite_rx)
export const SQ_BUFFER = 112; // u32 arena offset of scratch memory of the queue's own
export const SQ_BUFFER_BYTES = 116; // u32
export const SQ_GOOD = 120; // f64 bytes of net_pcap's output file that are whole records
export const SQ_FAILED = 128; // u32: 1 = a write failed and tore the file; nothing is written until the port restarts
export const SQ_BYTES = 192;

export const KIND_NULL = 1;
export const KIND_RING = 2;
export const KIND_PCAP = 3;
export const KIND_TAP = 4;
