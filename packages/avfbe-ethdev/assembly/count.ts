// Counters in the arena: 64 bits, one writer.

// @ts-ignore: decorator
@inline
export function count(state: u32, counter: u32, n: u32): void {
  store<u64>(state + counter, load<u64>(state + counter) + <u64>n);
}

/** The first six bytes of a frame as a number. */
export const MAC_MASK: u64 = 0xffff_ffff_ffff;
