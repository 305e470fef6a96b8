// The tables that net_avfbe's control side makes for its kernels, for benches that call the kernels without it.
import type { Arena } from "@emudev/shm";
import { at } from "../layout.ts";

const control = (file: string): string =>
  new URL(`../../../packages/avfbe-ethdev/dist/control/${file}.js`, import.meta.url).href;
const { writeCrcTable, CRC_TABLE_BYTES, CRC32C } = await import(control("crc-tables"));
const { writeRssTable } = await import(control("rss"));

const KEY = Uint8Array.from({ length: 52 }, (_, i) => (i * 73 + 29) & 255);

/** The tables of CRC-32C in a memzone of this name; returns their arena offset. */
export function crc32cTables(arena: Arena, zone: string): number {
  const { off } = arena.memzoneReserve(zone, CRC_TABLE_BYTES);
  writeCrcTable(arena, off, CRC32C);
  return off;
}

/** A table that spreads all classes over `queues` in a memzone of this name, the key behind it as words of the host's order. */
export function rssTable(arena: Arena, zone: string, queues: number): number {
  const { off } = arena.memzoneReserve(zone, at("RSS_BYTES") + 64);
  const rss_lut = Uint8Array.from({ length: 64 }, (_, i) => i % queues);
  const numbers = Array.from({ length: queues }, (_, i) => i);
  writeRssTable(arena, off, { rss_key: KEY, rss_lut, rss_hena: (1n << 47n) - 1n }, numbers);
  const key = new DataView(KEY.buffer);
  for (let word = 0; word < KEY.length / 4; word++)
    arena.u32[((off + at("RSS_BYTES")) >>> 2) + word] = key.getUint32(4 * word);
  return off;
}
