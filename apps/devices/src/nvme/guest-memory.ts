// The client's memory as the controller reaches it. A region is mapped when its file is sealed against shrinking, or lets
// itself be, so that touching it can never fault (QEMU's memory-backend-memfd is). Other files are read and written by
// pread and pwrite; regions without a file, and huge pages that cannot be mapped, by messages to the client. device.ts tells
// of regions that come and go; file descriptors are closed here.
import {
  addSeals,
  closeFd,
  fileStat,
  getSeals,
  LinuxError,
  type Mapping,
  mapAnywhere,
  pread,
  pwrite,
  SEAL,
} from "@emudev/linux";
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
  mapping: Mapping | null;
  /** The mapped region, byte by byte. */
  bytes: Uint8Array | null;
}

/** A view may not be larger; what is goes by pread and pwrite. */
const MAX_MAPPED = 2 ** 31;
/** Files with larger blocks are of huge pages, which cannot be written but through a mapping. */
const MAX_BLOCK = 64 << 10;

export class GuestMemory implements Dma {
  /** Sorted by address; they do not overlap. */
  #regions: Region[] = [];
  readonly #messages: Messages;

  constructor(messages: Messages) {
    this.#messages = messages;
  }

  /** Takes over the region's fd. */
  map({ iova, size, prot, fd, fileOffset, mode }: DmaRegion): void {
    const [start, end] = [Number(iova), Number(iova + size)];
    if (end > Number.MAX_SAFE_INTEGER || fileOffset > Number.MAX_SAFE_INTEGER) {
      if (fd >= 0) closeFd(fd); // no machine has memory there
      return;
    }
    const region: Region = { start, end, prot, fd, fileOffset: Number(fileOffset), mapping: null, bytes: null };
    if (fd >= 0 && mode !== "file") mapRegion(region);
    this.#regions.push(region);
    this.#regions.sort((a, b) => a.start - b.start);
  }

  unmap(iova: bigint): void {
    const at = this.#regions.findIndex(({ start }) => start === Number(iova));
    if (at >= 0) for (const region of this.#regions.splice(at, 1)) letGo(region);
  }

  unmapAll(): void {
    for (const region of this.#regions.splice(0)) letGo(region);
  }

  view(address: number, bytes: number, forWriting: boolean): Uint8Array | null {
    const region = this.#lookUp(address);
    const allowed = region !== undefined && (region.prot & (forWriting ? DMA_FLAG.WRITE : DMA_FLAG.READ)) !== 0;
    if (!allowed || region.bytes === null || address + bytes > region.end) return null;
    return region.bytes.subarray(address - region.start, address - region.start + bytes);
  }

  read(address: number, into: Uint8Array): void | Promise<void> {
    const region = this.#find(address, into.length, DMA_FLAG.READ);
    const at = address - region.start;
    if (address + into.length > region.end) return this.#parts(address, into, DMA_FLAG.READ);
    if (region.bytes !== null) into.set(region.bytes.subarray(at, at + into.length));
    else if (region.fd >= 0) readFile(region.fd, into, region.fileOffset + at);
    else return this.#ask(this.#messages.dmaRead(BigInt(address), into.length).then((data) => into.set(data)));
  }

  write(address: number, from: Uint8Array): void | Promise<void> {
    const region = this.#find(address, from.length, DMA_FLAG.WRITE);
    const at = address - region.start;
    if (address + from.length > region.end) return this.#parts(address, from, DMA_FLAG.WRITE);
    if (region.bytes !== null) region.bytes.set(from, at);
    else if (region.fd >= 0) writeFile(region.fd, from, region.fileOffset + at);
    else return this.#ask(this.#messages.dmaWrite(BigInt(address), from));
  }

  publish(address: number, word: number): void | Promise<void> {
    const view = this.view(address, 4, true);
    if (view !== null && view.byteOffset % 4 === 0) {
      Atomics.store(new Int32Array(view.buffer, view.byteOffset, 1), 0, word);
      return;
    }
    // a file or a message is written after those before it; a torn word is no harm where one bit of it changes
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, word, true);
    return this.write(address, bytes);
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
    const region = this.#lookUp(address);
    if (region === undefined || (region.prot & prot) === 0)
      throw new DmaError(`no memory for ${bytes} bytes at 0x${address.toString(16)}`);
    return region;
  }

  #lookUp(address: number): Region | undefined {
    let [low, high] = [0, this.#regions.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#regions[middle] as Region).end <= address) low = middle + 1;
      else high = middle;
    }
    const region = this.#regions[low];
    return region !== undefined && address >= region.start ? region : undefined;
  }
}

/** Maps the region if that is safe; what it is given up for is huge pages, which then take messages. */
function mapRegion(region: Region): void {
  const { fd, fileOffset, start, end, prot } = region;
  const { blockSize } = fileStat(fd);
  const skip = fileOffset % blockSize;
  const bytes = Math.ceil((skip + end - start) / blockSize) * blockSize;
  try {
    if (bytes <= MAX_MAPPED && cannotShrink(fd)) {
      region.mapping = mapAnywhere(bytes, prot, fd, fileOffset - skip);
      region.bytes = new Uint8Array(region.mapping.buffer, skip, end - start);
    }
  } catch (error) {
    if (!(error instanceof LinuxError)) throw error;
  }
  if (region.mapping === null && blockSize > MAX_BLOCK) {
    closeFd(fd);
    region.fd = -1;
  }
}

function cannotShrink(fd: number): boolean {
  const seals = getSeals(fd);
  if (seals === -1) return false;
  if ((seals & SEAL.SHRINK) === 0) addSeals(fd, SEAL.SHRINK);
  return true;
}

function letGo(region: Region): void {
  region.bytes = null;
  region.mapping?.unmap();
  if (region.fd >= 0) closeFd(region.fd);
}

function readFile(fd: number, into: Uint8Array, offset: number): void {
  if (file(() => pread(fd, into, offset)) < into.length) throw new DmaError("the client has cut its memory's file");
}

function writeFile(fd: number, from: Uint8Array, offset: number): void {
  if (file(() => pwrite(fd, from, offset)) < from.length) throw new DmaError("the client's memory file is full");
}

function file(access: () => number): number {
  try {
    return access();
  } catch (error) {
    throw new DmaError(`the client's memory file: ${(error as Error).message}`, { cause: error });
  }
}
