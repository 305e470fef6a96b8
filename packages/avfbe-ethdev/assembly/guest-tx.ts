// What the guest transmits becomes what the port receives: the hot loop over one transmit queue of the guest. The tail is
// loaded once and mbufs are taken in bulk. Plain packets (one data descriptor, no offload) are copied in guest-tx-plain.ts,
// those with checksums to finish in guest-tx-checked.ts or, where plain ones are long or in another memory region, here; all
// others are guest-packet.ts's. Descriptors are completed at the end of the burst, behind one barrier: the guest then owns
// them again. A packet that is lent lies in the guest's memory until the next burst, which completes its descriptors.
import { MBUF_BUF, MBUF_DATA_LEN, MBUF_DATA_OFF, MBUF_HEADROOM, MBUF_PKT_LEN, MBUF_PORT, MBUF_SIZE } from "../../shm/src/layout/mbuf";
import { TX_BUF_SIZE_MASK, TX_BUF_SIZE_SHIFT, TX_DTYPE_DONE } from "../../avf/src/layout/tx-desc";
import { COPY_INLINE_MAX, copy } from "../../shm/assembly/copy";
import { allocBulk, data } from "../../shm/assembly/mbuf";
import { putBulk } from "../../shm/assembly/mempool";
import { markDirtyRing, xlat } from "../../emudev/assembly/mem-table";
import { MEM_INDIRECT, MEM_PROT_READ, MEM_PROT_WRITE, MEM_TABLE_DIRTY } from "../../emudev/src/layout/mem-table";
import { QPOS_DONE, QPOS_NEXT } from "../../emudev/src/layout/position";
import { QSTATS_BYTES, QSTATS_NOMBUF, QSTATS_PACKETS } from "../../ethdev/src/layout/queue-stats";
import {
  FRAME_MAX,
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
  GTX_BROADCAST,
  GTX_BYTES_SENT,
  GTX_CHECKSUM,
  GTX_DONE,
  GTX_DRAIN,
  GTX_MULTICAST,
  GTX_PACKETS,
  GTX_POSITION,
  GTX_SKIP,
  GTX_TSO_DESC,
  GTX_TSO_LEFT,
  POSITION_SKIP,
} from "../src/layout/guest-queue";
import { BURST_DESCS_MAX, RXQ_LEND, RXQ_POOL, RXQ_PORT, RXQ_ROOM } from "../src/layout/port-queue";
import { count, MAC_MASK, sealed } from "./count";
import { NO_MBUF, takePacket, TOOK_PACKET, TOOK_TSO, wasted } from "./guest-packet";
import { CHECKED, CHECKED_MASK, checkedBytes, checkedGroups, takeChecked } from "./guest-tx-checked";
import { PLAIN, PLAIN_MASK, plainBytes, plainGroups, takePlain } from "./guest-tx-plain";
import { tsoNext, tsoSegments } from "./tso";

/** From an empty mbuf to its data. */
const FIRST_BYTE: u32 = MBUF_SIZE + MBUF_HEADROOM;

/** Set by guestTx when it completed descriptors, for which the guest is owed an interrupt. */
export let completed: bool = false;

