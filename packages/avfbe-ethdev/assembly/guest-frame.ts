// One packet for the guest that is not the plain case: chained mbufs, several buffers, a tag to insert, strip or filter, a
// frame check sequence to append, or a buffer that cannot be written. The frame is two pieces, front (at most 16 bytes,
// where a tag changed) and the rest of the mbuf from `skipped` on. Called by guest-rx.ts.
import { MBUF_DATA_LEN, MBUF_NEXT, MBUF_OL_TX, MBUF_PKT_LEN, MBUF_VLAN_TCI, TX_VLAN } from "../../shm/src/layout/mbuf";
import {
  RX_DESC_BYTES,
  RX_ERROR_RXE,
  RX_ERROR_SHIFT,
  RX_LENGTH_SHIFT,
  RX_PTYPE_SHIFT,
  RX_STATUS_CRCP,
  RX_STATUS_DD,
  RX_STATUS_EOF,
  RX_STATUS_L2TAG1P,
  RX_WB_L2TAG1,
  RX_WB_RSS,
} from "../../avf/src/layout/rx-desc";
import { copy } from "../../shm/assembly/copy";
import { data, readPacket } from "../../shm/assembly/mbuf";
import { markDirty, xlat } from "../../emudev/assembly/mem-table";
import { MEM_INDIRECT, MEM_PROT_WRITE, MEM_TABLE_DIRTY } from "../../emudev/src/layout/mem-table";
import { FILTER_FLAGS, FILTER_STRIP, FILTER_VLAN } from "../src/layout/filter";
import {
  GQ_SIZE,
  GQ_WANT_BOUNCE,
  GRX_BAD_ADDRESS,
  GRX_BUF_SIZE,
  GRX_CRC,
  GRX_FRONT,
} from "../src/layout/guest-queue";
import { crc32, swap16 } from "./checksum";
import { count, MAC_MASK, TPID } from "./count";
import { vlanPasses } from "./filter";
import { castBits, checkedBits, packetType } from "./status";

// What givePacket answers: descriptors used in the low half, and
export const GAVE_STOP: u32 = 1 << 16; // nothing was done: too few descriptors, or memory that is not mapped:
export const GAVE_UNMAPPED: u32 = 1 << 18; // with GAVE_STOP: the latter
export const GAVE_NOTHING: u32 = 1 << 17; // the packet was dropped: filtered if no descriptor was used, else a bad buffer

const CRC_BYTES: u32 = 4;

/**
 * Gives one packet.
 * @param back where the second words of its descriptors are kept until the burst's end
 * @param marked arena offset of what is said of its hash (SPREAD_MARKS), 0 = nothing
 */
