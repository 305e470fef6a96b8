// The guest's plain transmit packets in a tight loop: one data descriptor, no offload, a buffer in the memory region of the
// last hit, short enough to be copied inline. No call is in the loop, so its values stay in registers; this halves the time
// of a small packet. Whatever is not plain ends the run and is guest-tx.ts's, which calls this.
import { MBUF_DATA_LEN, MBUF_HEADROOM, MBUF_PKT_LEN, MBUF_PORT, MBUF_SIZE } from "../../shm/src/layout/mbuf";
import {
  TX_BUF_SIZE_MASK,
  TX_BUF_SIZE_SHIFT,
  TX_CMD_DUMMY,
  TX_CMD_EOP,
  TX_CMD_IIPT_MASK,
  TX_CMD_IL2TAG1,
  TX_CMD_L4T_MASK,
  TX_CMD_SHIFT,
  TX_DESC_BYTES,
  TX_DTYPE_MASK,
} from "../../avf/src/layout/tx-desc";
import { COPY_INLINE_MAX, COPY_INLINE_MIN, copyInline } from "../../shm/assembly/copy";
import { hintedRegion } from "../../emudev/assembly/mem-table";
import {
  MEM_PROT_READ,
  MEM_REGION_IOVA,
  MEM_REGION_OFF,
  MEM_REGION_PROT,
  MEM_REGION_SIZE,
} from "../../emudev/src/layout/mem-table";
import { MAC_MASK } from "./count";

/** A descriptor's second word, by this mask, is PLAIN when the packet begins and ends in it and asks for nothing. */
export const PLAIN_MASK: u64 =
  TX_DTYPE_MASK | ((TX_CMD_EOP | TX_CMD_IL2TAG1 | TX_CMD_DUMMY | TX_CMD_IIPT_MASK | TX_CMD_L4T_MASK) << TX_CMD_SHIFT);
export const PLAIN: u64 = TX_CMD_EOP << TX_CMD_SHIFT;

/** Of the last run: bytes, and multicast packets in the low half, broadcast packets in the high one. */
export let plainBytes: u32 = 0;
export let plainGroups: u32 = 0;

/**
 * Takes plain packets from descriptor `head` on into fresh mbufs, u32 pkts[n]; returns how many, one descriptor each.
 * @param n not above the descriptors that the guest has given
 * @param room bytes that an mbuf takes
 */
export function takePlain(table: u32, ring: u32, head: u32, size: u32, pkts: u32, n: u32, room: u32, port: u32): u32 {
  const region = hintedRegion(table);
  if (region == 0 || room < COPY_INLINE_MIN) return 0;
  const iova = load<u64>(region, MEM_REGION_IOVA);
  const span = load<u64>(region, MEM_REGION_SIZE);
  const off = load<u32>(region, MEM_REGION_OFF);
  if (off == 0 || !(load<u32>(region, MEM_REGION_PROT) & MEM_PROT_READ)) return 0;
  const longest = min<u32>(room, COPY_INLINE_MAX) - COPY_INLINE_MIN;
  const wrap = ring + size * TX_DESC_BYTES;
  const end = pkts + (n << 2);
  let desc = ring + head * TX_DESC_BYTES;
  let at = pkts;
  let bytes: u32 = 0;
  let groups: u32 = 0;
  for (; at < end; at += 4) {
    const command = load<u64>(desc, 8);
    const run = <u32>(command >> TX_BUF_SIZE_SHIFT) & TX_BUF_SIZE_MASK;
    if ((command & PLAIN_MASK) != PLAIN || run - COPY_INLINE_MIN > longest) break;
    const delta = load<u64>(desc) - iova;
    if (delta >= span || span - delta < <u64>run) break;
    const mbuf = load<u32>(at);
    const data = mbuf + (MBUF_SIZE + MBUF_HEADROOM);
    copyInline(data, off + <u32>delta, run);
    store<u16>(mbuf, <u16>run, MBUF_DATA_LEN);
    store<u32>(mbuf, run, MBUF_PKT_LEN);
    store<u16>(mbuf, <u16>port, MBUF_PORT);
    const address = load<u64>(data) & MAC_MASK;
    if (address & 1) groups += address == MAC_MASK ? 0x10000 : 1;
    bytes += run;
    desc += TX_DESC_BYTES;
    if (desc == wrap) desc = ring;
  }
  plainBytes = bytes;
  plainGroups = groups;
  return (at - pkts) >> 2;
}