/** Takes up to `n` packets from one transmit queue of the guest into u32 pkts[n]; returns how many. */
export function guestTx(q: u32, gq: u32, pkts: u32, n: u32, lcore: u32): u32 {
  completed = false;
  const size = load<u32>(gq, GQ_SIZE);
  const first = load<u32>(gq, GQ_HEAD);
  const durable = load<u32>(gq, GTX_POSITION);
  if (load<u32>(gq, GTX_DONE) != first) giveBack(gq, durable, size);
  const tail = atomic.load<u32>(load<u32>(gq, GQ_DOORBELL));
  if (tail >= size) {
    count(gq, GQ_BAD_TAIL, 1);
    return 0;
  }
  let avail = tail >= first ? tail - first : tail + size - first;
  if (load<u32>(gq, GTX_DRAIN)) avail = 0;
  avail = min<u32>(avail, BURST_DESCS_MAX); // enough for any packet, and a bound to what a guest can have us look at
  const segments = load<u32>(gq, GTX_TSO_LEFT) ? tsoSegments(gq) : 0;
  if ((avail | segments) == 0) return 0;

  const pool = load<u32>(q, RXQ_POOL);
  let held = takeMbufs(pool, lcore, pkts, min<u32>(n, avail + segments));
  if (held == 0) {
    count(q, QSTATS_NOMBUF, 1);
    return 0;
  }
  let done: u32 = 0;
  let bytes: u32 = 0;
  let groups: u32 = 0; // multicast packets in the low half, broadcast packets in the high one
  let starved: bool = false;
  while (done < held && load<u32>(gq, GTX_TSO_LEFT)) {
    const mbuf = load<u32>(pkts + (done << 2));
    const run = tsoNext(q, gq, mbuf, lcore);
    if (run == 0) {
      starved = true;
      break;
    }
    bytes += run;
    groups += group(mbuf);
    done++;
  }

  const table = atomic.load<u32>(load<u32>(gq, GQ_MEM_WORD));
  const ring = avail && done < held && !starved ? ringAt(gq, table, size << 4) : 0;
  const room = min<u32>(load<u32>(q, RXQ_ROOM), FRAME_MAX);
  const port = <u16>load<u32>(q, RXQ_PORT);
  const lend = load<u32>(q, RXQ_LEND);
  // Not 0: the next burst completes this one's descriptors. Those before it may be waiting still, where the ring was not there.
  let later: u32 = load<u32>(gq, GTX_DONE) == first ? durable : 1;
  let head = first;
  let lost: u32 = 0; // of the burst: what the guest spoils it has to wait for as for packets
  if (ring) {
    let skipping = load<u32>(gq, GTX_SKIP) != 0;
    while (done < held && avail) {
      const desc = ring + (head << 4);
      const mbuf = load<u32>(pkts + (done << 2));
      const command = load<u64>(desc, 8);
      if ((command & PLAIN_MASK) == PLAIN && !skipping) {
        const run = <u32>(command >> TX_BUF_SIZE_SHIFT) & TX_BUF_SIZE_MASK;
        if (run <= COPY_INLINE_MAX) {
          const most = min<u32>(avail, held - done);
          const plain = takePlain(table, ring, head, size, pkts + (done << 2), most, room, <u32>port);
          if (plain) {
            bytes += plainBytes;
            groups += plainGroups;
            done += plain;
            avail -= plain;
            head += plain;
            if (head >= size) head -= size;
            continue;
          }
        }
        if (run - FRAME_MIN <= room - FRAME_MIN) {
          const from = xlat(table, load<u64>(desc), run, MEM_PROT_READ);
          if (from > <u32>MEM_INDIRECT) {
            if (lend && run > COPY_INLINE_MAX) {
              store<u32>(mbuf, from, MBUF_BUF);
              store<u16>(mbuf, 0, MBUF_DATA_OFF);
              later = 1;
            } else {
              copy(mbuf + FIRST_BYTE, from, run);
            }
            store<u16>(mbuf, <u16>run, MBUF_DATA_LEN);
            store<u32>(mbuf, run, MBUF_PKT_LEN);
            store<u16>(mbuf, port, MBUF_PORT);
            bytes += run;
            groups += group(mbuf);
            done++;
            avail--;
            if (++head == size) head = 0;
            continue;
          }
        }
      }
      if ((command & CHECKED_MASK) == CHECKED && !skipping) {
        const most = min<u32>(avail, held - done);
        const checked = takeChecked(table, ring, head, size, pkts + (done << 2), most, room, <u32>port);
        if (checked) {
          count(gq, GTX_CHECKSUM, checked);
          bytes += checkedBytes;
          groups += checkedGroups;
          done += checked;
          avail -= checked;
          head += checked;
          if (head >= size) head -= size;
          continue;
        }
      }
      const packet = head;
      const took = takePacket(q, gq, table, ring, head, avail, mbuf, lcore);
      skipping = load<u32>(gq, GTX_SKIP) != 0;
      const used = took & 0xffff;
      head += used;
      if (head >= size) head -= size;
      avail -= used;
      if (took & TOOK_PACKET) {
        bytes += packetBytes(mbuf);
        groups += group(mbuf);
        done++;
      } else if (took & TOOK_TSO) {
        store<u32>(gq, packet, GTX_TSO_DESC);
        if (held < n) held += takeMbufs(pool, lcore, pkts + (held << 2), min<u32>(n - held, tsoSegments(gq)));
        while (done < held && load<u32>(gq, GTX_TSO_LEFT)) {
          const next = load<u32>(pkts + (done << 2));
          const run = tsoNext(q, gq, next, lcore);
          if (run == 0) {
            starved = true;
            break;
          }
          bytes += run;
          groups += group(next);
          done++;
        }
        if (starved) break;
      } else if (used == 0) {
        starved = (took & NO_MBUF) != 0;
        break;
      } else {
        lost += wasted;
        if (done + lost >= n) break;
      }
    }
    if (later) store<u32>(gq, head, GQ_HEAD);
    else if (head != first) {
      complete(gq, ring, first, head, size);
      const dirty = load<u32>(table, MEM_TABLE_DIRTY);
      if (dirty) markDirtyRing(dirty, ring, first, head, size, 4);
    }
  }

  if (done < held) putBulk(pool, lcore, pkts + (done << 2), held - done);
  if (starved) count(q, QSTATS_NOMBUF, 1);
  if (done) {
    count(q, QSTATS_PACKETS, done);
    count(q, QSTATS_BYTES, bytes);
    count(gq, GTX_PACKETS, done);
    count(gq, GTX_BYTES_SENT, bytes);
    if (groups) {
      count(gq, GTX_MULTICAST, groups & 0xffff);
      count(gq, GTX_BROADCAST, groups >>> 16);
    }
  }
  return done;
}

