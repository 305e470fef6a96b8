// The guest's packets with TCP or UDP checksums to finish, in a tight loop like guest-tx-plain.ts's: one data descriptor, no
// tag, the usual headers (Ethernet without tag, IPv4 or IPv6 without options), a buffer in the memory region of the last hit.
// The packet is summed while it is copied; its headers are looked at in the registers that carry them, so that nothing is
// loaded twice. Whatever is not so ends the run and is guest-tx.ts's, which calls this.
import {
  MBUF_DATA_LEN,
  MBUF_HEADROOM,
  MBUF_OL_RX,
  MBUF_PKT_LEN,
  MBUF_PORT,
  MBUF_SIZE,
  RX_IP_CKSUM_GOOD,
  RX_L4_CKSUM_GOOD,
} from "../../shm/src/layout/mbuf";
import {
  TX_BUF_SIZE_MASK,
  TX_BUF_SIZE_SHIFT,
  TX_CMD_DUMMY,
  TX_CMD_EOP,
  TX_CMD_IIPT_IPV4,
  TX_CMD_IIPT_IPV4_CSUM,
  TX_CMD_IIPT_IPV6,
  TX_CMD_IIPT_MASK,
  TX_CMD_IL2TAG1,
  TX_CMD_L4T_MASK,
  TX_CMD_L4T_TCP,
  TX_CMD_L4T_UDP,
  TX_CMD_MASK,
  TX_CMD_SHIFT,
  TX_DESC_BYTES,
  TX_DTYPE_MASK,
  TX_IPLEN_SHIFT,
  TX_L4LEN_MASK,
  TX_L4LEN_SHIFT,
  TX_OFFSET_MASK,
  TX_OFFSET_SHIFT,
} from "../../avf/src/layout/tx-desc";
import { hintedRegion } from "../../emudev/assembly/mem-table";
import {
  MEM_PROT_READ,
  MEM_REGION_IOVA,
  MEM_REGION_OFF,
  MEM_REGION_PROT,
  MEM_REGION_SIZE,
} from "../../emudev/src/layout/mem-table";
import { complement, fold, lanesSum, swap16, words8 } from "./checksum";
import { MAC_MASK } from "./count";

/** A descriptor's second word, by this mask, is CHECKED when the packet begins and ends in it and wants no tag. */
export const CHECKED_MASK: u64 = TX_DTYPE_MASK | ((TX_CMD_EOP | TX_CMD_IL2TAG1 | TX_CMD_DUMMY) << TX_CMD_SHIFT);
export const CHECKED: u64 = TX_CMD_EOP << TX_CMD_SHIFT;

/** Of the last run: bytes, and multicast packets in the low half, broadcast packets in the high one. */
export let checkedBytes: u32 = 0;
export let checkedGroups: u32 = 0;

const ETHER: u32 = 14;
const LENGTHS_MASK: u32 = TX_OFFSET_MASK & ~(TX_L4LEN_MASK << TX_L4LEN_SHIFT);
const LENGTHS_IPV4: u32 = (ETHER >> 1) | ((20 >> 2) << TX_IPLEN_SHIFT);
const LENGTHS_IPV6: u32 = (ETHER >> 1) | ((40 >> 2) << TX_IPLEN_SHIFT);
const L4_IPV4: u32 = ETHER + 20;
const L4_IPV6: u32 = ETHER + 40;
/** Blocks of 16 bytes are read and written whole: this much beyond a packet must be there on both sides. */
const BEYOND: u32 = 16;
// Bytes that the packet has at least, since what is looked at comes in whole blocks.
const SHORTEST_IPV4: u32 = 48;
const SHORTEST_IPV6: u32 = 64;

