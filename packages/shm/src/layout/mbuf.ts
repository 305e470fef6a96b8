// The mbuf header as it lies in the arena: one cache line with the fields of rte_mbuf that this project uses, then
// MBUF_HEADROOM bytes, then the data room. Compiled by both tsc and asc, so it holds integer constants only. Offsets are
// bytes from the mbuf's start; every reference (next, pool, buf) is an arena offset, 0 meaning none.
export const MBUF_SIZE = 64;
export const MBUF_HEADROOM = 128;
export const MBUF_DATAROOM_DEFAULT = 2048;
export const MBUF_BUF = 0; // u32 arena offset of the buffer (mbuf + MBUF_SIZE)
export const MBUF_DATA_OFF = 4; // u16 bytes from the buffer's start to the data
export const MBUF_REFCNT = 6; // u16, atomic when above 1
export const MBUF_NB_SEGS = 8; // u16 segments of the packet, valid in the first one
export const MBUF_PORT = 10; // u16 port of arrival
export const MBUF_DATA_LEN = 12; // u16 bytes in this segment
export const MBUF_BUF_LEN = 14; // u16 bytes of headroom and data room together
export const MBUF_OL_RX = 16; // u32: low word of ol_flags (RX_*)
export const MBUF_OL_TX = 20; // u32: high word of ol_flags (TX_*, bit n here is bit n + 32 there)
export const MBUF_PKT_LEN = 24; // u32 bytes of all segments
export const MBUF_PACKET_TYPE = 28; // u32 RTE_PTYPE_*
export const MBUF_NEXT = 32; // u32 next segment or 0
export const MBUF_POOL = 36; // u32 mempool of this mbuf
export const MBUF_RSS = 40; // u32 RSS hash
export const MBUF_VLAN_TCI = 44; // u16
export const MBUF_VLAN_TCI_OUTER = 46; // u16
export const MBUF_L2_LEN = 48; // u8 bytes
export const MBUF_L4_LEN = 49; // u8 bytes
export const MBUF_L3_LEN = 50; // u16 bytes
export const MBUF_TSO_SEGSZ = 52; // u16 bytes of payload in a segment
export const MBUF_DYN = 56; // u64 free for an application (testpmd's sequence numbers and time stamps)

// ol_flags, low word: what the receive side found (bit positions of rte_mbuf_core.h).
export const RX_VLAN = 1 << 0;
export const RX_RSS_HASH = 1 << 1;
export const RX_L4_CKSUM_BAD = 1 << 3;
export const RX_IP_CKSUM_BAD = 1 << 4;
export const RX_VLAN_STRIPPED = 1 << 6;
export const RX_IP_CKSUM_GOOD = 1 << 7;
export const RX_L4_CKSUM_GOOD = 1 << 8;
// ol_flags, high word: what the transmit side is asked to do (bit positions of rte_mbuf_core.h minus 32).
export const TX_TCP_SEG = 1 << 18;
export const TX_L4_MASK = 3 << 20;
export const TX_TCP_CKSUM = 1 << 20;
export const TX_SCTP_CKSUM = 2 << 20;
export const TX_UDP_CKSUM = 3 << 20;
export const TX_IP_CKSUM = 1 << 22;
export const TX_IPV4 = 1 << 23;
export const TX_IPV6 = 1 << 24;
export const TX_VLAN = 1 << 25;

// packet_type (rte_mbuf_ptype.h)
export const PTYPE_L2_ETHER = 1;
export const PTYPE_L2_ETHER_ARP = 3;
export const PTYPE_L3_IPV4 = 0x10;
export const PTYPE_L3_IPV6 = 0x40;
export const PTYPE_L4_TCP = 0x100;
export const PTYPE_L4_UDP = 0x200;
export const PTYPE_L4_FRAG = 0x300;
export const PTYPE_L4_SCTP = 0x400;
export const PTYPE_L4_ICMP = 0x500;
export const PTYPE_L4_NONFRAG = 0x600;
