// The client's memory as a device reaches it: mapped, where the region's file cannot shrink (mapping.ts), so that nothing the
// client does to it makes an access fault; else by pread and pwrite on the file, or by DMA messages where the region came
// without one. Addresses are checked against the client's regions; nothing is reached while the driver has bus mastering off.

import { closeFd, LinuxError, pread, pwrite } from "@emudev/linux";
import { refusal } from "../errors.ts";
import type { DmaRegion } from "../server/device.ts";
import { DMA_FLAG, ERRNO } from "../wire/constants.ts";
import { mapWhereSafe, type RegionMapping } from "./mapping.ts";

/** DMA messages (VfioUserServer has these). */
export interface DmaMessages {
  dmaRead(iova: bigint, bytes: number): Promise<Uint8Array>;
  dmaWrite(iova: bigint, data: Uint8Array): Promise<void>;
}

export class DmaMemory {
  /** Ascending; they do not overlap. */
  #regions: Region[] = [];
  #messages: DmaMessages;
  #isMaster: () => boolean;

  constructor(messages: DmaMessages, isMaster: () => boolean) {
    this.#messages = messages;
    this.#isMaster = isMaster;
  }

  /**
   * Copies `bytes` bytes out of the client's memory. Where regions have a file the copy is made before the call returns; by
   * messages it takes a round trip each, and a callback whose reply the client waits for must not await it.
   * Rejects with EFAULT: no memory there, or not for reading, or the driver has bus mastering off.
   */
  async read(iova: bigint, bytes: number): Promise<Uint8Array> {
    const pieces = this.#find(iova, bytes, DMA_FLAG.READ);
    const into = new Uint8Array(bytes);
    await each(pieces, into, (region, at, part) => {
      if (region.mapping !== null) {
        const from = Number(at - region.iova);
        part.set(region.mapping.bytes.subarray(from, from + part.length));
        return undefined;
      }
      const fetch = async (): Promise<void> => part.set(await this.#messages.dmaRead(at, part.length));
      if (region.fd < 0) return fetch();
      const count = orMessages(() => pread(region.fd, part, region.fileOffset + at - region.iova));
      if (count === null) return fetch();
      if (count < part.length) throw fault(at, part.length, "the client has cut its file");
      return undefined;
    });
    return into;
  }

  /** Copies `data` into the client's memory; it must not change before this resolves. Otherwise as `read`. */
  async write(iova: bigint, data: Uint8Array): Promise<void> {
    await each(this.#find(iova, data.length, DMA_FLAG.WRITE), data, (region, at, part) => {
      if (region.mapping !== null) {
        region.mapping.bytes.set(part, Number(at - region.iova));
        return undefined;
      }
      if (region.fd < 0) return this.#messages.dmaWrite(at, part);
      const count = orMessages(() => pwrite(region.fd, part, region.fileOffset + at - region.iova));
      return count === null ? this.#messages.dmaWrite(at, part) : undefined;
    });
  }

  /**
   * The memory itself, for the turn in which it is asked for: the client may take it back in the next. Null where it is
   * not mapped (then `read` and `write` may still reach it), not in one piece, or not to be reached at all.
   */
  view(iova: bigint, bytes: number, forWriting: boolean): Uint8Array | null {
    const region = this.#isMaster() ? this.#regionOf(iova) : undefined;
    if (region === undefined || region.mapping === null) return null;
    const from = Number(iova - region.iova);
    const isAllowed = (region.prot & (forWriting ? DMA_FLAG.WRITE : DMA_FLAG.READ)) !== 0;
    if (!isAllowed || from + bytes > region.mapping.bytes.length) return null;
    return region.mapping.bytes.subarray(from, from + bytes);
  }

  /** Takes over the region's fd, also when it throws. */
  map(region: DmaRegion): void {
    let mapping: RegionMapping | null;
    try {
      mapping = region.fd < 0 ? null : mapWhereSafe(region);
    } catch (error) {
      closeFd(region.fd);
      throw error;
    }
    this.#regions.push({ ...region, mapping });
    this.#regions.sort((a, b) => (a.iova < b.iova ? -1 : 1));
  }

  unmap(iova: bigint): void {
    const at = this.#regions.findIndex((region) => region.iova === iova);
    for (const region of at < 0 ? [] : this.#regions.splice(at, 1)) letGo(region);
  }

  unmapAll(): void {
    for (const region of this.#regions.splice(0)) letGo(region);
  }

  /** What each of neighbouring regions has of an access. Everything is checked before the first byte is moved. */
  #find(iova: bigint, bytes: number, prot: number): Piece[] {
    if (!this.#isMaster()) throw fault(iova, bytes, "the driver has bus mastering off");
    const pieces: Piece[] = [];
    for (let done = 0; done < bytes; ) {
      const at = iova + BigInt(done);
      const region = this.#regionOf(at);
      if (region === undefined) throw fault(at, bytes - done, "no memory is mapped there");
      if ((region.prot & prot) === 0) {
        throw fault(at, bytes - done, prot === DMA_FLAG.READ ? "not readable" : "read-only");
      }
      const left = region.iova + region.size - at;
      const count = left < BigInt(bytes - done) ? Number(left) : bytes - done;
      pieces.push({ region, at, count });
      done += count;
    }
    return pieces;
  }

  #regionOf(at: bigint): Region | undefined {
    let low = 0;
    let high = this.#regions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { iova, size } = this.#regions[middle] as Region;
      if (iova + size <= at) low = middle + 1;
      else high = middle;
    }
    const region = this.#regions[low];
    return region !== undefined && region.iova <= at ? region : undefined;
  }
}

interface Region extends DmaRegion {
  mapping: RegionMapping | null;
}

interface Piece {
  region: Region;
  at: bigint;
  count: number;
}

/** What is done at once is done when this returns. */
function each(
  pieces: readonly Piece[],
  bytes: Uint8Array,
  act: (region: Region, at: bigint, part: Uint8Array) => Promise<void> | undefined,
): Promise<unknown> | undefined {
  const waits: Promise<void>[] = [];
  let done = 0;
  for (const { region, at, count } of pieces) {
    try {
      const result = act(region, at, bytes.subarray(done, done + count));
      if (result !== undefined) waits.push(result);
    } catch (error) {
      // Not thrown: nobody would then look at those that wait, and a rejection that nobody looks at ends the process.
      waits.push(Promise.reject(error));
      break;
    }
    done += count;
  }
  return waits.length > 0 ? Promise.all(waits) : undefined;
}

function letGo({ mapping, fd }: Region): void {
  mapping?.unmap();
  if (fd >= 0) closeFd(fd);
}

/** Files of huge pages cannot be written by pwrite(2): null, and the client is asked. */
function orMessages(action: () => number): number | null {
  try {
    return action();
  } catch (error) {
    if (error instanceof LinuxError) return null;
    throw error;
  }
}

function fault(at: bigint, bytes: number, why: string): Error {
  return refusal(ERRNO.EFAULT, `DMA of ${bytes} bytes at 0x${at.toString(16)}: ${why}`);
}
