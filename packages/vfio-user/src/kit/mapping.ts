// A client's region as memory of this process, where that is safe: its file is sealed against shrinking, or lets itself be, so
// that touching the mapping can never fault (QEMU's memory-backend-memfd is sealed; an ordinary file cannot be). Called by
// dma.ts when a region comes.

import { addSeals, fileStat, getSeals, LinuxError, mapAnywhere, SEAL } from "@emudev/linux";
import type { DmaRegion } from "../server/device.ts";

export interface RegionMapping {
  /** The region, from its first byte to its last. It dangles after `unmap`. */
  bytes: Uint8Array;
  unmap(): void;
}

/** Larger regions are left to pread and pwrite. */
const MAX_BYTES = 2 ** 31;

/** Null where it is not safe, or not possible. The fd stays the caller's. */
export function mapWhereSafe({ fd, mode, size, prot, fileOffset }: DmaRegion): RegionMapping | null {
  if (mode !== "map" || size > MAX_BYTES) return null;
  try {
    if (!cannotShrink(fd)) return null;
    // The client may have cut it after the server looked at its size; from here on it cannot.
    const { blockSize, size: fileBytes } = fileStat(fd);
    if (fileOffset + size > BigInt(fileBytes)) return null;
    // huge pages are mapped as wholes
    const block = BigInt(blockSize);
    const skip = fileOffset % block;
    const bytes = ((skip + size + block - 1n) / block) * block;
    const mapping = mapAnywhere(Number(bytes), prot, fd, fileOffset - skip);
    return { bytes: new Uint8Array(mapping.buffer, Number(skip), Number(size)), unmap: () => mapping.unmap() };
  } catch (error) {
    if (error instanceof LinuxError) return null;
    throw error;
  }
}

function cannotShrink(fd: number): boolean {
  const seals = getSeals(fd);
  if (seals === -1) return false;
  if ((seals & SEAL.SHRINK) === 0) addSeals(fd, SEAL.SHRINK);
  return true;
}
