// Baselines of the header benches: the same work as bench/assembly/index.ts in C, compiled with -O3 -march=native. Sums are
// left to the compiler's vectorizer in two forms; CRC-32C is the processor's instruction where it has one, and tables.
#include <string.h>
#ifdef __SSE4_2__
#include <nmmintrin.h>
#endif
#include <stdbool.h>
#include "arena.h"

#define PACKETS 64

static inline u32 fold(u64 sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (u32)sum;
}

// Words of 16 bits into 32: what one writes down from the RFC.
static inline u32 sum_words(const u8 *p, u32 bytes) {
  u32 sum = 0;
  for (u32 i = 0; i + 2 <= bytes; i += 2) {
    u16 word;
    memcpy(&word, p + i, 2);
    sum += word;
  }
  return fold(sum + (bytes & 1 ? p[bytes - 1] : 0));
}

// Words of 32 bits into 64: what Linux and DPDK come down to.
static inline u32 sum_wide(const u8 *p, u32 bytes) {
  u64 sum = 0;
  u32 i = 0;
  for (; i + 4 <= bytes; i += 4) {
    u32 word;
    memcpy(&word, p + i, 4);
    sum += word;
  }
  for (; i + 2 <= bytes; i += 2) sum += p[i] | p[i + 1] << 8;
  return fold(sum + (bytes & 1 ? p[bytes - 1] : 0));
}

#define SUMS(form)                                                                                     \
  u32 header_sum_##form(u8 *base, u32 from, u32 to, u32 n, u32 bytes, u32 stride, u32 table) {          \
    u32 all = 0;                                                                                       \
    for (u32 i = 0; i < n; i++) all += sum_##form(base + from + (i % PACKETS) * stride, bytes);        \
    return all;                                                                                        \
  }                                                                                                    \
  u32 header_copy_sum_##form(u8 *base, u32 from, u32 to, u32 n, u32 bytes, u32 stride, u32 table) {     \
    u32 all = 0;                                                                                       \
    for (u32 i = 0; i < n; i++) {                                                                      \
      u32 at = (i % PACKETS) * stride;                                                                 \
      memcpy(base + to + at, base + from + at, bytes);                                                 \
      all += sum_##form(base + to + at, bytes);                                                        \
    }                                                                                                  \
    return all;                                                                                        \
  }
SUMS(words)
SUMS(wide)

#define T(k, byte) U32(table + 1024 * (k) + 4 * ((byte) & 0xff))

static inline u32 crc_tables(u8 *base, u32 table, u32 crc, u32 at, u32 bytes) {
  u32 end = at + bytes;
  for (; at + 16 <= end; at += 16) {
    u32 a = U32(at) ^ crc, b = U32(at + 4), c = U32(at + 8), d = U32(at + 12);
    crc = T(15, a) ^ T(14, a >> 8) ^ T(13, a >> 16) ^ T(12, a >> 24) ^ T(11, b) ^ T(10, b >> 8) ^ T(9, b >> 16) ^
          T(8, b >> 24) ^ T(7, c) ^ T(6, c >> 8) ^ T(5, c >> 16) ^ T(4, c >> 24) ^ T(3, d) ^ T(2, d >> 8) ^
          T(1, d >> 16) ^ T(0, d >> 24);
  }
  for (; at < end; at++) crc = T(0, crc ^ U8(at)) ^ crc >> 8;
  return crc;
}

u32 header_crc32c_tables(u8 *base, u32 from, u32 to, u32 n, u32 bytes, u32 stride, u32 table) {
  u32 all = 0;
  for (u32 i = 0; i < n; i++) all += ~crc_tables(base, table, ~0u, from + (i % PACKETS) * stride, bytes);
  return all;
}

u32 header_crc32c_native(u8 *base, u32 from, u32 to, u32 n, u32 bytes, u32 stride, u32 table) {
#ifdef __SSE4_2__
  u32 all = 0;
  for (u32 i = 0; i < n; i++) {
    u64 crc = ~0u;
    u32 at = from + (i % PACKETS) * stride, end = at + bytes;
    for (; at + 8 <= end; at += 8) crc = _mm_crc32_u64(crc, U64(at));
    for (; at < end; at++) crc = _mm_crc32_u8((u32)crc, U8(at));
    all += ~(u32)crc;
  }
  return all;
#else
  return header_crc32c_tables(base, from, to, n, bytes, stride, table);
#endif
}

#define H(at, byte) U32(toeplitz + 1024 * (at) + 4 * (byte))

u32 header_toeplitz_tables(u8 *base, u32 from, u32 to, u32 n, u32 bytes, u32 stride, u32 table) {
  u32 all = 0, toeplitz = table + RSS_TOEPLITZ;
  for (u32 i = 0; i < n; i++) {
    u32 mbuf = U32(from + 4 * (i % PACKETS)), l3 = U32(mbuf + MBUF_BUF) + U16(mbuf + MBUF_DATA_OFF) + 14, hash = 0;
    u32 length = U16(mbuf + MBUF_DATA_LEN);
    if (U16(l3 - 2) == 0x0008 && length >= 34 && !(U16(l3 + 6) & 0xff3f) && U8(table + RSS_KINDS + RX_PTYPE_IPV4_UDP)) {
      u32 l4 = l3 + (U8(l3) & 15) * 4;
      for (u32 k = 0; k < 8; k++) hash ^= H(k, U8(l3 + 12 + k));
      if (U8(l3 + 9) == 17 && l4 + 4 <= l3 - 14 + length) for (u32 k = 0; k < 4; k++) hash ^= H(8 + k, U8(l4 + k));
    } else if (U16(l3 - 2) == 0xdd86 && length >= 54) {
      for (u32 k = 0; k < 32; k++) hash ^= H(k, U8(l3 + 8 + k));
      if (U8(l3 + 6) == 17 && length >= 58) for (u32 k = 0; k < 4; k++) hash ^= H(32 + k, U8(l3 + 40 + k));
    }
    all += hash;
  }
  return all;
}

// Bit by bit, as rte_softrss_be: the key is at table + RSS_BYTES, as words of the host's order.
u32 header_toeplitz_softrss(u8 *base, u32 from, u32 to, u32 n, u32 bytes, u32 stride, u32 table) {
  u32 all = 0, key = table + RSS_BYTES;
  for (u32 i = 0; i < n; i++) {
    u32 mbuf = U32(from + 4 * (i % PACKETS)), l3 = U32(mbuf + MBUF_BUF) + U16(mbuf + MBUF_DATA_OFF) + 14, hash = 0;
    bool six = U16(l3 - 2) == 0xdd86;
    u32 addresses = l3 + (six ? 8 : 12), words = six ? 8 : 2, ports = six ? l3 + 40 : l3 + (U8(l3) & 15) * 4;
    for (u32 k = 0; k <= words; k++) {
      u32 word = __builtin_bswap32(U32(k < words ? addresses + 4 * k : ports));
      for (; word; word &= word - 1) {
        u32 bit = 31 - __builtin_ctz(word);
        hash ^= U32(key + 4 * k) << bit | (u32)((u64)U32(key + 4 * k + 4) >> (32 - bit));
      }
    }
    all += hash;
  }
  return all;
}
