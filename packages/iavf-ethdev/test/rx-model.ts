// The receive burst in plain TypeScript, reading the same descriptors: what iavf_rx_burst must return and count, whatever
// the device writes. Which mbufs a refill brings is the pool's affair, so the model learns them from the software ring.
import * as A from "@emudev/avf";
import * as S from "@emudev/shm";
import { ptypeTable } from "../src/control/ptypes.ts";
import { RXQ_FREE_THRESH, RXQ_MAX_SEGS } from "../src/layout/rx-queue.ts";
import { BUF_SIZE, qword } from "./kernel-rig.ts";

export interface ModelPacket {
  mbufs: number[];
  lengths: number[];
  packetType: number;
  flags: number;
  rss: number;
  tci: number;
}

const TYPES = ptypeTable();
const bits = (value: bigint, shift: number, mask: number) => Number((value >> BigInt(shift)) & BigInt(mask));

function flagsOf(word1: bigint, packetType: number): number {
  const status = bits(word1, 0, A.RX_STATUS_MASK);
  const error = bits(word1, A.RX_ERROR_SHIFT, A.RX_ERROR_MASK);
  let flags = 0;
  if (((status >> A.RX_STATUS_FLTSTAT_SHIFT) & 3) === A.RX_FLTSTAT_RSS) flags |= S.RX_RSS_HASH;
  if (status & A.RX_STATUS_L2TAG1P) flags |= S.RX_VLAN | S.RX_VLAN_STRIPPED;
  if (status & A.RX_STATUS_L3L4P) {
    const l4 = packetType & 0xf00;
    if ((packetType & 0xf0) === S.PTYPE_L3_IPV4)
      flags |= error & A.RX_ERROR_IPE ? S.RX_IP_CKSUM_BAD : S.RX_IP_CKSUM_GOOD;
    if (l4 === S.PTYPE_L4_TCP || l4 === S.PTYPE_L4_UDP || l4 === S.PTYPE_L4_SCTP)
      flags |= error & A.RX_ERROR_L4E ? S.RX_L4_CKSUM_BAD : S.RX_L4_CKSUM_GOOD;
  }
  return flags;
}

export class RxModel {
  next = 0;
  held = 0;
  errors = 0;
  nombuf = 0;
  packets = 0;
  bytes = 0;
  tail: number;
  /** mbufs of the packet that has begun. */
  partial: { mbufs: number[]; lengths: number[] } | null = null;
  skip = false;
  readonly ringOff: number;
  readonly size: number;
  readonly maxPkt: number;
  readonly swRing: (index: number) => number;
  /** mbufs that went back to the pool in the last burst. */
  freed = 0;

  constructor(ringOff: number, size: number, maxPkt: number, swRing: (index: number) => number) {
    this.ringOff = ringOff;
    this.size = size;
    this.maxPkt = maxPkt;
    this.swRing = swRing;
    this.tail = size - 1;
  }

  /** What a burst of `n` must return; `available` mbufs are in the pool before it. */
  burst(n: number, available: number): ModelPacket[] {
    const out: ModelPacket[] = [];
    this.freed = 0;
    while (out.length < n && this.held < this.size) {
      const desc = this.ringOff + this.next * A.RX_DESC_BYTES;
      const word0 = qword(desc);
      const word1 = qword(desc + 8);
      if ((word1 & 1n) === 0n) break;
      const packet = this.#take(this.swRing(this.next), word1);
      this.next = (this.next + 1) % this.size;
      this.held++;
      if (packet === null) continue;
      const packetType = TYPES[bits(word1, A.RX_PTYPE_SHIFT, A.RX_PTYPE_MASK)]!;
      out.push({
        ...packet,
        packetType,
        flags: flagsOf(word1, packetType),
        rss: bits(word0, 32, 0xffffffff),
        tci: bits(word0, 16, 0xffff),
      });
      this.packets++;
      this.bytes += packet.lengths.reduce((a, b) => a + b);
    }
    let free = available + this.freed;
    while (this.held >= RXQ_FREE_THRESH) {
      if (free < RXQ_FREE_THRESH) {
        this.nombuf += RXQ_FREE_THRESH;
        break;
      }
      free -= RXQ_FREE_THRESH;
      this.held -= RXQ_FREE_THRESH;
      this.tail = (this.next - this.held - 1 + 2 * this.size) % this.size;
    }
    return out;
  }

  #take(mbuf: number, word1: bigint): { mbufs: number[]; lengths: number[] } | null {
    const end = (word1 & 2n) !== 0n;
    const length = bits(word1, A.RX_LENGTH_SHIFT, A.RX_LENGTH_MASK);
    const error = bits(word1, A.RX_ERROR_SHIFT, A.RX_ERROR_MASK);
    if (this.skip) {
      this.freed++;
      this.skip = !end;
      return null;
    }
    const packet = this.partial ?? { mbufs: [], lengths: [] };
    packet.mbufs.push(mbuf);
    packet.lengths.push(length);
    const total = packet.lengths.reduce((a, b) => a + b);
    const failed = (error & (A.RX_ERROR_RXE | A.RX_ERROR_OVERSIZE)) !== 0 || length === 0 || length > BUF_SIZE;
    // A packet of one descriptor fits the buffer, so only chains are held against the port's limit.
    const tooLong = (packet.mbufs.length > 1 || !end) && (total > this.maxPkt || packet.mbufs.length > RXQ_MAX_SEGS);
    if (failed || tooLong) {
      this.freed += packet.mbufs.length;
      this.partial = null;
      this.skip = !end;
      this.errors++;
      return null;
    }
    this.partial = end ? null : packet;
    return end ? packet : null;
  }
}
