// Copies of packet bytes, to be inlined into the kernels of every package. Short copies are a v128 loop that ends in one
// overlapping store; from 513 bytes on, memory.copy's call pays for itself. Neither reads nor writes outside the two ranges.

/** Copies `n` bytes between ranges that do not overlap. */
// @ts-ignore: decorator
@inline
export function copy(to: u32, from: u32, n: u32): void {
  if (n > 512) memory.copy(to, from, n);
  else if (n >= 16) copyVectors(to, from, n);
  else copyShort(to, from, n);
}

// @ts-ignore: decorator
@inline
function copyVectors(to: u32, from: u32, n: u32): void {
  const tail = n - 16;
  let i: u32 = 0;
  for (; i + 64 <= n; i += 64) {
    const a = v128.load(from + i);
    const b = v128.load(from + i, 16);
    const c = v128.load(from + i, 32);
    const d = v128.load(from + i, 48);
    v128.store(to + i, a);
    v128.store(to + i, b, 16);
    v128.store(to + i, c, 32);
    v128.store(to + i, d, 48);
  }
  for (; i < tail; i += 16) v128.store(to + i, v128.load(from + i));
  if (i < n) v128.store(to + tail, v128.load(from + tail));
}

// @ts-ignore: decorator
@inline
function copyShort(to: u32, from: u32, n: u32): void {
  if (n >= 8) {
    const end = load<u64>(from + n - 8);
    store<u64>(to, load<u64>(from));
    store<u64>(to + n - 8, end);
  } else if (n >= 4) {
    const end = load<u32>(from + n - 4);
    store<u32>(to, load<u32>(from));
    store<u32>(to + n - 4, end);
  } else {
    for (let i: u32 = 0; i < n; i++) store<u8>(to + i, load<u8>(from + i));
  }
}
