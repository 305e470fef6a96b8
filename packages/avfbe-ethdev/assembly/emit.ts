// From a packet in one piece to mbufs: into one where it fits, else into a chain. Used for packets that were gathered in
// scratch memory: jumbo frames and the segments of TSO.
import { MBUF_DATA_LEN, MBUF_NB_SEGS, MBUF_NEXT, MBUF_PKT_LEN, MBUF_PORT } from "../../shm/src/layout/mbuf";
import { copy } from "../../shm/assembly/copy";
import { data, free, reset } from "../../shm/assembly/mbuf";
import { getOne } from "../../shm/assembly/mempool";
import { RXQ_POOL, RXQ_PORT, RXQ_ROOM } from "../src/layout/port-queue";

/**
 * Copies a packet into `mbuf`, an empty one of the queue's pool, and as many further ones as it takes.
 * Returns false, and nothing but `mbuf` is held, when the pool is exhausted.
 */
export function emit(q: u32, mbuf: u32, from: u32, bytes: u32, lcore: u32): bool {
  const room = load<u32>(q, RXQ_ROOM);
  const pool = load<u32>(q, RXQ_POOL);
  let run = min<u32>(bytes, room);
  let segments: u32 = 1;
  let last = mbuf;
  fill(mbuf, from, run);
  for (let at = run; at < bytes; at += run) {
    const next = getOne(pool, lcore);
    if (next == 0) {
      free(lcore, load<u32>(mbuf, MBUF_NEXT));
      store<u32>(mbuf, 0, MBUF_NEXT);
      return false;
    }
    reset(next, pool);
    run = min<u32>(bytes - at, room);
    fill(next, from + at, run);
    store<u32>(last, next, MBUF_NEXT);
    last = next;
    segments++;
  }
  store<u16>(mbuf, <u16>segments, MBUF_NB_SEGS);
  finish(q, mbuf, bytes);
  return true;
}

// @ts-ignore: decorator
@inline
function fill(mbuf: u32, from: u32, bytes: u32): void {
  copy(data(mbuf), from, bytes);
  store<u16>(mbuf, <u16>bytes, MBUF_DATA_LEN);
}

/** The fields of a packet that depend on the whole. */
// @ts-ignore: decorator
@inline
export function finish(q: u32, mbuf: u32, bytes: u32): void {
  store<u32>(mbuf, bytes, MBUF_PKT_LEN);
  store<u16>(mbuf, <u16>load<u32>(q, RXQ_PORT), MBUF_PORT);
}
