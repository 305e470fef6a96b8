// The kernels of this package (assembly/index.ts) as JavaScript calls them. Results are signed 32-bit: apply `>>> 0` to
// offsets.
import type { Arena } from "./arena.ts";
import { loadKernels } from "./wasm.ts";

export interface ShmKernels {
  readonly ring_left: { value: number };
  /** 1 where plain stores publish (assembly/order.ts); loadKernels sets it. */
  readonly tso: { value: number };
  ring_enqueue_burst(ring: number, objs: number, n: number): number;
  ring_enqueue_bulk(ring: number, objs: number, n: number): number;
  ring_dequeue_burst(ring: number, objs: number, n: number): number;
  ring_dequeue_bulk(ring: number, objs: number, n: number): number;
  ring_enqueue_one(ring: number, obj: number): number;
  ring_dequeue_one(ring: number): number;
  ring_count(ring: number): number;
  mempool_get_bulk(pool: number, lcore: number, objs: number, n: number): number;
  mempool_put_bulk(pool: number, lcore: number, objs: number, n: number): void;
  pktmbuf_alloc_bulk(pool: number, lcore: number, objs: number, n: number): number;
  pktmbuf_alloc(pool: number, lcore: number): number;
  pktmbuf_free_bulk(lcore: number, objs: number, n: number): void;
  pktmbuf_free(lcore: number, mbuf: number): void;
  /** Every segment of n packets has `more` further owners; each frees the packets once, and may only read them. */
  pktmbuf_refer_bulk(objs: number, n: number, more: number): void;
  pktmbuf_read(mbuf: number, offset: number, bytes: number, to: number): number;
  copy_bytes(to: number, from: number, n: number): void;
}

const url = new URL("../kernels.wasm", import.meta.url);
let last: { memory: WebAssembly.Memory; kernels: ShmKernels } | undefined;

/** This thread's instance over the arena. */
export function shmKernels({ memory }: Arena): ShmKernels {
  if (last?.memory !== memory) last = { memory, kernels: loadKernels<ShmKernels>(url, memory) };
  return last.kernels;
}
