// Publishing what was written before, at the least price. WebAssembly has sequentially consistent atomics only, whose store is
// an exchange on x86-64: it waits until all earlier stores have reached the cache, and half of a ring's time went there.
// That processor keeps the order of plain stores by itself (TSO), and V8 that of a kernel's memory accesses; so there a plain
// store does. Elsewhere the atomic one remains. Used by the kernels of every package, which export `tso` for the loader.

/** Set by loadKernels where the processor keeps stores in order; 0 is right everywhere. */
export let tso: bool = false;

/** Stores a word that another thread or process reads atomically; who sees it sees all stores before. */
// @ts-ignore: decorator
@inline
export function publish(at: u32, value: u32): void {
  if (tso) store<u32>(at, value);
  else atomic.store<u32>(at, value);
}

/** Between stores: who sees one behind sees all before. @param word a word of the caller's that the barrier may change */
// @ts-ignore: decorator
@inline
export function storeFence(word: u32): void {
  if (!tso) atomic.add<u32>(word, 1);
}
