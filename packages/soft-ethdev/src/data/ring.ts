// net_ring's bursts: mbufs change hands by their offsets, nothing is copied. A full ring leaves the rest to the caller.
import type { LcoreEnv } from "@emudev/eal/data";
import type { RxQueue, TxQueue } from "@emudev/ethdev/data";
import { MBUF_PORT } from "@emudev/shm/data";
import { SQ_RING } from "../layout/queue.ts";
import { QueueWords } from "./counters.ts";
import { Packets } from "./packets.ts";

export function openRingRx(env: LcoreEnv, off: number, portId: number): RxQueue {
  const words = new QueueWords(env, off);
  const packets = new Packets(env, portId);
  const ring = words.get(SQ_RING);
  const { u16, u32 } = env.arena;
  return {
    burst(pktsOff, n) {
      if (!words.started) return 0;
      const got = packets.kernels.ring_dequeue_burst(ring, pktsOff, n);
      if (got === 0) return 0;
      for (let at = pktsOff >>> 2, end = at + got; at < end; at++) u16[(u32[at]! + MBUF_PORT) >>> 1] = portId;
      words.moved(got, packets.bytes(pktsOff, got));
      return got;
    },
  };
}

export function openRingTx(env: LcoreEnv, off: number, portId: number): TxQueue {
  const words = new QueueWords(env, off);
  const packets = new Packets(env, portId);
  const ring = words.get(SQ_RING);
  const { u32 } = env.arena;
  const lengths = new Uint32Array(512);
  return {
    burst(pktsOff, n) {
      if (!words.started) return 0;
      // Lengths first: an mbuf in the ring is the receiver's, who may have freed it by now.
      const count = Math.min(n, lengths.length);
      for (let i = 0; i < count; i++) lengths[i] = packets.packetLength(u32[(pktsOff >>> 2) + i]!);
      const put = packets.kernels.ring_enqueue_burst(ring, pktsOff, count);
      let bytes = 0;
      for (let i = 0; i < put; i++) bytes += lengths[i]!;
      if (put > 0) words.moved(put, bytes);
      return put;
    },
  };
}
