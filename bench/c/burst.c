// Baseline of the burst benches: both bursts of net_avfbe (burst-copy.h) with either copy, and what they share.
#include "mempool.h"

#define MAC_MASK 0xffffffffffffull
#define PLAIN_MASK \
  ((u64)(TX_DTYPE_MASK | (TX_CMD_EOP | TX_CMD_IL2TAG1 | TX_CMD_DUMMY | TX_CMD_IIPT_MASK | TX_CMD_L4T_MASK) << TX_CMD_SHIFT))
#define PLAIN ((u64)(TX_CMD_EOP << TX_CMD_SHIFT))

static u32 hint;

static u32 xlat_answer(u8 *base, u32 region, u32 delta, u32 prot) {
  if (unlikely((U32(region + MEM_REGION_PROT) & prot) != prot)) return 0;
  u32 off = U32(region + MEM_REGION_OFF);
  return off ? off + delta : MEM_INDIRECT;
}

static u32 xlat_search(u8 *base, u32 table, u64 iova, u32 len, u32 prot) {
  u32 regions = table + MEM_TABLE_REGIONS, low = 0, high = U32(table + MEM_TABLE_COUNT);
  while (low < high) {
    u32 middle = (low + high) / 2;
    if (U64(regions + middle * MEM_REGION_BYTES + MEM_REGION_IOVA) <= iova) low = middle + 1;
    else high = middle;
  }
  if (low == 0) return 0;
  u32 region = regions + (low - 1) * MEM_REGION_BYTES;
  u64 delta = iova - U64(region + MEM_REGION_IOVA), size = U64(region + MEM_REGION_SIZE);
  if (delta >= size || size - delta < len) return 0;
  hint = low - 1;
  return xlat_answer(base, region, delta, prot);
}

static inline u32 xlat(u8 *base, u32 table, u64 iova, u32 len, u32 prot) {
  u32 at = hint;
  if (likely(at < U32(table + MEM_TABLE_COUNT))) {
    u32 region = table + MEM_TABLE_REGIONS + at * MEM_REGION_BYTES;
    u64 delta = iova - U64(region + MEM_REGION_IOVA), size = U64(region + MEM_REGION_SIZE);
    if (likely(delta < size && size - delta >= len)) return xlat_answer(base, region, delta, prot);
  }
  return xlat_search(base, table, iova, len, prot);
}

static bool other_passes(u8 *base, u32 filter, u64 address) {
  u32 flags = U32(filter + FILTER_FLAGS);
  if (flags & (address & 1 ? FILTER_ALL_MULTICAST : FILTER_ALL_UNICAST)) return true;
  for (u32 i = 0; i < U32(filter + FILTER_MACS); i++)
    if (U64(filter + FILTER_MAC + 8 * i) == address) return true;
  return false;
}

static inline u32 packet_type(u8 *base, u32 type, u32 l3, u32 bytes) {
  if (type == 0x0008 && bytes >= 20) {
    if (U16(l3 + 6) & 0xff3f) return RX_PTYPE_IPV4_FRAG;
    switch (U8(l3 + 9)) {
      case 6: return RX_PTYPE_IPV4_TCP;
      case 17: return RX_PTYPE_IPV4_UDP;
      case 1: return RX_PTYPE_IPV4_ICMP;
      case 132: return RX_PTYPE_IPV4_SCTP;
      default: return RX_PTYPE_IPV4;
    }
  }
  if (type == 0xdd86 && bytes >= 40) {
    switch (U8(l3 + 6)) {
      case 6: return RX_PTYPE_IPV6_TCP;
      case 17: return RX_PTYPE_IPV6_UDP;
      case 58: return RX_PTYPE_IPV6_ICMP;
      case 132: return RX_PTYPE_IPV6_SCTP;
      case 44: return RX_PTYPE_IPV6_FRAG;
      default: return RX_PTYPE_IPV6;
    }
  }
  return type == 0x0608 ? RX_PTYPE_ARP : RX_PTYPE_L2;
}

// A guest that polls has its vectors disarmed: pending is set, and that is all.
static inline void raise_vector(u8 *base, u32 vector) {
  __atomic_store_n(PTR(u32, vector + VECTOR_PENDING), 1, __ATOMIC_SEQ_CST);
  if (unlikely(__atomic_load_n(PTR(u32, vector + VECTOR_HELD), __ATOMIC_SEQ_CST)))
    __atomic_store_n(PTR(u32, vector + VECTOR_HELD), 0, __ATOMIC_SEQ_CST);
  if (unlikely(__atomic_load_n(PTR(u32, vector + VECTOR_ARMED), __ATOMIC_SEQ_CST))) __builtin_trap();
}

#define COPY copy_libc
#define NAME(x) x##_libc
#include "burst-copy.h"
#undef COPY
#undef NAME
#define COPY copy_vec
#define NAME(x) x##_vec
#include "burst-copy.h"
