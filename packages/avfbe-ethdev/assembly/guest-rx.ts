// What the port transmits becomes what the guest receives: the hot loop over one receive queue of the guest. Data and the
// other words of a descriptor are written as packets go, the second words, which carry DD, at the end of the burst behind
// one barrier. A packet that does not find descriptors stays the caller's; one that is filtered or too long is dropped and
// counted here. While writes are logged every packet goes through guest-frame.ts, which marks the pages.
import {
  MBUF_DATA_LEN,
  MBUF_NB_SEGS,
  MBUF_OL_TX,
  MBUF_PKT_LEN,
  TX_VLAN,
} from "../../shm/src/layout/mbuf";
import {
  RX_LENGTH_SHIFT,
  RX_PTYPE_SHIFT,
  RX_STATUS_DD,
  RX_STATUS_EOF,
} from "../../avf/src/layout/rx-desc";
import { COPY_INLINE_MAX, copy } from "../../shm/assembly/copy";
import { data } from "../../shm/assembly/mbuf";
import { markDirtyRing, xlat } from "../../emudev/assembly/mem-table";
import { MEM_INDIRECT, MEM_PROT_READ, MEM_PROT_WRITE, MEM_TABLE_DIRTY } from "../../emudev/src/layout/mem-table";
import { QPOS_DONE, QPOS_NEXT } from "../../emudev/src/layout/position";
import { QSTATS_BYTES, QSTATS_ERRORS, QSTATS_MISSED, QSTATS_PACKETS } from "../../ethdev/src/layout/queue-stats";
import { FILTER_FLAGS, FILTER_STRIP, FILTER_VLAN } from "../src/layout/filter";
import {
  FRAME_MIN,
  GQ_BAD_TAIL,
  GQ_BASE,
  GQ_DOORBELL,
  GQ_FENCE,
  GQ_HEAD,
  GQ_MEM_WORD,
  GQ_RING_FAULT,
  GQ_SIZE,
  GQ_WANT_BOUNCE,
  GRX_BROADCAST,
  GRX_BUF_SIZE,
  GRX_BYTES_SENT,
  GRX_CRC,
  GRX_FILTER_WORD,
  GRX_FILTERED,
  GRX_MAX_PKT,
  GRX_MULTICAST,
  GRX_NO_DESC,
  GRX_OVERSIZE,
  GRX_PACKETS,
  GRX_POSITION,
  GRX_WRITE_BACK,
} from "../src/layout/guest-queue";
import { BURST_DESCS_MAX } from "../src/layout/port-queue";
import { addressPasses } from "./filter";
import { count, MAC_MASK, MARK_HASH, sealed, TPID } from "./count";
import { giveMarked, givenBytes, givePlain } from "./guest-rx-plain";
import { GAVE_NOTHING, GAVE_STOP, GAVE_UNMAPPED, givePacket } from "./guest-frame";
import { giveTagged, TAGGED_FILTERED, TAGGED_GIVEN } from "./guest-rx-tagged";
import { castBits, checkedBits, packetType } from "./status";

/** Set by guestRx when it stopped at memory without a window. */
export let unmapped: bool = false;

/** No frame's EtherType: it has 16 bits. */
const NO_TYPE: u32 = 0x10000;

/**
 * Gives up to `n` packets of u32 pkts[n] to one receive queue of the guest; returns how many are done with, from the first.
 * @param marks u64[n], what the write-back says of their hashes (SPREAD_MARKS), or 0
 */
