// The receive filters of the guest as its receive bursts read them. A table is never edited: a new one is written beside it
// and the word that holds its offset is swapped. Compiled by both tsc and asc.
export const FILTER_FLAGS = 0; // u32 FILTER_*
export const FILTER_MACS = 4; // u32 addresses
export const FILTER_MAC = 8; // u64[FILTER_MACS_MAX]: the address as the first six bytes of a frame, low byte first
export const FILTER_MACS_MAX = 80;
export const FILTER_VLANS = 648; // u32[128]: bit v of the array = VLAN v passes
export const FILTER_BYTES = 1160;

export const FILTER_ALL_UNICAST = 1;
export const FILTER_ALL_MULTICAST = 2;
export const FILTER_VLAN = 4; // the bitmap counts; without it every VLAN passes
export const FILTER_STRIP = 8; // tags go to the descriptor
