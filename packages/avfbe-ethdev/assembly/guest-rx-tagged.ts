// A packet with a VLAN tag for a guest that filters by tag or has tags stripped, or with one to insert, where it is one
// segment and one buffer: the tag is put in or left out between the two parts of the copy. Called by guest-rx.ts; what is
// otherwise is guest-frame.ts's, by the same rules.
import { MBUF_DATA_LEN, MBUF_OL_TX, MBUF_VLAN_TCI, TX_VLAN } from "../../shm/src/layout/mbuf";
import {
  RX_LENGTH_SHIFT,
  RX_PTYPE_SHIFT,
  RX_STATUS_DD,
  RX_STATUS_EOF,
  RX_STATUS_L2TAG1P,
  RX_WB_L2TAG1,
} from "../../avf/src/layout/rx-desc";
import { copy } from "../../shm/assembly/copy";
import { data } from "../../shm/assembly/mbuf";
import { xlat } from "../../emudev/assembly/mem-table";
import { MEM_INDIRECT, MEM_PROT_WRITE } from "../../emudev/src/layout/mem-table";
import { FILTER_FLAGS, FILTER_STRIP, FILTER_VLAN } from "../src/layout/filter";
import { swap16 } from "./checksum";
import { MAC_MASK, MARK_HASH, TPID } from "./count";
import { vlanPasses } from "./filter";
import { castBits, checkedBits, packetType } from "./status";

// What giveTagged answers
export const TAGGED_GIVEN: u32 = 0; // the descriptor is used
export const TAGGED_FILTERED: u32 = 1; // the guest does not listen to this VLAN
export const TAGGED_OTHER: u32 = 2; // nothing was done: another kind of packet or buffer

const ADDRESSES: u32 = 12; // bytes in front of a tag
const TAG_BYTES: u32 = 4;

/**
 * Gives a packet of one segment to the buffer of descriptor `desc`.
 * @param bufSize bytes that the buffer takes
 * @param back where the second word of the descriptor is kept until the burst's end
 * @param mark what the write-back says of its hash (SPREAD_MARKS), as an arena offset; 0 = nothing
 */
export function giveTagged(table: u32, desc: u32, filter: u32, bufSize: u32, mbuf: u32, back: u32, marked: u32): u32 {
  const from = data(mbuf);
  const run = <u32>load<u16>(mbuf, MBUF_DATA_LEN);
  const insert = (load<u32>(mbuf, MBUF_OL_TX) & TX_VLAN) != 0;
  if (!insert && (run < ADDRESSES + TAG_BYTES + 2 || <u32>load<u16>(from, 12) != TPID)) return TAGGED_OTHER;
  const tag = insert ? <u32>load<u16>(mbuf, MBUF_VLAN_TCI) : <u32>swap16(load<u16>(from, 14));
  const flags = load<u32>(filter, FILTER_FLAGS);
  if (flags & FILTER_VLAN && !vlanPasses(filter, tag & 0xfff)) return TAGGED_FILTERED;
  const strip = (flags & FILTER_STRIP) != 0;
  let length = run;
  let typeAt = from + ADDRESSES;
  if (insert && !strip) length += TAG_BYTES;
  if (!insert && strip) {
    length -= TAG_BYTES;
    typeAt += TAG_BYTES;
  }
  if (length > bufSize) return TAGGED_OTHER;
  const to = xlat(table, load<u64>(desc), length, MEM_PROT_WRITE);
  if (to <= <u32>MEM_INDIRECT) return TAGGED_OTHER;
  if (length == run) {
    copy(to, from, run);
  } else {
    const low = load<u64>(from);
    const high = load<u32>(from, 8);
    if (insert) {
      copy(to + ADDRESSES + TAG_BYTES, from + ADDRESSES, run - ADDRESSES);
      store<u32>(to, TPID | (<u32>swap16(tag) << 16), 12);
    } else {
      copy(to + ADDRESSES, from + ADDRESSES + TAG_BYTES, run - ADDRESSES - TAG_BYTES);
    }
    store<u64>(to, low);
    store<u32>(to, high, 8);
  }
  const mark: u64 = marked ? load<u64>(marked) : 0;
  v128.store(desc, i64x2(0, 0), 16);
  store<u64>(desc, (mark & MARK_HASH) | (strip ? <u64>tag << (RX_WB_L2TAG1 << 3) : 0));
  const type = packetType(<u32>load<u16>(typeAt), typeAt + 2, run - (typeAt + 2 - from));
  const status =
    <u32>mark |
    RX_STATUS_DD |
    RX_STATUS_EOF |
    (strip ? RX_STATUS_L2TAG1P : 0) |
    castBits(load<u64>(from) & MAC_MASK) |
    checkedBits(mbuf);
  store<u64>(back, (<u64>length << RX_LENGTH_SHIFT) | (<u64>type << RX_PTYPE_SHIFT) | <u64>status);
  return TAGGED_GIVEN;
}