export function guestRx(q: u32, gq: u32, pkts: u32, n: u32, marks: u32): u32 {
  unmapped = false;
  const size = load<u32>(gq, GQ_SIZE);
  const first = load<u32>(gq, GQ_HEAD);
  const tail = atomic.load<u32>(load<u32>(gq, GQ_DOORBELL));
  if (tail >= size) {
    count(gq, GQ_BAD_TAIL, 1);
    return 0;
  }
  const given = tail >= first ? tail - first : tail + size - first;
  let avail = min<u32>(given, BURST_DESCS_MAX);
  const table = atomic.load<u32>(load<u32>(gq, GQ_MEM_WORD));
  const ring = xlat(table, load<u64>(gq, GQ_BASE), size << 5, MEM_PROT_READ | MEM_PROT_WRITE);
  if (ring <= <u32>MEM_INDIRECT) {
    if (ring) {
      atomic.store<u32>(gq, 1, GQ_WANT_BOUNCE);
      unmapped = true;
    } else {
      count(gq, GQ_RING_FAULT, 1);
    }
    return 0;
  }
  const filter = atomic.load<u32>(load<u32>(gq, GRX_FILTER_WORD));
  const dirty = load<u32>(table, MEM_TABLE_DIRTY);
  const special = load<u32>(gq, GRX_CRC) || dirty;
  const tagType: u32 = load<u32>(filter, FILTER_FLAGS) & (FILTER_VLAN | FILTER_STRIP) ? TPID : NO_TYPE;
  const maxPkt = load<u32>(gq, GRX_MAX_PKT);
  const bufSize: u32 = special ? 0 : load<u32>(gq, GRX_BUF_SIZE);
  let head = first;
  let back = gq + GRX_WRITE_BACK;
  let done: u32 = 0;
  let sent: u32 = 0;
  let bytes: u32 = 0;
  let multicast: u32 = 0;
  let broadcast: u32 = 0;
  let filtered: u32 = 0;
  let oversize: u32 = 0;
  let runts: u32 = 0;
  for (; done < n; done++) {
    let mbuf = load<u32>(pkts + (done << 2));
    let length = load<u32>(mbuf, MBUF_PKT_LEN);
    if (length <= COPY_INLINE_MAX) {
      const most = min<u32>(avail, n - done);
      const longest = min<u32>(bufSize, maxPkt);
      const plain = marks
        ? giveMarked(table, ring, head, size, pkts + (done << 2), most, filter, longest, tagType, back, marks + (done << 3))
        : givePlain(table, ring, head, size, pkts + (done << 2), most, filter, longest, tagType, back);
      if (plain) {
        sent += plain;
        bytes += givenBytes;
        back += plain << 3;
        avail -= plain;
        head += plain;
        if (head >= size) head -= size;
        done += plain;
        if (done == n) break;
        mbuf = load<u32>(pkts + (done << 2));
        length = load<u32>(mbuf, MBUF_PKT_LEN);
      }
    }
    const from = data(mbuf);
    const run = <u32>load<u16>(mbuf, MBUF_DATA_LEN);
    if (run < <u32>FRAME_MIN) {
      runts++;
      continue;
    }
    const address = load<u64>(from) & MAC_MASK;
    if (!addressPasses(filter, address)) {
      filtered++;
      continue;
    }
    if (length > maxPkt) {
      oversize++;
      continue;
    }
    if (length <= bufSize && load<u16>(mbuf, MBUF_NB_SEGS) == 1) {
      const desc = ring + (head << 5);
      let given = false;
      if (load<u32>(mbuf, MBUF_OL_TX) & TX_VLAN || <u32>load<u16>(from, 12) == tagType) {
        // Without a descriptor it can still be filtered.
        const gave = giveTagged(table, desc, filter, avail ? bufSize : 0, mbuf, back, marks ? marks + (done << 3) : 0);
        if (gave == TAGGED_FILTERED) {
          filtered++;
          continue;
        }
        given = gave == TAGGED_GIVEN;
      } else {
        if (avail == 0) break;
        const to = xlat(table, load<u64>(desc), length, MEM_PROT_WRITE);
        if (to > <u32>MEM_INDIRECT) {
          copy(to, from, length);
          v128.store(desc, i64x2(0, 0), 16);
          const mark: u64 = marks ? load<u64>(marks + (done << 3)) : 0;
          store<u64>(desc, mark & MARK_HASH);
          const type = packetType(<u32>load<u16>(from, 12), from + 14, length - 14);
          const status = <u32>mark | RX_STATUS_DD | RX_STATUS_EOF | castBits(address) | checkedBits(mbuf);
          store<u64>(back, (<u64>length << RX_LENGTH_SHIFT) | (<u64>type << RX_PTYPE_SHIFT) | <u64>status);
          given = true;
        }
      }
      if (given) {
        back += 8;
        avail--;
        if (++head == size) head = 0;
        sent++;
        bytes += length;
        if (address & 1) {
          if (address == MAC_MASK) broadcast++;
          else multicast++;
        }
        continue;
      }
    }
    const gave = givePacket(gq, table, ring, filter, head, avail, mbuf, back, marks ? marks + (done << 3) : 0);
    if (gave & GAVE_STOP) {
      unmapped = (gave & GAVE_UNMAPPED) != 0;
      break;
    }
    const used = gave & 0xffff;
    back += used << 3;
    avail -= used;
    head += used;
    if (head >= size) head -= size;
    if (gave & GAVE_NOTHING) {
      if (!used) filtered++;
      else runts++;
      continue;
    }
    sent++;
    bytes += length;
    if (address & 1) {
      if (address == MAC_MASK) broadcast++;
      else multicast++;
    }
  }
  if (head != first) {
    publish(gq, ring, first, head, size);
    if (dirty) markDirtyRing(dirty, ring, first, head, size, 5);
  }
  if (done < n && !avail) count(gq, GRX_NO_DESC, 1);
  if (done) {
    count(q, QSTATS_PACKETS, sent);
    count(q, QSTATS_BYTES, bytes);
    count(gq, GRX_PACKETS, sent);
    count(gq, GRX_BYTES_SENT, bytes);
    if (done != sent) {
      count(q, QSTATS_MISSED, filtered + oversize);
      count(q, QSTATS_ERRORS, runts);
      count(gq, GRX_FILTERED, filtered);
      count(gq, GRX_OVERSIZE, oversize);
    }
    if (multicast) count(gq, GRX_MULTICAST, multicast);
    if (broadcast) count(gq, GRX_BROADCAST, broadcast);
  }
  return done;
}

/** Writes the second words, DD in each, behind a barrier. */
// @ts-ignore: decorator
@inline
function publish(gq: u32, ring: u32, from: u32, to: u32, size: u32): void {
  store<u32>(gq, to, GQ_HEAD);
  const position = load<u32>(gq, GRX_POSITION);
  if (position) store<u64>(position, sealed(to), QPOS_NEXT);
  atomic.add<u32>(gq, 1, GQ_FENCE);
  let back = gq + GRX_WRITE_BACK;
  for (let at = from; at != to; back += 8) {
    store<u64>(ring + (at << 5), load<u64>(back), 8);
    if (++at == size) at = 0;
  }
  if (position) {
    atomic.add<u32>(gq, 1, GQ_FENCE);
    store<u64>(position, sealed(to), QPOS_DONE);
  }
}
