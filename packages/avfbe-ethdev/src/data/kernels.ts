// The kernels of this package (assembly/index.ts) as JavaScript calls them. Called by queues.ts and by tests.
import { type Arena, loadKernels } from "@emudev/shm/data";

export interface AvfbeKernels {
  avfbe_rx_burst(q: number, pkts: number, n: number, lcore: number): number;
  avfbe_tx_burst(q: number, pkts: number, n: number, lcore: number): number;
  avfbe_tx_held(q: number): void;
}

/** This thread's instance over the arena. */
export function avfbeKernels(arena: Arena): AvfbeKernels {
  return loadKernels<AvfbeKernels>(new URL("../kernels.wasm", import.meta.url), arena.memory);
}
