export * from "../layout/mbuf.ts";
export * from "../layout/mempool.ts";
export * from "../layout/qsbr.ts";
export * from "../layout/ring.ts";
export { Arena, type ArenaHandle, type Memzone } from "./arena.ts";
export { ShmError, type ShmErrorCode } from "./error.ts";
export { type ShmKernels, shmKernels } from "./kernels.ts";
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
} from "./mbuf.ts";
export { Mempool, type MempoolOptions } from "./mempool.ts";
export { Qsbr } from "./qsbr.ts";
export { Ring } from "./ring.ts";
export { loadKernels } from "./wasm.ts";
