// Addresses as the device knows them: the whole own part of the arena is one DMA region that starts at 4 GiB, so that every
// address given to a device has a high half, as in a large guest.
import { IOVA_HIGH } from "../layout/doorbell.ts";

export const IOVA_BASE = BigInt(IOVA_HIGH) << 32n;

/** The device's address of an arena offset. */
export const iovaOf = (off: number): bigint => IOVA_BASE + BigInt(off);
