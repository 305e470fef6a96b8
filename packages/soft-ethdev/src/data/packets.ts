// What the soft drivers do with mbufs in bursts: sums of lengths, packets made of plain bytes, packets laid out
// plainly.
import type { LcoreEnv } from "@emudev/eal/data";
import {
  type Arena,
  MBUF_BUF,
  MBUF_DATA_LEN,
  MBUF_DATA_OFF,
  MBUF_NB_SEGS,
  MBUF_NEXT,
  MBUF_PKT_LEN,
  MBUF_PORT,
  type ShmKernels,
  shmKernels,
} from "@emudev/shm/data";

export class Packets {
  readonly arena: Arena;
  readonly kernels: ShmKernels;
  readonly lcore: number;
  readonly #port: number;

  constructor(env: LcoreEnv, portId: number) {
    this.arena = env.arena;
    this.kernels = shmKernels(env.arena);
    this.lcore = env.index;
    this.#port = portId;
  }

  /** Bytes of the packets in an array of n mbufs. */
  bytes(pktsOff: number, n: number): number {
    const { u32 } = this.arena;
    let bytes = 0;
    for (let at = pktsOff >>> 2, end = at + n; at < end; at++) bytes += u32[(u32[at]! + MBUF_PKT_LEN) >>> 2]!;
    return bytes;
  }

  /** Arena offset of the data of an mbuf's first segment. */
  data(mbuf: number): number {
    return this.arena.u32[(mbuf + MBUF_BUF) >>> 2]! + this.arena.u16[(mbuf + MBUF_DATA_OFF) >>> 1]!;
  }

  /** Sets the length of a fresh mbuf of one segment, and its port of arrival. */
  setLength(mbuf: number, bytes: number): void {
    const { u16, u32 } = this.arena;
    u16[(mbuf + MBUF_DATA_LEN) >>> 1] = bytes;
    u32[(mbuf + MBUF_PKT_LEN) >>> 2] = bytes;
    u16[(mbuf + MBUF_PORT) >>> 1] = this.#port;
  }

  /** A packet with a copy of `bytes` bytes, in as many segments of `room` bytes as it needs; 0 = no mbufs. */
  make(pool: number, room: number, from: number, bytes: number): number {
    const { arena, kernels, lcore } = this;
    const { u16, u32 } = arena;
    const first = kernels.pktmbuf_alloc(pool, lcore) >>> 0;
    if (first === 0) return 0;
    let mbuf = first;
    let segments = 1;
    for (let done = 0; ; segments++) {
      const part = Math.min(bytes - done, room);
      kernels.copy_bytes(this.data(mbuf), from + done, part);
      this.setLength(mbuf, part);
      done += part;
      if (done >= bytes) break;
      const next = kernels.pktmbuf_alloc(pool, lcore) >>> 0;
      if (next === 0) {
        kernels.pktmbuf_free(lcore, first);
        return 0;
      }
      u32[(mbuf + MBUF_NEXT) >>> 2] = next;
      mbuf = next;
    }
    u32[(first + MBUF_PKT_LEN) >>> 2] = bytes;
    u16[(first + MBUF_NB_SEGS) >>> 1] = segments;
    return first;
  }

  packetLength(mbuf: number): number {
    return this.arena.u32[(mbuf + MBUF_PKT_LEN) >>> 2]!;
  }

  /** Arena offset of the packet's bytes in one piece: in place, or copied to `scratch` when it has several segments. */
  plain(mbuf: number, scratch: number, scratchBytes: number): number {
    if (this.arena.u32[(mbuf + MBUF_NEXT) >>> 2] === 0) return this.data(mbuf);
    this.kernels.pktmbuf_read(mbuf, 0, scratchBytes, scratch);
    return scratch;
  }
}