/** n mbufs, or as many as half, a quarter... of it are to be had. */
function takeMbufs(pool: u32, lcore: u32, pkts: u32, n: u32): u32 {
  for (; n; n >>>= 1) if (allocBulk(pool, lcore, pkts, n)) return n;
  return 0;
}

/** The whole ring, translated once a burst; 0 when it is not there. */
function ringAt(gq: u32, table: u32, bytes: u32): u32 {
  const ring = xlat(table, load<u64>(gq, GQ_BASE), bytes, MEM_PROT_READ | MEM_PROT_WRITE);
  if (ring > <u32>MEM_INDIRECT) return ring;
  if (ring == MEM_INDIRECT) atomic.store<u32>(gq, 1, GQ_WANT_BOUNCE);
  else count(gq, GQ_RING_FAULT, 1);
  return 0;
}

/** Gives descriptors back to the guest, behind a barrier: what was read from their buffers was read before. */
// @ts-ignore: decorator
@inline
function complete(gq: u32, ring: u32, from: u32, to: u32, size: u32): void {
  store<u32>(gq, to, GQ_HEAD);
  store<u32>(gq, to, GTX_DONE);
  atomic.add<u32>(gq, 1, GQ_FENCE);
  for (let at = from; at != to; ) {
    store<u64>(ring + (at << 4), TX_DTYPE_DONE, 8);
    if (++at == size) at = 0;
  }
  completed = true;
}

/**
 * Gives back what the last burst took, whose packets were handed on since. With a position that outlives this process, who
 * comes after a crash takes up there, and sends again what was not given back.
 */
function giveBack(gq: u32, position: u32, size: u32): void {
  const from = load<u32>(gq, GTX_DONE);
  const unsent = load<u32>(gq, GTX_TSO_LEFT) != 0;
  const to = unsent ? load<u32>(gq, GTX_TSO_DESC) : load<u32>(gq, GQ_HEAD);
  if (from == to) return;
  const table = atomic.load<u32>(load<u32>(gq, GQ_MEM_WORD));
  const ring = ringAt(gq, table, size << 4);
  if (ring == 0) return;
  const word = to | (!unsent && load<u32>(gq, GTX_SKIP) ? POSITION_SKIP : 0);
  if (position) store<u64>(position, sealed(word), QPOS_NEXT);
  atomic.add<u32>(gq, 1, GQ_FENCE);
  for (let at = from; at != to; ) {
    store<u64>(ring + (at << 4), TX_DTYPE_DONE, 8);
    if (++at == size) at = 0;
  }
  if (position) {
    atomic.add<u32>(gq, 1, GQ_FENCE);
    store<u64>(position, sealed(word), QPOS_DONE);
  }
  store<u32>(gq, to, GTX_DONE);
  const dirty = load<u32>(table, MEM_TABLE_DIRTY);
  if (dirty) markDirtyRing(dirty, ring, from, to, size, 4);
  completed = true;
}

// @ts-ignore: decorator
@inline
function group(mbuf: u32): u32 {
  return groupAt(data(mbuf));
}

// @ts-ignore: decorator
@inline
function groupAt(frame: u32): u32 {
  const address = load<u64>(frame) & MAC_MASK;
  if (!(address & 1)) return 0;
  return address == MAC_MASK ? 0x10000 : 1;
}

// @ts-ignore: decorator
@inline
function packetBytes(mbuf: u32): u32 {
  return load<u32>(mbuf, MBUF_PKT_LEN);
}
