// One region of guest memory as the control side keeps it, and the checks a map passes before it becomes one: what a
// client may hand over (range, file, size, protection). A region is reached in one of three ways: mapped in the arena, by
// pread and pwrite on its file, or by messages to the client (DmaTransport).
import { addSeals, closeFd, fileStat, LinuxError, SEAL } from "@emudev/linux";
import { ARENA_BYTES, type Arena } from "@emudev/shm";
import { MEM_PROT_READ, MEM_PROT_WRITE } from "../layout/mem-table.ts";
import { EmuDevError } from "./errors.ts";
import { DEMAND_REGION_BYTES } from "./limits.ts";
import { canDemand } from "./mem-demand.ts";
import { type Mapping, mapFile } from "./mem-window.ts";

/** DMA_READ and DMA_WRITE of vfio-user, or what else reaches memory that has no file. */
export interface DmaTransport {
  read(iova: bigint, bytes: number): Promise<Uint8Array>;
  write(iova: bigint, data: Uint8Array): Promise<void>;
}

/** What a client asks to be mapped. */
export interface MemMapRequest {
  iova: bigint;
  size: bigint;
  /** MEM_PROT_* */
  prot: number;
  /** -1 = none; the table owns it from the call on, also when the call fails. */
  fd: number;
  fileOffset: bigint;
  /** "file": never mapped, whatever room there is, but read and written by pread and pwrite. Default: mapped if it can be. */
  mode?: "map" | "file" | "message";
}

export interface MemRegion extends Readonly<MemMapRequest> {
  /** Arena offset of the first byte, 0 = not mapped. */
  readonly off: number;
  /** "dev:ino" of the file, "" without one. */
  readonly file: string;
  readonly remote: DmaTransport | null;
  readonly mapping: Mapping | null;
  /** Windows are mapped into it as they are needed (mem-demand.ts). */
  readonly demand: boolean;
}

const TOP = 1n << 64n;

/**
 * Makes a region of a request, mapping its file if there is room.
 * @param onDemand what finds none gets windows as they are needed
 * @throws EmuDevError EINVAL (range, kind of file, region past its end), EACCES (protection); the fd is closed then
 */
export function makeRegion(
  arena: Arena,
  request: MemMapRequest,
  remote: DmaTransport | null,
  onDemand: boolean,
): MemRegion {
  try {
    const { iova, size, prot, fd, fileOffset } = request;
    const where = `map of ${hex(iova)}+${hex(size)}`;
    if (size <= 0n || iova < 0n || iova + size > TOP)
      throw new EmuDevError("EINVAL", `${where}: not a range of 64 bits`);
    if (prot & ~(MEM_PROT_READ | MEM_PROT_WRITE))
      throw new EmuDevError("EINVAL", `${where}: unknown protection ${prot}`);
    if (fd < 0) return { ...request, off: 0, file: "", remote, mapping: null, demand: false };

    // First, since the client may be cutting the file right now: the size that counts is that which cannot shrink any more.
    sealAgainstShrinking(fd);
    const stat = fileStat(fd);
    if (stat.type !== "file")
      throw new EmuDevError("EINVAL", `${where}: fd is a ${stat.type}; guest memory is a memfd or a regular file`);
    if (fileOffset < 0n || fileOffset + size > stat.size)
      throw new EmuDevError(
        "EINVAL",
        `${where}: ends at ${hex(fileOffset + size)} of a file of ${hex(stat.size)} bytes`,
      );
    const mappable = prot !== 0 && request.mode !== "file";
    const large = onDemand && stat.size > BigInt(ARENA_BYTES - arena.ownBytes) && size > BigInt(DEMAND_REGION_BYTES);
    const mapping = mappable && !large ? mapFile(arena, fd, stat, fileOffset, size, prot) : null;
    const region = {
      ...request,
      off: mapping?.off ?? 0,
      file: `${stat.dev}:${stat.ino}`,
      remote,
      mapping,
      demand: false,
    };
    if (mapping === null) return { ...region, demand: onDemand && mappable && canDemand(fd) };
    closeFd(fd); // the mapping holds the file
    return { ...region, fd: -1 };
  } catch (error) {
    if (request.fd >= 0) closeFd(request.fd);
    throw error;
  }
}

/** Gives a region's mapping and fd back; no lcore may be able to touch it. */
export function releaseRegion(region: MemRegion): void {
  region.mapping?.release();
  if (region.fd >= 0) closeFd(region.fd);
}

/** True when two regions are the same map of the same memory: a client may repeat itself. */
export function sameRegion(a: MemRegion, b: MemRegion): boolean {
  return (
    a.iova === b.iova &&
    a.size === b.size &&
    a.prot === b.prot &&
    a.file === b.file &&
    a.fileOffset === b.fileOffset &&
    (a.mode === "file") === (b.mode === "file")
  );
}

export const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** A client that truncates its file later would kill the process at the next access; most memfds let us forbid it. */
function sealAgainstShrinking(fd: number): void {
  try {
    addSeals(fd, SEAL.SHRINK);
  } catch (error) {
    if (!(error instanceof LinuxError)) throw error; // EPERM, EINVAL: made without sealing, or no memfd
  }
}