export function givePacket(
  gq: u32,
  table: u32,
  ring: u32,
  filter: u32,
  head: u32,
  avail: u32,
  mbuf: u32,
  back: u32,
  marked: u32,
): u32 {
  const from = data(mbuf);
  const flags = load<u32>(filter, FILTER_FLAGS);
  const front = gq + GRX_FRONT;
  let fronted: u32 = 0; // bytes of front
  let skipped: u32 = 0; // bytes of the mbuf that front stands for
  let tag: u32 = 0; // for the descriptor
  let tagged = false;
  const inFrame = <u32>load<u16>(from, 12) == TPID && <u32>load<u16>(mbuf, MBUF_DATA_LEN) >= 18;
  if (load<u32>(mbuf, MBUF_OL_TX) & TX_VLAN) {
    tag = <u32>load<u16>(mbuf, MBUF_VLAN_TCI);
    if (flags & FILTER_VLAN && !vlanPasses(filter, tag & 0xfff)) return GAVE_NOTHING;
    if (flags & FILTER_STRIP) {
      tagged = true;
    } else {
      copy(front, from, 12);
      store<u16>(front, <u16>TPID, 12);
      store<u16>(front, swap16(tag), 14);
      fronted = 16;
      skipped = 12;
    }
  } else if (inFrame) {
    tag = <u32>swap16(load<u16>(from, 14));
    if (flags & FILTER_VLAN && !vlanPasses(filter, tag & 0xfff)) return GAVE_NOTHING;
    if (flags & FILTER_STRIP) {
      copy(front, from, 12);
      fronted = 12;
      skipped = 16;
      tagged = true;
    }
  }
  const crcTable = load<u32>(gq, GRX_CRC);
  const length = fronted + load<u32>(mbuf, MBUF_PKT_LEN) - skipped;
  const total = crcTable ? length + CRC_BYTES : length;
  const bufSize = load<u32>(gq, GRX_BUF_SIZE);
  if ((total + bufSize - 1) / bufSize > avail) return GAVE_STOP;

  const address = load<u64>(from) & MAC_MASK;
  const typeAt = fronted == 12 ? from + 16 : from + 12;
  const type = packetType(<u32>load<u16>(typeAt), typeAt + 2, <u32>load<u16>(mbuf, MBUF_DATA_LEN) - (typeAt + 2 - from));
  const mark: u64 = marked ? load<u64>(marked) : 0;
  const common = <u32>mark | RX_STATUS_DD | castBits(address) | checkedBits(mbuf) | (crcTable ? RX_STATUS_CRCP : 0);
  const size = load<u32>(gq, GQ_SIZE);
  const dirty = load<u32>(table, MEM_TABLE_DIRTY);
  let check: u32 = 0;
  if (crcTable) {
    check = crc32(crcTable, 0xffffffff, front, fronted);
    check = ~crcOfMbuf(crcTable, check, mbuf, skipped);
  }
  let used: u32 = 0;
  for (let at: u32 = 0; at < total; used++) {
    const desc = ring + (head << 5);
    const run = min<u32>(bufSize, total - at);
    const to = xlat(table, load<u64>(desc), run, MEM_PROT_WRITE);
    if (to == <u32>MEM_INDIRECT) {
      atomic.store<u32>(gq, 1, GQ_WANT_BOUNCE);
      return GAVE_STOP | GAVE_UNMAPPED; // earlier buffers were written to, but are still the device's
    }
    const end = at + run;
    let status = common | (end == total ? RX_STATUS_EOF : 0);
    if (to == 0) {
      count(gq, GRX_BAD_ADDRESS, 1);
      finishDesc(desc, 0, <u32>(mark >> 32));
      status |= RX_STATUS_EOF;
      store<u64>(back, (<u64>run << RX_LENGTH_SHIFT) | (<u64>(RX_ERROR_RXE << RX_ERROR_SHIFT)) | <u64>status);
      return (used + 1) | GAVE_NOTHING;
    }
    let put = at;
    if (put < fronted) {
      const part = min<u32>(fronted - put, run);
      copy(to, front + put, part);
      put += part;
    }
    if (put < end && put < length) {
      const part = min<u32>(end, length) - put;
      readPacket(mbuf, put - fronted + skipped, part, to + (put - at));
      put += part;
    }
    for (; put < end; put++) store<u8>(to + (put - at), <u8>(check >>> ((put - length) << 3)));
    finishDesc(desc, tagged && end == total ? tag : 0, <u32>(mark >> 32));
    if (dirty) {
      // The descriptor too: a packet that is broken off further down leaves it written to and not passed.
      markDirty(dirty, to, run);
      markDirty(dirty, desc, RX_DESC_BYTES);
    }
    if (tagged && end == total) status |= RX_STATUS_L2TAG1P;
    store<u64>(back, (<u64>run << RX_LENGTH_SHIFT) | (<u64>type << RX_PTYPE_SHIFT) | <u64>status);
    back += 8;
    at = end;
    if (++head == size) head = 0;
  }
  return used;
}

/** Words 2 and 3, then word 0 of a written back descriptor. */
// @ts-ignore: decorator
@inline
function finishDesc(desc: u32, tag: u32, hash: u32): void {
  v128.store(desc, i64x2(0, 0), 16);
  store<u64>(desc, (<u64>hash << (RX_WB_RSS << 3)) | (<u64>tag << (RX_WB_L2TAG1 << 3)));
}

function crcOfMbuf(table: u32, crc: u32, mbuf: u32, skipped: u32): u32 {
  for (; mbuf != 0; mbuf = load<u32>(mbuf, MBUF_NEXT)) {
    const bytes = <u32>load<u16>(mbuf, MBUF_DATA_LEN);
    const from = min<u32>(skipped, bytes);
    crc = crc32(table, crc, data(mbuf) + from, bytes - from);
    skipped -= from;
  }
  return crc;
}
