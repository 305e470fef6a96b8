// The transmit burst in plain TypeScript: which packets iavf_tx_burst must accept, which it must drop, and the descriptors
// that the accepted ones become. The ring is a list of words here; reclaiming looks at the real descriptors, which is
// where the device (or who plays it) reports.
import * as A from "@emudev/avf";
import * as S from "@emudev/shm";
import * as T from "../src/layout/tx-queue.ts";
import { qword } from "./kernel-rig.ts";

export interface ModelMbuf {
  segments: { address: bigint; length: number }[];
  /** nb_segs and pkt_len as the header has them, right or wrong. */
  nbSegs: number;
  pktLen: number;
  flags: number;
  l2: number;
  l3: number;
  l4: number;
  mss: number;
  tci: number;
}

const big = BigInt;

export class TxModel {
  readonly ringOff: number;
  readonly size: number;
  readonly maxPkt: number;
  /** Expected words of the descriptors that are written and not yet reclaimed, by ring index. */
  readonly live = new Map<number, [bigint, bigint]>();
  /** mbuf segments in each not yet reclaimed descriptor. */
  readonly segments = new Map<number, number>();
  reports: number[] = [];
  tail = 0;
  clean = 0;
  used = 0;
  packets = 0;
  bytes = 0;
  errors = 0;

  constructor(ringOff: number, size: number, maxPkt: number) {
    this.ringOff = ringOff;
    this.size = size;
    this.maxPkt = maxPkt;
  }

  get free(): number {
    return this.size - 1 - ((this.tail - this.clean + this.size) % this.size);
  }

  /** mbuf segments the driver holds. */
  get held(): number {
    return [...this.segments.values()].reduce((a, b) => a + b, 0);
  }

  reclaim(): void {
    while (this.reports.length > 0) {
      const last = this.reports[0]!;
      if ((qword(this.ringOff + last * 16 + 8) & 0xfn) !== 0xfn) return;
      this.reports.shift();
      const end = (last + 1) % this.size;
      for (; this.clean !== end; this.clean = (this.clean + 1) % this.size) {
        this.live.delete(this.clean);
        this.segments.delete(this.clean);
      }
    }
  }

  /** Packets that a burst must accept. */
  burst(pkts: ModelMbuf[]): number {
    this.reclaim();
    for (const [i, pkt] of pkts.entries()) {
      const words = this.#words(pkt);
      if (words === null) {
        this.errors++;
        continue;
      }
      if (words.length > this.free) return i;
      const [before, last] = [this.tail, (this.tail + words.length - 1) % this.size];
      this.used += words.length;
      if (this.used >= T.TXQ_RS_THRESH) {
        words.at(-1)![1] |= big(A.TX_CMD_RS) << 4n;
        this.reports.push(last);
        this.used = 0;
      }
      words.forEach((pair, k) => {
        this.live.set((before + k) % this.size, pair);
      });
      this.segments.set(last, pkt.segments.length);
      this.tail = (last + 1) % this.size;
      this.packets++;
      this.bytes += pkt.pktLen;
    }
    return pkts.length;
  }

  /** The packet's descriptors, or null when it must be dropped. */
  #words(p: ModelMbuf): [bigint, bigint][] | null {
    const lengths = p.segments.map((segment) => segment.length);
    const total = lengths.reduce((a, b) => a + b, 0);
    const tso = (p.flags & S.TX_TCP_SEG) !== 0;
    const offload = (p.flags & ~S.TX_VLAN) !== 0;
    const headers = p.l2 + p.l3 + p.l4;
    if (p.nbSegs !== lengths.length || p.pktLen !== total) return null;
    if (lengths.some((length) => length === 0 || length > 16383)) return null;
    if (offload && (p.l2 % 2 !== 0 || p.l2 > 254 || p.l3 % 4 !== 0 || p.l3 > 508)) return null;
    if (!tso && (p.nbSegs > 8 || total > this.maxPkt)) return null;
    if (tso && (p.nbSegs > 24 || p.mss < 64 || p.mss > 9668 || headers + p.mss > this.maxPkt)) return null;
    if (tso && (p.l4 % 4 !== 0 || p.l4 < 20 || p.l4 > 60 || headers >= total || total - headers > 0x3ffff)) return null;
    let cmd = A.TX_CMD_ICRC;
    let word = 0n;
    if (p.flags & S.TX_VLAN) {
      cmd |= A.TX_CMD_IL2TAG1;
      word |= big(p.tci) << 48n;
    }
    if (offload) {
      let l4len = 0;
      const l4 = p.flags & S.TX_L4_MASK;
      if (p.flags & S.TX_IP_CKSUM || (tso && p.flags & S.TX_IPV4)) cmd |= A.TX_CMD_IIPT_IPV4_CSUM;
      else if (p.flags & S.TX_IPV4) cmd |= A.TX_CMD_IIPT_IPV4;
      else if (p.flags & S.TX_IPV6) cmd |= A.TX_CMD_IIPT_IPV6;
      if (tso || l4 === S.TX_TCP_CKSUM) {
        cmd |= A.TX_CMD_L4T_TCP;
        l4len = tso ? p.l4 / 4 : 5;
      } else if (l4 === S.TX_UDP_CKSUM) {
        cmd |= A.TX_CMD_L4T_UDP;
        l4len = 2;
      } else if (l4 === S.TX_SCTP_CKSUM) {
        cmd |= A.TX_CMD_L4T_SCTP;
        l4len = 3;
      }
      word |= big((p.l2 >> 1) | ((p.l3 >> 2) << 7) | (l4len << 14)) << 16n;
    }
    word |= big(cmd) << 4n;
    const out = p.segments.map(({ address, length }): [bigint, bigint] => [address, word | (big(length) << 34n)]);
    out.at(-1)![1] |= big(A.TX_CMD_EOP) << 4n;
    if (tso) out.unshift([0n, 1n | (1n << 4n) | (big(total - headers) << 30n) | (big(p.mss) << 50n)]);
    return out;
  }
}
