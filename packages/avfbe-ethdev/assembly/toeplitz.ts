// The Toeplitz hash of a packet's addresses and ports, by tables: one lookup for each byte of the input, all of them
// independent of each other. What is hashed follows from the packet type that the write-back tells, so that both agree; a
// tag in the frame is looked behind. Called by spread.ts.
import { MBUF_DATA_LEN } from "../../shm/src/layout/mbuf";
import { RX_FLTSTAT_RSS, RX_STATUS_FLTSTAT_SHIFT } from "../../avf/src/layout/rx-desc";
import { data } from "../../shm/assembly/mbuf";
import {
  RSS_KIND_IPV4,
  RSS_KIND_IPV4_PORTS,
  RSS_KIND_IPV6,
  RSS_KIND_IPV6_PORTS,
  RSS_KIND_NONE,
  RSS_KINDS,
  RSS_TOEPLITZ,
} from "../src/layout/rss";
import { TPID } from "./count";
import { packetType } from "./status";

/** Status bits of a packet with a hash. */
const HASHED: u64 = RX_FLTSTAT_RSS << RX_STATUS_FLTSTAT_SHIFT;
const TPID_OUTER: u32 = 0xa888;
const TAGS_END: u32 = 20; // offset of the EtherType behind two tags
const WORD: u32 = 4096; // tables of four bytes of input

/** What word 0 and the status of a packet's write-back say of its hash: SPREAD_MARKS; 0 = it has none. */
// @ts-ignore: decorator
@inline
export function hashMark(rss: u32, mbuf: u32): u64 {
  const from = data(mbuf);
  const run = <u32>load<u16>(mbuf, MBUF_DATA_LEN);
  if (run < 34) return 0; // not even an IPv4 header
  let at: u32 = 12;
  let type = <u32>load<u16>(from, 12);
  if (type == TPID || type == TPID_OUTER) at = behindTags(from, run);
  if (at != 12) type = <u32>load<u16>(from + at);
  const l3 = from + at + 2;
  const bytes = run - at - 2;
  const kind = <u32>load<u8>(rss + packetType(type, l3, bytes), RSS_KINDS);
  if (kind == RSS_KIND_NONE) return 0;
  const table = rss + RSS_TOEPLITZ;
  let hash: u32;
  if (kind == RSS_KIND_IPV4_PORTS) {
    hash = hashWord(table, load<u32>(l3, 12)) ^ hashWord(table + WORD, load<u32>(l3, 16));
    const ports = <u32>(load<u8>(l3) & 15) << 2;
    if (ports >= 20 && ports + 4 <= bytes) hash ^= hashWord(table + 2 * WORD, load<u32>(l3 + ports));
  } else if (kind == RSS_KIND_IPV4) {
    hash = hashWord(table, load<u32>(l3, 12)) ^ hashWord(table + WORD, load<u32>(l3, 16));
  } else {
    hash = hashAddress6(table, l3 + 8) ^ hashAddress6(table + 4 * WORD, l3 + 24);
    if (kind == RSS_KIND_IPV6_PORTS && bytes >= 44) hash ^= hashWord(table + 8 * WORD, load<u32>(l3, 40));
  }
  return (<u64>hash << 32) | HASHED;
}

function behindTags(from: u32, run: u32): u32 {
  let at: u32 = 12;
  while (at < TAGS_END && at + 6 <= run) {
    const type = <u32>load<u16>(from + at);
    if (type != TPID && type != TPID_OUTER) break;
    at += 4;
  }
  return at;
}

// @ts-ignore: decorator
@inline
function hashWord(table: u32, word: u32): u32 {
  return (
    load<u32>(table + ((word & 0xff) << 2)) ^
    load<u32>(table + (((word >>> 8) & 0xff) << 2), 1024) ^
    load<u32>(table + (((word >>> 16) & 0xff) << 2), 2048) ^
    load<u32>(table + ((word >>> 24) << 2), 3072)
  );
}

// @ts-ignore: decorator
@inline
function hashAddress6(table: u32, at: u32): u32 {
  return (
    hashWord(table, load<u32>(at)) ^
    hashWord(table + WORD, load<u32>(at, 4)) ^
    hashWord(table + 2 * WORD, load<u32>(at, 8)) ^
    hashWord(table + 3 * WORD, load<u32>(at, 12))
  );
}
