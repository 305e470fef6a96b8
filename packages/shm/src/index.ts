export { Arena, windowAlignment } from "./control/arena.ts";
export { type Range, RangeAllocator } from "./control/range-allocator.ts";
export { ARENA_BYTES, type ArenaHandle, type Memzone, type MemzoneArena } from "./data/arena.ts";
export { ShmError, type ShmErrorCode } from "./data/error.ts";
export { type ShmKernels, shmKernels } from "./data/kernels.ts";
export {
  mbufAlloc,
  mbufAppend,
  mbufBytes,
  mbufChain,
  mbufData,
  mbufFree,
  mbufFrom,
  mbufPrepend,
  mbufRefcntUpdate,
  mbufSegments,
  mbufTailroom,
} from "./data/mbuf.ts";
export { Mempool, type MempoolOptions } from "./data/mempool.ts";
export { Qsbr } from "./data/qsbr.ts";
export { Ring } from "./data/ring.ts";
export { loadKernels } from "./data/wasm.ts";
export * from "./layout/mbuf.ts";
export * from "./layout/mempool.ts";
export * from "./layout/qsbr.ts";
export * from "./layout/ring.ts";
