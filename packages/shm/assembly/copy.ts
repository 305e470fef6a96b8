// Copies of packet bytes, to be inlined into the kernels of every package. Up to 512 bytes they are v128 blocks of which the
// last overlaps the one before, so that few branches and no tail loops are needed; from 513 bytes on, memory.copy's call
// pays for itself. Nothing outside the two ranges is read or written.

/** Copies `n` bytes between ranges that do not overlap. */
// @ts-ignore: decorator
@inline
export function copy(to: u32, from: u32, n: u32): void {
  if (n > COPY_INLINE_MAX) memory.copy(to, from, n);
  else if (n >= COPY_INLINE_MIN) copyInline(to, from, n);
  else copyShort(to, from, n);
}

/** Lengths that copyInline() takes. */
export const COPY_INLINE_MIN: u32 = 32;
export const COPY_INLINE_MAX: u32 = 512;

/** copy() without a call, which keeps a loop's values in registers. */
// @ts-ignore: decorator
@inline
export function copyInline(to: u32, from: u32, n: u32): void {
  if (n > 64) {
    const last = n - 64;
    for (let i: u32 = 0; i < last; i += 64) copy64(to + i, from + i);
    copy64(to + last, from + last);
  } else {
    copy32(to, from);
    copy32(to + n - 32, from + n - 32);
  }
}

// @ts-ignore: decorator
@inline
function copy64(to: u32, from: u32): void {
  const a = v128.load(from);
  const b = v128.load(from, 16);
  const c = v128.load(from, 32);
  const d = v128.load(from, 48);
  v128.store(to, a);
  v128.store(to, b, 16);
  v128.store(to, c, 32);
  v128.store(to, d, 48);
}

// @ts-ignore: decorator
@inline
function copy32(to: u32, from: u32): void {
  const a = v128.load(from);
  const b = v128.load(from, 16);
  v128.store(to, a);
  v128.store(to, b, 16);
}

/** Fewer than 32 bytes; rare, so it is a call. */
function copyShort(to: u32, from: u32, n: u32): void {
  if (n >= 16) {
    v128.store(to, v128.load(from));
    v128.store(to + n - 16, v128.load(from + n - 16));
  } else if (n >= 8) {
    store<u64>(to, load<u64>(from));
    store<u64>(to + n - 8, load<u64>(from + n - 8));
  } else if (n >= 4) {
    store<u32>(to, load<u32>(from));
    store<u32>(to + n - 4, load<u32>(from + n - 4));
  } else {
    for (let i: u32 = 0; i < n; i++) store<u8>(to + i, load<u8>(from + i));
  }
}
