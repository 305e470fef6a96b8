// The tables of the two CRCs that kernels compute: CRC-32C for SCTP (RFC 9260, appendix A) and the Ethernet frame check
// sequence (IEEE 802.3, 3.2.9). In the arena, since kernels have no static data. Called once a device.
import type { Arena } from "@emudev/shm";

export const CRC_TABLE_BYTES = 1024;
/** Reflected polynomials. */
export const CRC32C = 0x82f63b78;
export const CRC32_ETHERNET = 0xedb88320;

/** Writes u32[256] of a reflected polynomial at an arena offset. */
export function writeCrcTable(arena: Arena, off: number, polynomial: number): void {
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    arena.u32[(off >>> 2) + byte] = crc >>> 0;
  }
}
