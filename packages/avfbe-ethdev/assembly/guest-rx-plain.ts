// Plain packets for the guest in a tight loop: one segment, no tag to insert, unicast that the guest listens to, a buffer in
// the memory region of the last hit, short enough to be copied inline. No call is in the loop, so its values stay in
// registers. Whatever is not plain ends the run and is guest-rx.ts's, which calls this while the guest keeps no CRC.
import { MBUF_NB_SEGS, MBUF_OL_TX, MBUF_PKT_LEN, TX_VLAN } from "../../shm/src/layout/mbuf";
import {
  RX_DESC_BYTES,
  RX_LENGTH_SHIFT,
  RX_PTYPE_SHIFT,
  RX_STATUS_DD,
  RX_STATUS_EOF,
} from "../../avf/src/layout/rx-desc";
import { COPY_INLINE_MAX, COPY_INLINE_MIN, copyInline } from "../../shm/assembly/copy";
import { data } from "../../shm/assembly/mbuf";
import { hintedRegion } from "../../emudev/assembly/mem-table";
import {
  MEM_PROT_WRITE,
  MEM_REGION_IOVA,
  MEM_REGION_OFF,
  MEM_REGION_PROT,
  MEM_REGION_SIZE,
} from "../../emudev/src/layout/mem-table";
import { FILTER_ALL_UNICAST, FILTER_FLAGS, FILTER_MAC } from "../src/layout/filter";
import { MAC_MASK, MARK_HASH } from "./count";
import { checkedBits, packetType } from "./status";

/** Bytes of the last run. */
export let givenBytes: u32 = 0;

/**
 * Gives plain packets of u32 pkts[n] to the buffers from descriptor `head` on; returns how many, one descriptor each.
 * @param n not above the descriptors that the guest has given
 * @param longest bytes that a buffer takes and the guest accepts
 * @param tagType an EtherType, as it lies in memory, that ends the run
 * @param back where the second words of the descriptors are kept until the burst's end
 */
export function givePlain(
  table: u32,
  ring: u32,
  head: u32,
  size: u32,
  pkts: u32,
  n: u32,
  filter: u32,
  longest: u32,
  tagType: u32,
  back: u32,
): u32 {
  return give(table, ring, head, size, pkts, n, filter, longest, tagType, back, 0, false);
}

/** givePlain with hashes; `marks` as guestRx gets them. */
export function giveMarked(
  table: u32,
  ring: u32,
  head: u32,
  size: u32,
  pkts: u32,
  n: u32,
  filter: u32,
  longest: u32,
  tagType: u32,
  back: u32,
  marks: u32,
): u32 {
  return give(table, ring, head, size, pkts, n, filter, longest, tagType, back, marks, true);
}

// `marked` is a constant where this is inlined: without marks, nothing of them is in the loop.
// @ts-ignore: decorator
@inline
function give(
  table: u32,
  ring: u32,
  head: u32,
  size: u32,
  pkts: u32,
  n: u32,
  filter: u32,
  longest: u32,
  tagType: u32,
  back: u32,
  marks: u32,
  marked: bool,
): u32 {
  const region = hintedRegion(table);
  if (region == 0 || longest < COPY_INLINE_MIN) return 0;
  const iova = load<u64>(region, MEM_REGION_IOVA);
  const span = load<u64>(region, MEM_REGION_SIZE);
  const off = load<u32>(region, MEM_REGION_OFF);
  if (off == 0 || !(load<u32>(region, MEM_REGION_PROT) & MEM_PROT_WRITE)) return 0;
  const limit = min<u32>(longest, COPY_INLINE_MAX) - COPY_INLINE_MIN;
  const own = load<u64>(filter, FILTER_MAC);
  const promiscuous = (load<u32>(filter, FILTER_FLAGS) & FILTER_ALL_UNICAST) != 0;
  const wrap = ring + size * RX_DESC_BYTES;
  const end = pkts + (n << 2);
  let desc = ring + head * RX_DESC_BYTES;
  let at = pkts;
  let bytes: u32 = 0;
  for (; at < end; at += 4) {
    const mbuf = load<u32>(at);
    const length = load<u32>(mbuf, MBUF_PKT_LEN);
    if (length - COPY_INLINE_MIN > limit || load<u16>(mbuf, MBUF_NB_SEGS) != 1) break;
    if (load<u32>(mbuf, MBUF_OL_TX) & TX_VLAN) break;
    const from = data(mbuf);
    const address = load<u64>(from) & MAC_MASK;
    const ethertype = <u32>load<u16>(from, 12);
    if (address & 1 || (address != own && !promiscuous) || ethertype == tagType) break;
    const delta = load<u64>(desc) - iova;
    if (delta >= span || span - delta < <u64>length) break;
    copyInline(off + <u32>delta, from, length);
    v128.store(desc, i64x2(0, 0), 16);
    const mark: u64 = marked ? load<u64>(marks) : 0;
    if (marked) marks += 8;
    store<u64>(desc, mark & MARK_HASH);
    const type = packetType(ethertype, from + 14, length - 14);
    const status = <u32>mark | RX_STATUS_DD | RX_STATUS_EOF | checkedBits(mbuf);
    store<u64>(back, (<u64>length << RX_LENGTH_SHIFT) | (<u64>type << RX_PTYPE_SHIFT) | <u64>status);
    back += 8;
    bytes += length;
    desc += RX_DESC_BYTES;
    if (desc == wrap) desc = ring;
  }
  givenBytes = bytes;
  return (at - pkts) >> 2;
}
