// The client's memory as the controller reaches it: by pread and pwrite on the file that a region came with, which needs no
// mapping and cannot fault, or by DMA messages where it came without one. Accesses may run over several neighbouring
// regions. device.ts tells of regions that come and go; file descriptors are closed here.
import { closeFd, pread, pwrite } from "@emudev/linux";
import { DMA_FLAG, type DmaRegion } from "@emudev/vfio-user";
import { type Dma, DmaError } from "./dma.ts";

/** Access by messages to the client (VfioUserServer has these). */
export interface Messages {
  dmaRead(iova: bigint, bytes: number): Promise<Uint8Array>;
  dmaWrite(iova: bigint, data: Uint8Array): Promise<void>;
}

interface Region {
  start: number;
  end: number;
  prot: number;
  /** -1: messages. */
  fd: number;
  fileOffset: number;
}

export class GuestMemory implements Dma {
  /** Sorted by address; they do not overlap. */
  #regions: Region[] = [];
  readonly #messages: Messages;

  constructor(messages: Messages) {
    this.#messages = messages;
  }

  /** Takes over the region's fd. */
  map({ iova, size, prot, fd, fileOffset }: DmaRegion): void {
    const [start, end] = [Number(iova), Number(iova + size)];
    if (end > Number.MAX_SAFE_INTEGER || fileOffset > Number.MAX_SAFE_INTEGER) {
      if (fd >= 0) closeFd(fd); // no machine has memory there
      return;
    }
    this.#regions.push({ start, end, prot, fd, fileOffset: Number(fileOffset) });
    this.#regions.sort((a, b) => a.start - b.start);
  }

  unmap(iova: bigint): void {
    const at = this.#regions.findIndex(({ start }) => start === Number(iova));
    for (const { fd } of at < 0 ? [] : this.#regions.splice(at, 1)) if (fd >= 0) closeFd(fd);
  }

  unmapAll(): void {
    for (const { fd } of this.#regions.splice(0)) if (fd >= 0) closeFd(fd);
  }

  read(address: number, into: Uint8Array): void | Promise<void> {
    const region = this.#find(address, into.length, DMA_FLAG.READ);
    if (address + into.length > region.end) return this.#parts(address, into, DMA_FLAG.READ);
    if (region.fd < 0) return this.#ask(this.#messages.dmaRead(BigInt(address), into.length).then((d) => into.set(d)));
    const count = pread(region.fd, into, region.fileOffset + address - region.start);
    if (count < into.length) throw new DmaError(`the file behind 0x${address.toString(16)} has been cut`);
  }

  write(address: number, from: Uint8Array): void | Promise<void> {
    const region = this.#find(address, from.length, DMA_FLAG.WRITE);
    if (address + from.length > region.end) return this.#parts(address, from, DMA_FLAG.WRITE);
    if (region.fd < 0) return this.#ask(this.#messages.dmaWrite(BigInt(address), from));
    pwrite(region.fd, from, region.fileOffset + address - region.start);
  }

  /** An access that runs over the end of its first region. */
  async #parts(address: number, data: Uint8Array, prot: number): Promise<void> {
    for (let at = 0; at < data.length; ) {
      const room = this.#find(address + at, 1, prot).end - address - at;
      const part = data.subarray(at, at + room);
      await (prot === DMA_FLAG.READ ? this.read(address + at, part) : this.write(address + at, part));
      at += part.length;
    }
  }

  async #ask(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      throw new DmaError(`the client did not serve it: ${(error as Error).message}`, { cause: error });
    }
  }

  /** The region of the first byte. */
  #find(address: number, bytes: number, prot: number): Region {
    let [low, high] = [0, this.#regions.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#regions[middle] as Region).end <= address) low = middle + 1;
      else high = middle;
    }
    const region = this.#regions[low];
    if (region === undefined || address < region.start || (region.prot & prot) === 0)
      throw new DmaError(`no memory for ${bytes} bytes at 0x${address.toString(16)}`);
    return region;
  }
}
