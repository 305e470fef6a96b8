// What every baseline shares: access to the arena by offset, over the layout that dist/c/layout.h is generated from (the
// packages' src/layout/*.ts). The atomics are those a C programmer would write: acquire loads and release stores.
#pragma once
#include <stdint.h>
#include <string.h>
#include "layout.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

// Every exported function has `u8 *base`, the address of arena offset 0, in scope.
#define PTR(type, off) ((type *)(base + (off)))
#define U8(off) (*PTR(u8, off))
#define U16(off) (*PTR(u16, off))
#define U32(off) (*PTR(u32, off))
#define U64(off) (*PTR(u64, off))
#define ACQUIRE(off) __atomic_load_n(PTR(u32, off), __ATOMIC_ACQUIRE)
#define RELEASE(off, value) __atomic_store_n(PTR(u32, off), (value), __ATOMIC_RELEASE)
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static inline void pause_cpu(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

typedef u64 vec __attribute__((vector_size(16), aligned(1), may_alias));

// The two copies a baseline is built with; the faster one is what we are compared with.
static inline void copy_libc(u8 *to, const u8 *from, u32 n) { memcpy(to, from, n); }

static inline void copy_vec(u8 *to, const u8 *from, u32 n) {
  u32 i = 0;
  if (n < 16) {
    for (; i < n; i++) to[i] = from[i];
    return;
  }
  for (; i + 64 <= n; i += 64) {
    vec a = *(vec *)(from + i), b = *(vec *)(from + i + 16), c = *(vec *)(from + i + 32), d = *(vec *)(from + i + 48);
    *(vec *)(to + i) = a;
    *(vec *)(to + i + 16) = b;
    *(vec *)(to + i + 32) = c;
    *(vec *)(to + i + 48) = d;
  }
  for (; i + 16 <= n; i += 16) *(vec *)(to + i) = *(vec *)(from + i);
  if (i < n) *(vec *)(to + n - 16) = *(vec *)(from + n - 16);
}
