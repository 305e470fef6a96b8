// Mode txonly: a burst of packets made from a stream's head (Ethernet, IPv4 and UDP headers, laid out by the main thread)
// and zeros, over as many segments as `set txpkts` asks for. Nothing that was in an mbuf before is ever sent. Zeros are not
// written where a pool is known to hold them (STREAM_ZEROS): written anew for each packet, the lines of a long one travel
// between the cores twice, which halves its rate.
import { copy } from "../../../packages/shm/assembly/copy";
import { allocBulk, data, freeBulk } from "../../../packages/shm/assembly/mbuf";
import { MBUF_DATA_LEN, MBUF_NB_SEGS, MBUF_NEXT, MBUF_PKT_LEN } from "../../../packages/shm/src/layout/mbuf";
import {
  STREAM_HEAD,
  STREAM_HEAD_LEN,
  STREAM_HEAD_MAX,
  STREAM_MORE,
  STREAM_PKTS,
  STREAM_SEG_LEN,
  STREAM_SEGS,
  STREAM_ZEROS,
} from "../src/layout/stream";

/** Makes n packets into the stream's array STREAM_PKTS. Returns n, or 0 when there are not mbufs enough. */
export function fwd_txonly(stream: u32, pool: u32, lcore: u32, n: u32): u32 {
  const pkts = stream + STREAM_PKTS;
  if (allocBulk(pool, lcore, pkts, n) == 0) return 0;
  const segs = load<u32>(stream, STREAM_SEGS);
  const length = <u32>load<u16>(stream, STREAM_SEG_LEN);
  const head = load<u32>(stream, STREAM_HEAD_LEN);
  const fill = !load<u32>(stream, STREAM_ZEROS) && length > head;
  const end = pkts + (n << 2);
  for (let at = pkts; at < end; at += 4) {
    const mbuf = load<u32>(at);
    const to = data(mbuf);
    copy(to, stream + STREAM_HEAD, head);
    if (fill) memory.fill(to + head, 0, length - head);
    store<u16>(mbuf, <u16>length, MBUF_DATA_LEN);
    store<u32>(mbuf, length, MBUF_PKT_LEN);
  }
  // Later segments are put right behind the first, the last of them first, so no packet's tail has to be looked for.
  for (let seg = segs - 1; seg > 0; seg--) if (!addSegment(stream, pool, lcore, n, seg)) return 0;
  return n;
}

function addSegment(stream: u32, pool: u32, lcore: u32, n: u32, seg: u32): bool {
  const pkts = stream + STREAM_PKTS;
  const more = stream + STREAM_MORE;
  if (allocBulk(pool, lcore, more, n) == 0) {
    freeBulk(lcore, pkts, n);
    return false;
  }
  const length = <u32>load<u16>(stream + (seg << 1), STREAM_SEG_LEN);
  // It may have been a first segment, and held a head.
  const fill = load<u32>(stream, STREAM_ZEROS) ? min<u32>(length, STREAM_HEAD_MAX) : length;
  const bytes = n << 2;
  for (let at: u32 = 0; at < bytes; at += 4) {
    const first = load<u32>(pkts + at);
    const mbuf = load<u32>(more + at);
    memory.fill(data(mbuf), 0, fill);
    store<u16>(mbuf, <u16>length, MBUF_DATA_LEN);
    store<u32>(mbuf, load<u32>(first, MBUF_NEXT), MBUF_NEXT);
    store<u32>(first, mbuf, MBUF_NEXT);
    store<u16>(first, load<u16>(first, MBUF_NB_SEGS) + 1, MBUF_NB_SEGS);
    store<u32>(first, load<u32>(first, MBUF_PKT_LEN) + length, MBUF_PKT_LEN);
  }
  return true;
}
