// Translation of guest addresses on the data path, over the table of src/layout/mem-table.ts. A hint remembers the last
// hit: packets of one guest lie in one or two regions. The hint is an index that is checked against the table at hand, so
// it may come from another table. Imported by the kernels of backend drivers, which load the table's offset once a burst.
import {
  DIRTY_PAGE_SHIFT,
  MEM_INDIRECT,
  MEM_REGION_BYTES,
  MEM_REGION_IOVA,
  MEM_REGION_OFF,
  MEM_REGION_PROT,
  MEM_REGION_SIZE,
  MEM_TABLE_COUNT,
  MEM_TABLE_REGIONS,
} from "../src/layout/mem-table";

let hint: u32 = 0;

/**
 * Translates a guest range of at least one byte.
 * @param table arena offset of the current table
 * @param prot MEM_PROT_* that the range must allow
 * @returns arena offset; 0 = outside or protected; MEM_INDIRECT = a region without mapping
 */
// @ts-ignore: decorator
@inline
export function xlat(table: u32, iova: u64, len: u32, prot: u32): u32 {
  const at = hint;
  if (at < load<u32>(table, MEM_TABLE_COUNT)) {
    const region = table + MEM_TABLE_REGIONS + at * MEM_REGION_BYTES;
    const delta = iova - load<u64>(region, MEM_REGION_IOVA);
    const size = load<u64>(region, MEM_REGION_SIZE);
    // What is not mapped here may be so by the next entry, which this one then overlaps.
    if (delta < size && size - delta >= <u64>len && load<u32>(region, MEM_REGION_OFF)) return answer(region, <u32>delta, prot);
  }
  return xlatSearch(table, <u32>iova, <u32>(iova >> 32), len, prot);
}

/** The region of the last hit, for loops that keep its words in locals; 0 = none. */
// @ts-ignore: decorator
@inline
export function hintedRegion(table: u32): u32 {
  const at = hint;
  return at < load<u32>(table, MEM_TABLE_COUNT) ? table + MEM_TABLE_REGIONS + at * MEM_REGION_BYTES : 0;
}

/**
 * Notes that `bytes` (1 at least) at an arena offset were written: after the store, since the atomic access also orders it
 * before the bit for who reads and clears that.
 * @param log arena offset of the dirty log, MEM_TABLE_DIRTY of the table that the offset came from
 */
export function markDirty(log: u32, at: u32, bytes: u32): void {
  const last = (at + bytes - 1) >>> DIRTY_PAGE_SHIFT;
  for (let page = at >>> DIRTY_PAGE_SHIFT; page <= last; page++)
    atomic.or<u32>(log + ((page >>> 5) << 2), 1 << (page & 31));
}

/** markDirty for descriptors `from` up to, not with, `to` of a ring of `size`; `shift`: log2 of a descriptor's bytes. */
export function markDirtyRing(log: u32, ring: u32, from: u32, to: u32, size: u32, shift: u32): void {
  if (from == to) return;
  const end = to > from ? to : size;
  markDirty(log, ring + (from << shift), (end - from) << shift);
  if (to < from && to) markDirty(log, ring, to << shift);
}

// @ts-ignore: decorator
@inline
function answer(region: u32, delta: u32, prot: u32): u32 {
  if ((load<u32>(region, MEM_REGION_PROT) & prot) != prot) return 0;
  const off = load<u32>(region, MEM_REGION_OFF);
  return off ? off + delta : MEM_INDIRECT;
}

/** xlat by binary search; sets the hint. The address comes in halves: no function of a kernel has a 64-bit parameter. */
function xlatSearch(table: u32, iovaLow: u32, iovaHigh: u32, len: u32, prot: u32): u32 {
  const iova = (<u64>iovaHigh << 32) | <u64>iovaLow;
  const regions = table + MEM_TABLE_REGIONS;
  let low: u32 = 0;
  let high = load<u32>(table, MEM_TABLE_COUNT);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (load<u64>(regions + middle * MEM_REGION_BYTES, MEM_REGION_IOVA) <= iova) low = middle + 1;
    else high = middle;
  }
  if (low == 0) return 0;
  const region = regions + (low - 1) * MEM_REGION_BYTES;
  const delta = iova - load<u64>(region, MEM_REGION_IOVA);
  const size = load<u64>(region, MEM_REGION_SIZE);
  if (delta >= size || size - delta < <u64>len) return 0;
  hint = low - 1;
  return answer(region, <u32>delta, prot);
}
