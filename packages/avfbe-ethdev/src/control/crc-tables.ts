// The tables of the two CRCs that kernels compute: CRC-32C for SCTP (RFC 9260, appendix A) and the Ethernet frame check
// sequence (IEEE 802.3, 3.2.9). In the arena, since kernels have no static data. Called once a device.
import type { Arena } from "@emudev/shm";

export const CRC_TABLE_BYTES = 16384;
/** Reflected polynomials. */
export const CRC32C = 0x82f63b78;
export const CRC32_ETHERNET = 0xedb88320;

/** Writes u32[16][256] of a reflected polynomial at an arena offset: table k is a byte's CRC with k zero bytes behind it. */
export function writeCrcTable(arena: Arena, off: number, polynomial: number): void {
  const table = new Uint32Array(CRC_TABLE_BYTES / 4);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    table[byte] = crc;
  }
  for (let at = 256; at < table.length; at++) table[at] = (table[at - 256]! >>> 8) ^ table[table[at - 256]! & 0xff]!;
  arena.u32.set(table, off >>> 2);
}
