// The memory table of an emulated device as lcores see it: regions of guest memory, sorted by guest address, adjacent ones
// merged. A table is never edited: a new one is written beside it and the word that holds its offset is swapped. Compiled
// by both tsc and asc. A region whose MEM_REGION_OFF is 0 has no mapping and is reached by the control side alone.
export const MEM_WORD_READERS = 4; // behind the word: u32 atomic, bit i = the lcore of index i may read the table
export const MEM_TABLE_COUNT = 0; // u32 regions
export const MEM_TABLE_GENERATION = 4; // u32, counts the swaps
export const MEM_TABLE_DIRTY = 8; // u32 arena offset of the dirty log, 0 = nothing is logged
export const MEM_TABLE_REGIONS = 16; // MEM_REGION_BYTES each
export const MEM_REGION_BYTES = 24;
export const MEM_REGION_IOVA = 0; // u64 guest address
export const MEM_REGION_SIZE = 8; // u64 bytes
export const MEM_REGION_OFF = 16; // u32 arena offset of the first byte, 0 = not mapped
export const MEM_REGION_PROT = 20; // u32 MEM_PROT_*
export const MEM_PROT_READ = 1; // the device may read
export const MEM_PROT_WRITE = 2; // the device may write
export const MEM_INDIRECT = 1; // what a translation answers for a region without mapping; never an arena offset of anything
// The dirty log: a bit for each page of the arena, set atomically after a store by whoever writes to guest memory. What is
// mapped twice is logged once, for the page of the arena that it is.
export const DIRTY_PAGE_SHIFT = 12;
export const DIRTY_LOG_BYTES = 131072; // of an arena of 4 GiB
