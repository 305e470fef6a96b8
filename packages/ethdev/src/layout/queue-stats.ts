// The counters that every ethdev queue has at the start of its state in the arena, whatever its driver. The lcore that polls
// the queue is the only writer; the control side reads them. Each is a u64. Compiled by both tsc and asc.
export const QSTATS_PACKETS = 0;
export const QSTATS_BYTES = 8;
export const QSTATS_ERRORS = 16; // ierrors of an Rx queue, oerrors of a Tx queue
export const QSTATS_MISSED = 24; // imissed: packets lost for want of a descriptor or a ring slot (Rx); drops the driver made (Tx)
export const QSTATS_NOMBUF = 32; // rx_nombuf: packets not taken for want of an mbuf
export const QSTATS_BYTES_TOTAL = 64; // driver state follows
