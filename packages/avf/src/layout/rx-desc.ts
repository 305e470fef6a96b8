// The AVF's receive descriptors: the 32-byte form that Linux and DPDK use, read format and legacy write-back (RXDID 0 and
// 1). Shifts named QW1 are within the 64-bit second word; LO and HI are within its halves. The write-back stores words 2 and
// 3, then word 0, and word 1 with DD last. Compiled by both tsc and asc.
export const RX_DESC_BYTES = 32;

// Read format: what the driver offers
export const RX_READ_PKT_ADDR = 0; // u64
export const RX_READ_HDR_ADDR = 8; // u64, 0 without header split; its bit 0 is where DD appears

// Legacy write-back
export const RX_WB_QW0 = 0;
export const RX_WB_L2TAG1 = 2; // u16, [31:16] of qword 0
export const RX_WB_RSS = 4; // u32, [63:32] of qword 0, when FLTSTAT is RX_FLTSTAT_RSS
export const RX_WB_QW1 = 8;
export const RX_WB_QW1_HI = 12;
export const RX_WB_EXT_STATUS = 16; // u16: bit 0 = L2TAG2 present
export const RX_WB_L2TAG2_1 = 20; // u16
export const RX_WB_L2TAG2_2 = 22; // u16
export const RX_WB_QW3 = 24;

// Status, [18:0] of qword 1
export const RX_STATUS_DD = 1 << 0;
export const RX_STATUS_EOF = 1 << 1;
export const RX_STATUS_L2TAG1P = 1 << 2;
export const RX_STATUS_L3L4P = 1 << 3; // checksums were examined
export const RX_STATUS_CRCP = 1 << 4;
export const RX_STATUS_UMBCAST_SHIFT = 9; // 0 unicast, 1 multicast, 2 broadcast, 3 mirrored
export const RX_STATUS_UMBCAST_MASK = 0x3;
export const RX_STATUS_FLM = 1 << 11;
export const RX_STATUS_FLTSTAT_SHIFT = 12;
export const RX_STATUS_FLTSTAT_MASK = 0x3;
export const RX_FLTSTAT_NONE = 0;
export const RX_FLTSTAT_FD = 1;
export const RX_FLTSTAT_RSS = 3;
export const RX_STATUS_LPBK = 1 << 14;
export const RX_STATUS_IPV6EXADD = 1 << 15;
export const RX_STATUS_MASK = 0x7ffff;

// Errors, [26:19] of qword 1
export const RX_ERROR_SHIFT = 19;
export const RX_ERROR_MASK = 0xff;
export const RX_ERROR_RXE = 1 << 0;
export const RX_ERROR_RECIPE = 1 << 1;
export const RX_ERROR_HBO = 1 << 2;
export const RX_ERROR_IPE = 1 << 3; // IPv4 header checksum wrong
export const RX_ERROR_L4E = 1 << 4; // L4 checksum wrong
export const RX_ERROR_EIPE = 1 << 5;
export const RX_ERROR_OVERSIZE = 1 << 6;
export const RX_ERROR_PPRS = 1 << 7;

// Packet type [37:30], length [51:38], header length [62:52], split header 63 of qword 1
export const RX_PTYPE_SHIFT = 30; // QW1
export const RX_PTYPE_LO_SHIFT = 30; // its two low bits
export const RX_PTYPE_MASK = 0xff;
export const RX_LENGTH_SHIFT = 38; // QW1
export const RX_LENGTH_HI_SHIFT = 6;
export const RX_LENGTH_MASK = 0x3fff;
export const RX_HDR_LENGTH_SHIFT = 52; // QW1
export const RX_HDR_LENGTH_HI_SHIFT = 20;
export const RX_HDR_LENGTH_MASK = 0x7ff;

// Packet types of the legacy table
export const RX_PTYPE_UNKNOWN = 0;
export const RX_PTYPE_L2 = 1;
export const RX_PTYPE_ARP = 11;
export const RX_PTYPE_IPV4_FRAG = 22;
export const RX_PTYPE_IPV4 = 23;
export const RX_PTYPE_IPV4_UDP = 24;
export const RX_PTYPE_IPV4_TCP = 26;
export const RX_PTYPE_IPV4_SCTP = 27;
export const RX_PTYPE_IPV4_ICMP = 28;
export const RX_PTYPE_IPV6_FRAG = 88;
export const RX_PTYPE_IPV6 = 89;
export const RX_PTYPE_IPV6_UDP = 90;
export const RX_PTYPE_IPV6_TCP = 92;
export const RX_PTYPE_IPV6_SCTP = 93;
export const RX_PTYPE_IPV6_ICMP = 94;

// Descriptor ids a queue may be configured with here
export const RXDID_LEGACY_16B = 0;
export const RXDID_LEGACY_32B = 1;
