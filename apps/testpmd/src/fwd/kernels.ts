// The application's kernels (assembly/index.ts) as the forwarding modes call them.
import { type Arena, loadKernels } from "@emudev/shm/data";

export interface FwdKernels {
  fwd_mac(pkts: number, n: number, macs: number): void;
  fwd_macswap(pkts: number, n: number): void;
  fwd_icmpecho(lcore: number, pkts: number, n: number, mac: number): number;
  fwd_txonly(stream: number, pool: number, lcore: number, n: number): number;
}

/** This thread's instance over the arena. */
export function fwdKernels(arena: Arena): FwdKernels {
  return loadKernels<FwdKernels>(new URL("../kernels.wasm", import.meta.url), arena.memory);
}
