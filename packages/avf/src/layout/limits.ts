// The bounds of an AVF: queue pairs, vectors, rings, buffers, filters, and where in BAR0 the mapped doorbell pages lie.
// Compiled by both tsc and asc.
export const AVF_QUEUE_PAIRS_MAX = 16;
export const AVF_VECTORS_MAX = 17; // vector 0 for the admin queue and one a queue pair
export const AVF_RING_LEN_MIN = 64;
export const AVF_RING_LEN_MAX = 8160; // descriptors; Linux stops at 4096
export const AVF_RING_LEN_STEP = 32;
export const AVF_RX_BUF_MIN = 1024;
export const AVF_RX_BUF_MAX = 16256; // 14-bit length, in steps of 128
export const AVF_FRAME_MIN = 64;
export const AVF_FRAME_MAX = 9728; // largest frame, headers and CRC included
export const AVF_MTU_DEFAULT = 1500;
export const AVF_MTU_MAX = 9702;
export const AVF_ETH_OVERHEAD = 26; // header 14, CRC 4, two VLAN tags 8
export const AVF_MAC_FILTERS_MAX = 64;
export const AVF_VLAN_ID_MAX = 4095;
export const AVF_RSS_KEY_BYTES = 52;
export const AVF_RSS_LUT_ENTRIES = 64;

export const BAR0_BYTES = 0x10000;
export const BAR0_PAGE_BYTES = 0x1000;
export const BAR0_QTX_PAGE = 0x0000; // holds QTX_TAIL1 alone
export const BAR0_QRX_PAGE = 0x2000; // holds QRX_TAIL1 and VFINT_ITRN1
export const BAR0_ITRN = 0x2800;
export const BAR0_ITRN_STRIDE = 0x40; // from one ITR index to the next
