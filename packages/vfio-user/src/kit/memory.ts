// Memory of a BAR that the guest maps: a sealed memfd, whole or in page-aligned areas. The device itself reaches it by pread
// and pwrite, which needs no mapping and cannot fault; so do clients that do not map it.

import { addSeals, memfdCreate, pread, pwrite, SEAL } from "@emudev/linux";
import { VfioUserError } from "../errors.ts";
import type { RegionMmap } from "../server/device.ts";
import { ERRNO, PAGE_SIZE } from "../wire/constants.ts";
import type { Window } from "./window.ts";

export class BarMemory {
  /** The memfd, as long as the BAR: yours to map or to send, not to close. */
  readonly fd: number;
  readonly mmap: RegionMmap;

  /** @throws VfioUserError VFU_ARGUMENT for areas that no client could map. */
  constructor(name: string, size: number, areas: readonly { offset: number; size: number }[]) {
    let end = 0;
    for (const area of areas) {
      const isWhole = [area.offset, area.size].every((value) => Number.isInteger(value) && value % PAGE_SIZE === 0);
      if (isWhole && area.offset >= end && area.size > 0 && area.offset + area.size <= size) {
        end = area.offset + area.size;
        continue;
      }
      const what = `${name}: ${area.size} bytes at 0x${area.offset.toString(16)} cannot be mapped`;
      throw new VfioUserError("VFU_ARGUMENT", ERRNO.EINVAL, `${what}: whole pages inside the BAR, in ascending order`);
    }
    this.fd = memfdCreate(name, size, { seals: true });
    addSeals(this.fd, SEAL.SHRINK | SEAL.GROW | SEAL.SEAL);
    this.mmap = { fd: this.fd, areas };
  }

  read(offset: number, bytes: number): Uint8Array {
    const into = new Uint8Array(bytes);
    pread(this.fd, into, offset);
    return into;
  }

  write(offset: number, data: Uint8Array): void {
    pwrite(this.fd, data, offset);
  }

  /** For clients that do not map it. */
  windows(): Window[] {
    return this.mmap.areas.map(({ offset, size }) => ({
      from: offset,
      to: offset + size,
      read: (at, into) => void pread(this.fd, into, at),
      write: (at, data) => void pwrite(this.fd, data, at),
    }));
  }
}
