// Memory that is shared by file descriptor: memfd_create(2), seals (fcntl(2)), and mmap(2) in its two forms, over a
// part of the arena at an absolute address, and anywhere outside it. Addresses are plain numbers (user space ends at
// 2^47). The arena of `shm` and the memory tables of devices are built on these.
import { ERRNO, LinuxError } from "./errors.ts";
import {
  address,
  check,
  close,
  errno,
  fcntl,
  ftruncate64,
  madvise,
  memfd_create,
  mmap64,
  munmap,
  viewOf,
} from "./libc.ts";

/** Protection of a mapping (mmap(2)); a store to memory mapped without WRITE kills the process. */
export const PROT = { NONE: 0, READ: 1, WRITE: 2 } as const;
/** What a sealed file refuses from then on (fcntl(2), F_ADD_SEALS): more seals, less size, more size, writes. */
export const SEAL = { SEAL: 1, SHRINK: 2, GROW: 4, WRITE: 8 } as const;

const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const MFD_HUGETLB = 4;
const MADV_HUGEPAGE = 14;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;

/** A mapping outside the arena. `buffer` dangles after `unmap`: whoever unmaps must have dropped every view of it. */
export interface Mapping {
  address: number;
  bytes: number;
  buffer: ArrayBuffer;
  unmap(): void;
}

/**
 * Makes a file without a name in memory, zeroed and sparse.
 * @param opts.seals may be sealed later (default true); opts.hugetlb is made of huge pages of the default size
 * @returns its fd, which the caller owns
 */
export function memfdCreate(name: string, bytes: number, opts: { seals?: boolean; hugetlb?: boolean } = {}): number {
  let flags = MFD_CLOEXEC;
  if (opts.seals !== false) flags |= MFD_ALLOW_SEALING;
  if (opts.hugetlb === true) flags |= MFD_HUGETLB;
  const fd = check(memfd_create(name, flags), "memfd_create", name);
  if (ftruncate64(fd, bytes) < 0) {
    const error = errno();
    close(fd);
    throw new LinuxError(error, "ftruncate", name, `to ${bytes} bytes`);
  }
  return fd;
}

/** Adds seals. @throws LinuxError EPERM when the file was made without leave to be sealed, or is sealed against it */
export function addSeals(fd: number, seals: number): void {
  check(fcntl(fd, F_ADD_SEALS, seals), "fcntl F_ADD_SEALS", fd);
}

/**
 * The seals of a file, or -1 where the file can carry none (not a memfd, a socket, ...). Every bit of -1 is set, so
 * compare with it before looking at one: a file that cannot be sealed can always be cut.
 * @throws LinuxError EBADF
 */
export function getSeals(fd: number): number {
  const seals = fcntl(fd, F_GET_SEALS, 0);
  if (seals >= 0) return seals;
  const error = errno();
  if (error === ERRNO.EINVAL) return -1;
  throw new LinuxError(error, "fcntl F_GET_SEALS", fd);
}

/**
 * Maps a file over `bytes` bytes at an absolute address, in place of what is there. `address` must be one that the
 * caller owns (within the arena) and, like `fileOffset`, a multiple of the file's block size.
 * @throws LinuxError ENOMEM too many mappings, EINVAL not aligned, EACCES the fd does not allow `prot`
 */
export function mapShared(address: number, bytes: number, prot: number, fd: number, fileOffset: number | bigint): void {
  if (!(address > 0 && bytes > 0)) throw new LinuxError(ERRNO.EINVAL, "mmap", fd, `${bytes} bytes at ${address}`);
  const at = mmap64(address, bytes, prot, MAP_SHARED | MAP_FIXED, fd, fileOffset);
  if (at === -1) throw mapFailed(bytes, fd, fileOffset);
}

/** Puts private zero memory over `bytes` bytes at an address: what unmapping is in the arena, which must stay whole. */
export function mapNothing(address: number, bytes: number): void {
  const flags = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE;
  if (!(address > 0 && bytes > 0)) throw new LinuxError(ERRNO.EINVAL, "mmap", "anonymous", `${bytes} bytes`);
  if (mmap64(address, bytes, PROT.READ | PROT.WRITE, flags, -1, 0) === -1) {
    throw new LinuxError(errno(), "mmap", "anonymous", `${bytes} bytes at 0x${address.toString(16)}`);
  }
}

/**
 * Asks for huge pages in a mapping (madvise(2), MADV_HUGEPAGE). Whether there will be any is up to the kernel: for memfds to
 * /sys/kernel/mm/transparent_hugepage/shmem_enabled, which is "never" unless the system's owner says "advise".
 */
export function adviseHugePages(address: number, bytes: number): void {
  madvise(address, bytes, MADV_HUGEPAGE); // EINVAL: a kernel without them
}

/** Maps a file where the kernel likes, outside the arena. Nothing unmaps it but the `unmap` of the result, once. */
export function mapAnywhere(bytes: number, prot: number, fd: number, fileOffset: number | bigint): Mapping {
  const at = mmap64(0, bytes, prot, MAP_SHARED, fd, fileOffset);
  if (at === -1) throw mapFailed(bytes, fd, fileOffset);
  let mapped = true;
  const unmap = (): void => {
    if (!mapped) return;
    mapped = false;
    check(munmap(at, bytes), "munmap", `${bytes} bytes of fd ${fd}`);
  };
  return { address: at, bytes, buffer: viewOf(at, bytes), unmap };
}

/** Absolute address of a view's first byte. It holds for as long as the view's buffer lives and is not resized. */
export function addressOf(view: Uint8Array): number {
  return address(view);
}

function mapFailed(bytes: number, fd: number, fileOffset: number | bigint): LinuxError {
  const error = errno();
  const more = error === ERRNO.ENOMEM ? " (out of memory, of huge pages, or of vm.max_map_count)" : "";
  return new LinuxError(error, "mmap", fd, `${bytes} bytes from file offset ${fileOffset}${more}`);
}
