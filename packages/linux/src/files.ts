// Calls on any fd: duplicate, close, read, write, stat, and how many fds and mappings the process has. Reads and writes
// expect an fd that does not block; `setNonBlocking` makes it so, for fds that came from somebody else.
import { fstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { ERRNO, LinuxError } from "./errors.ts";
import { check, close, errno, fcntl, flock, pread64, pwrite64, read, write } from "./libc.ts";

const F_DUPFD_CLOEXEC = 1030;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const LOCK_EX = 2;
const LOCK_NB = 4;

export type FileType = "file" | "socket" | "fifo" | "directory" | "char" | "block" | "other";

/** What fstat(2) says of an fd. `size` is 0 for what has none, `blockSize` is the page size of a hugetlb file. */
export interface FileStat {
  dev: bigint;
  ino: bigint;
  size: bigint;
  blockSize: number;
  type: FileType;
}

/** Closes an fd. @throws LinuxError EBADF when it is not open: somebody closed it twice, a bug worth hearing of */
export function closeFd(fd: number): void {
  if (close(fd) === 0) return;
  const error = errno();
  // Linux has released the number even when close was interrupted (close(2)).
  if (error !== ERRNO.EINTR) throw new LinuxError(error, "close", fd);
}

/** Another number for the same open file, close-on-exec; the caller owns it. */
export function dupFd(fd: number): number {
  return check(fcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl F_DUPFD_CLOEXEC", fd);
}

/** Makes reads and writes of an fd return instead of waiting. The flag is the open file's, so a peer sees it. */
export function setNonBlocking(fd: number): void {
  const flags = check(fcntl(fd, F_GETFL, 0), "fcntl F_GETFL", fd);
  if ((flags & O_NONBLOCK) === 0) check(fcntl(fd, F_SETFL, flags | O_NONBLOCK), "fcntl F_SETFL", fd);
}

/** Reads up to `length` bytes into `buffer` at `offset`. @returns bytes, 0 at the end, -1 when it would have to wait */
export function readInto(fd: number, buffer: Uint8Array, offset: number, length: number): number {
  const count = read(fd, part(buffer, offset, length, "read", fd), length);
  return count >= 0 ? count : wouldBlock("read", fd);
}

/** Writes `length` bytes of `buffer` at `offset`. @returns bytes taken, -1 when it would have to wait */
export function writeFrom(fd: number, buffer: Uint8Array, offset: number, length: number): number {
  const count = write(fd, part(buffer, offset, length, "write", fd), length);
  return count >= 0 ? count : wouldBlock("write", fd);
}

/** Reads from a place in a file (pread(2)). @returns bytes read, fewer than `into` holds only at the end of the file */
export function pread(fd: number, into: Uint8Array, fileOffset: number | bigint): number {
  let done = 0;
  while (done < into.length) {
    const rest = done === 0 ? into : into.subarray(done);
    const count = check(pread64(fd, rest, rest.length, advance(fileOffset, done)), "pread", fd);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** Writes to a place in a file (pwrite(2)). @returns bytes written, which is all of them unless the file is full */
export function pwrite(fd: number, from: Uint8Array, fileOffset: number | bigint): number {
  let done = 0;
  while (done < from.length) {
    const rest = done === 0 ? from : from.subarray(done);
    const count = check(pwrite64(fd, rest, rest.length, advance(fileOffset, done)), "pwrite", fd);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** Identity, size and kind of an open file. @throws LinuxError EBADF */
export function fileStat(fd: number): FileStat {
  let stat: import("node:fs").BigIntStats;
  try {
    stat = fstatSync(fd, { bigint: true });
  } catch (error) {
    throw fromNode(error, "fstat", fd);
  }
  let type: FileType = "other";
  if (stat.isFile()) type = "file";
  else if (stat.isSocket()) type = "socket";
  else if (stat.isFIFO()) type = "fifo";
  else if (stat.isDirectory()) type = "directory";
  else if (stat.isCharacterDevice()) type = "char";
  else if (stat.isBlockDevice()) type = "block";
  return { dev: stat.dev, ino: stat.ino, size: stat.size, blockSize: Number(stat.blksize), type };
}

/** Takes the open file's exclusive lock (flock(2)), which ends with its last fd. @returns false when somebody else has it */
export function lockFile(fd: number): boolean {
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const error = errno();
  if (error === ERRNO.EAGAIN) return false;
  throw new LinuxError(error, "flock", fd);
}

/** What an fd is, as /proc names it: a path, "socket:[1234]", "anon_inode:[eventfd]". @throws LinuxError EBADF */
export function fdName(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    throw new LinuxError(ERRNO.EBADF, "readlink", fd);
  }
}

/** Open fds of this process, to show that none leak. */
export function fdCount(): number {
  return readdirSync("/proc/self/fd").length - 1; // the one that reads the folder
}

/** Memory mappings of this process; the kernel allows 65,530 unless vm.max_map_count says otherwise. */
export function mappingCount(): number {
  const text = readFileSync("/proc/self/maps", "latin1");
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
}

/** The LinuxError for a failure that Node reports in its own form. */
export function fromNode(error: unknown, syscall: string, target: string | number): LinuxError {
  const { errno: value = -ERRNO.EIO } = error as NodeJS.ErrnoException;
  return new LinuxError(Math.abs(value), syscall, target);
}

function advance(offset: number | bigint, by: number): number | bigint {
  return typeof offset === "bigint" ? offset + BigInt(by) : offset + by;
}

function part(buffer: Uint8Array, offset: number, length: number, syscall: string, fd: number): Uint8Array {
  if (!(offset >= 0 && length >= 0 && offset + length <= buffer.length)) {
    const hint = `bytes ${offset}..${offset + length} of a buffer of ${buffer.length}`;
    throw new LinuxError(ERRNO.EFAULT, syscall, fd, hint);
  }
  return offset === 0 ? buffer : buffer.subarray(offset, offset + length);
}

function wouldBlock(syscall: string, fd: number): -1 {
  const error = errno();
  if (error === ERRNO.EAGAIN || error === ERRNO.EINTR) return -1;
  throw new LinuxError(error, syscall, fd);
}
