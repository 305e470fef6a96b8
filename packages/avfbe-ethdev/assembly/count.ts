// Counters in the arena: 64 bits, one writer; and other words and masks that several kernels use.

// @ts-ignore: decorator
@inline
export function count(state: u32, counter: u32, n: u32): void {
  store<u64>(state + counter, load<u64>(state + counter) + <u64>n);
}

/** The first six bytes of a frame as a number. */
export const MAC_MASK: u64 = 0xffff_ffff_ffff;

/** EtherType of an 802.1Q tag as it lies in memory. */
export const TPID: u32 = 0x0081;

/** The hash in what a write-back says of it (SPREAD_MARKS): all but the status bits. */
export const MARK_HASH: u64 = 0xffff_ffff_0000_0000;

/** A word of a position as it is kept (emudev's layout/position.ts): its complement above it. */
// @ts-ignore: decorator
@inline
export function sealed(word: u32): u64 {
  return <u64>word | (<u64>~word << 32);
}
