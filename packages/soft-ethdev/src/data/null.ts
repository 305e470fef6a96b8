// net_null's bursts: packets out of nothing, which are left as the pool gave them unless copy=1, and a sink.
import type { LcoreEnv } from "@emudev/eal/data";
import type { RxQueue, TxQueue } from "@emudev/ethdev/data";
import { SQ_BUFFER, SQ_COPY, SQ_PACKET, SQ_POOL } from "../layout/queue.ts";
import { QueueWords } from "./counters.ts";
import { Packets } from "./packets.ts";

const COPY_MAX = 65_536;

export function openNullRx(env: LcoreEnv, off: number, portId: number): RxQueue {
  const words = new QueueWords(env, off);
  const packets = new Packets(env, portId);
  const { kernels, lcore } = packets;
  const { u32 } = env.arena;
  const pool = words.get(SQ_POOL);
  const size = words.get(SQ_PACKET);
  const copyFrom = words.get(SQ_COPY) === 1 ? words.get(SQ_BUFFER) : 0;
  return {
    burst(pktsOff, n) {
      if (size === 0 || !words.started) return 0;
      if (kernels.pktmbuf_alloc_bulk(pool, lcore, pktsOff, n) === 0) {
        words.noMbuf(n);
        return 0;
      }
      for (let at = pktsOff >>> 2, end = at + n; at < end; at++) {
        const mbuf = u32[at]!;
        packets.setLength(mbuf, size);
        if (copyFrom !== 0) kernels.copy_bytes(packets.data(mbuf), copyFrom, size);
      }
      words.moved(n, n * size);
      return n;
    },
  };
}

export function openNullTx(env: LcoreEnv, off: number, portId: number): TxQueue {
  const words = new QueueWords(env, off);
  const packets = new Packets(env, portId);
  const { kernels, lcore } = packets;
  const { u32 } = env.arena;
  const copyTo = words.get(SQ_COPY) === 1 ? words.get(SQ_BUFFER) : 0;
  return {
    burst(pktsOff, n) {
      if (!words.started) return 0;
      words.moved(n, packets.bytes(pktsOff, n));
      if (copyTo !== 0)
        for (let at = pktsOff >>> 2, end = at + n; at < end; at++) kernels.pktmbuf_read(u32[at]!, 0, COPY_MAX, copyTo);
      kernels.pktmbuf_free_bulk(lcore, pktsOff, n);
      return n;
    },
  };
}
