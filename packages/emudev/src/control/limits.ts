// Every limit of the class in one place. Guests and clients can reach the memory limits; the rest bound this process's own
// configuration.

/** Devices of one process; ids run from 0 to one less. */
export const EMU_DEV_MAX = 1024;
/** Maps of one memory table: what a vfio-user server should tell its client as `max_dma_maps`. */
export const MEM_MAPS_MAX = 4096;
/** Maps of all tables of one process; the kernel refuses the 65,530th mapping of a process. */
export const MEM_MAPS_PROCESS_MAX = 32_768;
/** Bytes of one read or write of guest memory. */
export const MEM_ACCESS_MAX = 16 * 1024 * 1024;
/** Old tables that may wait for lcores before a map waits for them too. */
export const MEM_TABLES_RETIRED_MAX = 64;
/** Messages a subscriber may have unanswered; further ones wait in the notifier. */
export const EVENTS_UNANSWERED_MAX = 128;
/** Slots of the ring that eventChannelCreate makes. */
export const EVENT_CHANNEL_SLOTS = 256;
/** Milliseconds after which a subscriber that has not answered an event is named in the log. */
export const EVENT_LATE_MS = 1000;
/** Bytes of guest memory that a window on demand stands for, and by how much it reaches into the next: a ring's longest. */
export const DEMAND_CHUNK_BYTES = 2 * 1024 * 1024;
export const DEMAND_OVERLAP_BYTES = 512 * 1024;
/** Windows that are mapped at a time. */
export const DEMAND_FETCH_MAX = 64;
/** A region of a file that is larger than the arena is mapped whole up to this size. */
export const DEMAND_REGION_BYTES = 256 * 1024 * 1024;
