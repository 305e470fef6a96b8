// The memory table of one device of the original interface: each region of the client that came with an fd is mapped
// whole, rounded to the file's block size; the others are listed without an address, those that the client wants read and
// written as a file (DMA_FLAG.FILE_IO) with their fd. Used by api/device.ts.

import { closeFd, fileStat } from "@emudev/linux";
import type { DmaRegion } from "../server/device.ts";
import { type Mapped, type MemoryMapper, type MemTable, type MemTableEntry, VFIO_USER_MEM_MAPPABLE } from "./types.ts";

interface Held extends MemTableEntry {
  mapped: Mapped | null;
}

export class DeviceMemory {
  #entries: Held[] = [];
  #mapper: MemoryMapper;

  constructor(mapper: MemoryMapper) {
    this.#mapper = mapper;
  }

  get table(): MemTable {
    return { entryNum: this.#entries.length, entry: this.#entries };
  }

  /** Takes over the fd, also when mapping fails. @throws LinuxError */
  add(region: DmaRegion): void {
    const { iova, size, prot, mode, fd, fileOffset } = region;
    const entry: Held = {
      region: { gpa: iova, size, fdOffset: fileOffset, protection: prot, flags: 0 },
      hostUserAddr: 0,
      bytes: null,
      fd,
      mapped: null,
    };
    if (mode === "map") {
      try {
        this.#map(entry);
      } catch (error) {
        closeFd(fd);
        throw error;
      }
    }
    this.#entries = [...this.#entries, entry];
  }

  remove(iova: bigint): void {
    const gone = this.#entries.find(({ region }) => region.gpa === iova);
    if (gone === undefined) return;
    this.#entries = this.#entries.filter((entry) => entry !== gone);
    release(gone);
  }

  clear(): void {
    const gone = this.#entries;
    this.#entries = [];
    for (const entry of gone) release(entry);
  }

  #map(entry: Held): void {
    const { size, fdOffset, protection } = entry.region;
    const block = BigInt(fileStat(entry.fd).blockSize);
    const start = fdOffset - (fdOffset % block);
    const skip = Number(fdOffset - start);
    const bytes = Number(((BigInt(skip) + size + block - 1n) / block) * block);
    entry.mapped = this.#mapper.map(bytes, protection, entry.fd, start);
    entry.hostUserAddr = entry.mapped.address + skip;
    entry.bytes = new Uint8Array(entry.mapped.buffer, skip, Number(size));
    entry.region.flags = VFIO_USER_MEM_MAPPABLE;
  }
}

function release(entry: Held): void {
  entry.bytes = null;
  entry.hostUserAddr = 0;
  entry.mapped?.unmap();
  if (entry.fd >= 0) closeFd(entry.fd);
}
