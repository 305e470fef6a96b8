// The kernels of this package as tests call them; backend drivers compile assembly/mem-table.ts into their own.
import { xlat } from "./mem-table";

/** xlat with the guest address in two halves (no 64-bit integers in exports). */
export function mem_xlat(table: u32, iovaLow: u32, iovaHigh: u32, len: u32, prot: u32): u32 {
  return xlat(table, (<u64>iovaHigh << 32) | <u64>iovaLow, len, prot);
}
