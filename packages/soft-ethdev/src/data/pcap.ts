// net_pcap's bursts. Receiving copies packets that lie in the arena since probe; sending writes a whole burst of
// records with one system call. What cannot be written (a full disk) is dropped and counted as an error, and so is all
// that follows, for a record in the middle of which another one starts would spoil the whole file; the control side
// cuts the torn end off when the port stops.
import type { LcoreEnv } from "@emudev/eal/data";
import type { RxQueue, TxQueue } from "@emudev/ethdev/data";
import { writeAt } from "@emudev/linux/data";
import { PCAP_RECORD_SIZE } from "@emudev/net";
import {
  SQ_BUFFER,
  SQ_BUFFER_BYTES,
  SQ_COUNT,
  SQ_FAILED,
  SQ_FD,
  SQ_GOOD,
  SQ_LOOP,
  SQ_NEXT,
  SQ_POOL,
  SQ_RECORDS,
  SQ_ROOM,
} from "../layout/queue.ts";
import { QueueWords } from "./counters.ts";
import { Packets } from "./packets.ts";

const FRAME_MAX = 65_535;

export function openPcapRx(env: LcoreEnv, off: number, portId: number): RxQueue {
  const words = new QueueWords(env, off);
  const packets = new Packets(env, portId);
  const { u32 } = env.arena;
  const pool = words.get(SQ_POOL);
  const room = words.get(SQ_ROOM);
  const records = words.get(SQ_RECORDS) >>> 2;
  const count = words.get(SQ_COUNT);
  const loop = words.get(SQ_LOOP) === 1;
  return {
    burst(pktsOff, n) {
      if (count === 0 || !words.started) return 0;
      let next = words.get(SQ_NEXT);
      let got = 0;
      let bytes = 0;
      while (got < n) {
        if (next === count) {
          if (!loop) break;
          next = 0;
        }
        const length = u32[records + 2 * next + 1]!;
        const mbuf = packets.make(pool, room, u32[records + 2 * next]!, length);
        if (mbuf === 0) {
          words.noMbuf(n - got);
          break;
        }
        u32[(pktsOff >>> 2) + got++] = mbuf;
        bytes += length;
        next++;
      }
      words.set(SQ_NEXT, next);
      words.moved(got, bytes);
      return got;
    },
  };
}

export function openPcapTx(env: LcoreEnv, off: number, portId: number): TxQueue {
  const words = new QueueWords(env, off);
  const packets = new Packets(env, portId);
  const { kernels, lcore } = packets;
  const { f64, u32, u8, base } = env.arena;
  const good = (off + SQ_GOOD) >>> 3;
  const fd = words.signed(SQ_FD);
  const buffer = words.get(SQ_BUFFER);
  const bufferBytes = words.get(SQ_BUFFER_BYTES);

  /** Writes what lies in the buffer; true when all of it went out. */
  const write = (bytes: number): boolean => {
    for (let done = 0; done < bytes; ) {
      const wrote = writeAt(fd, base + buffer + done, bytes - done);
      if (wrote <= 0) return false;
      done += wrote;
    }
    return true;
  };

  return {
    burst(pktsOff, n) {
      if (!words.started) return 0;
      if (fd < 0) {
        words.moved(n, packets.bytes(pktsOff, n));
        kernels.pktmbuf_free_bulk(lcore, pktsOff, n);
        return n;
      }
      if (words.get(SQ_FAILED) !== 0) {
        words.errors(n);
        kernels.pktmbuf_free_bulk(lcore, pktsOff, n);
        return n;
      }
      const nowUs = (performance.timeOrigin + performance.now()) * 1000;
      const seconds = Math.floor(nowUs / 1e6);
      let fill = 0;
      let sent = 0;
      let bytes = 0;
      while (sent < n) {
        const mbuf = u32[(pktsOff >>> 2) + sent]!;
        const length = Math.min(packets.packetLength(mbuf), FRAME_MAX);
        if (fill + PCAP_RECORD_SIZE + length > bufferBytes) break;
        const at = buffer + fill;
        putWord(u8, at, seconds);
        putWord(u8, at + 4, Math.floor(nowUs - seconds * 1e6));
        putWord(u8, at + 8, length);
        putWord(u8, at + 12, packets.packetLength(mbuf));
        kernels.pktmbuf_read(mbuf, 0, length, at + PCAP_RECORD_SIZE);
        fill += PCAP_RECORD_SIZE + length;
        bytes += length;
        sent++;
      }
      if (write(fill)) {
        f64[good]! += fill;
        words.moved(sent, bytes);
      } else {
        words.set(SQ_FAILED, 1);
        words.errors(sent);
      }
      kernels.pktmbuf_free_bulk(lcore, pktsOff, sent);
      return sent;
    },
  };
}

function putWord(u8: Uint8Array, at: number, value: number): void {
  u8[at] = value;
  u8[at + 1] = value >>> 8;
  u8[at + 2] = value >>> 16;
  u8[at + 3] = value >>> 24;
}
