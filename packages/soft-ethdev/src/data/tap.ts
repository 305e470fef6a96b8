// net_tap's bursts: a system call for each frame, which costs ten times its copy. So a received frame goes to scratch
// memory that any frame fits in, then to as many mbufs as it needs; a sent one goes straight from its mbuf when it has
// one segment. EAGAIN ends a burst; what the kernel refuses (interface down) is dropped and counted as an error.
import type { LcoreEnv } from "@emudev/eal/data";
import type { RxQueue, TxQueue } from "@emudev/ethdev/data";
import { ERRNO, readAt, writeAt } from "@emudev/linux/data";
import { SQ_BUFFER, SQ_BUFFER_BYTES, SQ_FD, SQ_POOL, SQ_ROOM } from "../layout/queue.ts";
import { QueueWords } from "./counters.ts";
import { Packets } from "./packets.ts";

export function openTapRx(env: LcoreEnv, off: number, portId: number): RxQueue {
  const words = new QueueWords(env, off);
  const packets = new Packets(env, portId);
  const { u32, base } = env.arena;
  const fd = words.signed(SQ_FD);
  const pool = words.get(SQ_POOL);
  const room = words.get(SQ_ROOM);
  const buffer = words.get(SQ_BUFFER);
  const bufferBytes = words.get(SQ_BUFFER_BYTES);

  /** One frame into `buffer`, then into a packet: >0 its mbuf, 0 nothing there, -1 lost for want of mbufs. */
  const receive = (): number => {
    const bytes = readAt(fd, base + buffer, bufferBytes);
    if (bytes <= 0) return 0;
    const mbuf = packets.make(pool, room, buffer, bytes);
    return mbuf === 0 ? -1 : mbuf;
  };

  return {
    burst(pktsOff, n) {
      if (!words.started) return 0;
      let got = 0;
      let bytes = 0;
      while (got < n) {
        const mbuf = receive();
        if (mbuf === 0) break;
        if (mbuf < 0) {
          words.noMbuf(1);
          break;
        }
        bytes += packets.packetLength(mbuf);
        u32[(pktsOff >>> 2) + got++] = mbuf;
      }
      if (got > 0) words.moved(got, bytes);
      return got;
    },
  };
}

export function openTapTx(env: LcoreEnv, off: number, portId: number): TxQueue {
  const words = new QueueWords(env, off);
  const packets = new Packets(env, portId);
  const { kernels, lcore } = packets;
  const { u32, base } = env.arena;
  const fd = words.signed(SQ_FD);
  const buffer = words.get(SQ_BUFFER);
  const bufferBytes = words.get(SQ_BUFFER_BYTES);
  return {
    burst(pktsOff, n) {
      if (!words.started) return 0;
      let sent = 0;
      let packetsOut = 0;
      let bytes = 0;
      for (; sent < n; sent++) {
        const mbuf = u32[(pktsOff >>> 2) + sent]!;
        const length = packets.packetLength(mbuf);
        const wrote =
          length > bufferBytes ? -ERRNO.EMSGSIZE : writeAt(fd, base + packets.plain(mbuf, buffer, bufferBytes), length);
        if (wrote === -ERRNO.EAGAIN) break;
        if (wrote < 0) {
          words.errors(1);
          continue;
        }
        packetsOut++;
        bytes += length;
      }
      if (packetsOut > 0) words.moved(packetsOut, bytes);
      if (sent > 0) kernels.pktmbuf_free_bulk(lcore, pktsOff, sent);
      return sent;
    },
  };
}
