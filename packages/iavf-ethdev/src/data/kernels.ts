// The kernels of this package (assembly/index.ts) as JavaScript calls them: queues, mbuf arrays and pools by arena offset,
// lcores by index.
import { type Arena, loadKernels } from "@emudev/shm/data";

export interface IavfKernels {
  /** Packets received into u32 pkts[n]; the caller's. */
  iavf_rx_burst(queue: number, lcore: number, pkts: number, n: number): number;
  /** Fills an empty ring and writes its tail: descriptors filled, or 0 for want of mbufs. */
  iavf_rx_fill(queue: number, lcore: number): number;
  /** Frees the mbufs of a ring that the device no longer uses. */
  iavf_rx_release(queue: number, lcore: number): void;
  /** Packets accepted of u32 pkts[n]: those are the driver's. */
  iavf_tx_burst(queue: number, lcore: number, pkts: number, n: number): number;
  /** Frees what the device has reported done: descriptors that may be written. */
  iavf_tx_reclaim(queue: number, lcore: number): number;
  /** Frees the mbufs of a ring that the device no longer uses, and empties it. */
  iavf_tx_release(queue: number, lcore: number): void;
}

/** This thread's instance over the arena. */
export function iavfKernels(arena: Arena): IavfKernels {
  return loadKernels<IavfKernels>(new URL("../kernels.wasm", import.meta.url), arena.memory);
}