/** Takes packets as takePlain() does, and finishes their checksums. */
export function takeChecked(table: u32, ring: u32, head: u32, size: u32, pkts: u32, n: u32, room: u32, port: u32): u32 {
  const region = hintedRegion(table);
  if (region == 0 || room < SHORTEST_IPV6 + BEYOND) return 0;
  const iova = load<u64>(region, MEM_REGION_IOVA);
  const span = load<u64>(region, MEM_REGION_SIZE);
  const off = load<u32>(region, MEM_REGION_OFF);
  if (off == 0 || !(load<u32>(region, MEM_REGION_PROT) & MEM_PROT_READ)) return 0;
  const longest = room - BEYOND;
  const wrap = ring + size * TX_DESC_BYTES;
  const end = pkts + (n << 2);
  let desc = ring + head * TX_DESC_BYTES;
  let at = pkts;
  let bytes: u32 = 0;
  let groups: u32 = 0;
  for (; at < end; at += 4) {
    const command = load<u64>(desc, 8);
    if ((command & CHECKED_MASK) != CHECKED) break;
    const run = <u32>(command >> TX_BUF_SIZE_SHIFT) & TX_BUF_SIZE_MASK;
    const cmd = <u32>(command >> TX_CMD_SHIFT) & TX_CMD_MASK;
    const offsets = <u32>(command >> TX_OFFSET_SHIFT) & TX_OFFSET_MASK;
    const iipt = cmd & TX_CMD_IIPT_MASK;
    const l4t = cmd & TX_CMD_L4T_MASK;
    const ipv6 = iipt == TX_CMD_IIPT_IPV6;
    const l4 = ipv6 ? L4_IPV6 : L4_IPV4;
    const l4len = ((offsets >>> TX_L4LEN_SHIFT) & TX_L4LEN_MASK) << 2;
    if (iipt == 0 || (offsets & LENGTHS_MASK) != (ipv6 ? LENGTHS_IPV6 : LENGTHS_IPV4)) break;
    if (l4t == TX_CMD_L4T_TCP ? l4len < 20 : l4t != TX_CMD_L4T_UDP || l4len != 8) break;
    const shortest = ipv6 ? SHORTEST_IPV6 : SHORTEST_IPV4;
    if (run > longest || run < shortest || l4 + l4len > run) break;
    const delta = load<u64>(desc) - iova;
    if (delta >= span || span - delta < <u64>(run + BEYOND)) break;

    const from = off + <u32>delta;
    const v = v128.load(from);
    const w = v128.load(from, 16);
    let x = v128.load(from, 32);
    const first = <u32>i16x8.extract_lane_u(v, 7) & 0xff;
    // The IP header's length must be the frame's: padding would not belong to the sum.
    const length = ipv6 ? <u32>i16x8.extract_lane_u(w, 1) : <u32>i16x8.extract_lane_u(w, 0);
    if (<u32>swap16(length) != run - (ipv6 ? L4_IPV6 : ETHER)) break;
    if (ipv6 ? first >>> 4 != 6 : first != 0x45) break;

    const mbuf = load<u32>(at);
    const to = mbuf + (MBUF_SIZE + MBUF_HEADROOM);
    v128.store(to, v);
    v128.store(to, w, 16);
    v128.store(to, x, 32);
    let flags: u32 = RX_L4_CKSUM_GOOD;
    let i: u32 = 48;
    let a: v128; // sums of the L4 packet, in lanes; each block also adds a bias that is known
    let b = i32x4(0, 0, 0, 0);
    if (ipv6) {
      let y = v128.load(from, 48);
      v128.store(to, y, 48);
      y = i16x8.replace_lane(i32x4.replace_lane(y, 0, 0), 2, 0);
      a = words8(y);
      i = 64;
    } else {
      const header = i32x4.add(words8(v128.and(v, i16x8(0, 0, 0, 0, 0, 0, 0, -1))), words8(w));
      let sum = lanesSum(header) + (32 << 14) + <u32>i16x8.extract_lane_u(x, 0);
      if (iipt == TX_CMD_IIPT_IPV4_CSUM) {
        sum -= <u32>i16x8.extract_lane_u(w, 4);
        store<u16>(to, complement(sum), 24);
        flags = RX_L4_CKSUM_GOOD | RX_IP_CKSUM_GOOD;
      } else if (fold(sum) == 0xffff) flags = RX_L4_CKSUM_GOOD | RX_IP_CKSUM_GOOD;
      x = i16x8.replace_lane(x, 0, 0);
      a = words8(x);
    }
    const begun = i;
    for (; i + 64 <= run; i += 64) {
      const c = v128.load(from + i);
      const d = v128.load(from + i, 16);
      const e = v128.load(from + i, 32);
      const f = v128.load(from + i, 48);
      v128.store(to + i, c);
      v128.store(to + i, d, 16);
      v128.store(to + i, e, 32);
      v128.store(to + i, f, 48);
      a = i32x4.add(a, i32x4.add(words8(c), words8(d)));
      b = i32x4.add(b, i32x4.add(words8(e), words8(f)));
    }
    for (; i + 16 <= run; i += 16) {
      const c = v128.load(from + i);
      v128.store(to + i, c);
      a = i32x4.add(a, words8(c));
    }
    // Of the last block, what is beyond the packet is zeroed.
    const rest = run - i;
    const inside = i8x16.lt_u(i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), i8x16.splat(<i8>rest));
    const last = v128.and(v128.load(from + i), inside);
    v128.store(to + i, last);
    const blocks = 1 + ((i - begun) >> 4) + 1;
    const sum = lanesSum(i32x4.add(i32x4.add(a, words8(last)), b)) + (blocks << 18);
    const check = complement(sum);
    if (l4t == TX_CMD_L4T_TCP) store<u16>(to + l4, check, 16);
    else store<u16>(to + l4, check == 0 ? 0xffff : check, 6);

    store<u16>(mbuf, <u16>run, MBUF_DATA_LEN);
    store<u32>(mbuf, run, MBUF_PKT_LEN);
    store<u16>(mbuf, <u16>port, MBUF_PORT);
    store<u32>(mbuf, flags, MBUF_OL_RX);
    const address = <u64>i64x2.extract_lane(v, 0) & MAC_MASK;
    if (address & 1) groups += address == MAC_MASK ? 0x10000 : 1;
    bytes += run;
    desc += TX_DESC_BYTES;
    if (desc == wrap) desc = ring;
  }
  checkedBytes = bytes;
  checkedGroups = groups;
  return (at - pkts) >> 2;
}
