// Guest memory files in the arena. Maps of one file (st_dev, st_ino) share a window: QEMU remaps the same memfd dozens of
// times while a guest boots, and each time the mapping is there already. The whole file is mapped where it fits, else the
// range asked for, else nothing, and then the region is reached by pread and pwrite. A window may allow more than one of
// its regions: the regions' own protection is what every translation checks.
import { LinuxError, mapAnywhere, PROT } from "@emudev/linux";
import type { Arena } from "@emudev/shm";
import { EmuDevError } from "./errors.ts";

/** What of fileStat() is needed here. */
export interface FileIdentity {
  dev: bigint;
  ino: bigint;
  size: bigint;
  blockSize: number;
}

interface Window {
  off: number;
  fileOffset: number;
  bytes: number;
  prot: number;
  users: number;
}

/** A place in the arena where a range of a file is. `release` is called once, when no lcore can touch it. */
export interface Mapping {
  off: number;
  release(): void;
}

const WINDOW_BYTES_MAX = 2 ** 32;
/** By file; not Maps inside, since every client comes with files of its own: see the note in watch.ts of `linux`. */
const windowsOf = new WeakMap<Arena, Record<string, Window[]>>();

/**
 * Finds or makes a mapping of a range that lies inside the file.
 * @param prot PROT_* the region needs
 * @returns null when there is no room in the arena or the file cannot be mapped at all
 * @throws EmuDevError EACCES when the fd does not allow `prot`
 */
export function mapFile(arena: Arena, fd: number, file: FileIdentity, fileOffset: bigint, size: bigint, prot: number) {
  if (size > BigInt(WINDOW_BYTES_MAX) || fileOffset + size > BigInt(Number.MAX_SAFE_INTEGER)) return null;
  const files = windowsOf.get(arena) ?? (Object.create(null) as Record<string, Window[]>);
  windowsOf.set(arena, files);
  const key = `${file.dev}:${file.ino}`;
  const windows = files[key] ?? [];
  const first = Number(fileOffset);
  const end = first + Number(size);

  let window = windows.find((w) => (w.prot & prot) === prot && w.fileOffset <= first && end <= w.fileOffset + w.bytes);
  if (window !== undefined) mustAllow(fd, prot, file.blockSize);
  else window = makeWindow(arena, fd, file, first, end, prot) ?? undefined;
  if (window === undefined) return null;

  const shared = window;
  if (shared.users++ === 0) {
    windows.push(shared);
    files[key] = windows;
  }
  const release = (): void => {
    if (--shared.users > 0) return;
    windows.splice(windows.indexOf(shared), 1);
    if (windows.length === 0) delete files[key];
    arena.unmapWindow(shared.off);
  };
  return { off: shared.off + (first - shared.fileOffset), release } satisfies Mapping;
}

function makeWindow(
  arena: Arena,
  fd: number,
  file: FileIdentity,
  first: number,
  end: number,
  prot: number,
): Window | null {
  const block = Math.max(file.blockSize, 4096);
  const whole = roundUp(Number(file.size), block);
  const start = first - (first % block);
  return (
    (whole <= WINDOW_BYTES_MAX ? tryWindow(arena, fd, 0, whole, prot) : null) ??
    tryWindow(arena, fd, start, roundUp(end, block) - start, prot)
  );
}

/** A window that can be written if the fd allows it, so that read-only and writable regions of one file share it. */
function tryWindow(arena: Arena, fd: number, fileOffset: number, bytes: number, prot: number): Window | null {
  for (const allow of [PROT.READ | PROT.WRITE, PROT.READ]) {
    try {
      const off = arena.mapWindow(fd, fileOffset, bytes, allow);
      return off === null ? null : { off, fileOffset, bytes, prot: allow, users: 0 };
    } catch (error) {
      if (!(error instanceof LinuxError)) throw error;
      if (!refusesProtection(error)) return null;
      if (prot & PROT.WRITE) throw denied(fd, error);
    }
  }
  return null;
}

/** A window made through another fd of the same file says nothing of what this fd allows. */
function mustAllow(fd: number, prot: number, blockSize: number): void {
  try {
    mapAnywhere(Math.max(blockSize, 4096), prot, fd, 0).unmap();
  } catch (error) {
    if (error instanceof LinuxError && refusesProtection(error)) throw denied(fd, error);
  }
}

const refusesProtection = (error: LinuxError): boolean => error.code === "EACCES" || error.code === "EPERM";
const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step;

function denied(fd: number, cause: LinuxError): EmuDevError {
  return new EmuDevError("EACCES", `memory map: fd ${fd} does not allow the protection asked for (${cause.code})`, {
    cause,
  });
}
