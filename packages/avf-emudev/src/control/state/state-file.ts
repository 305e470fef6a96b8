// The file of `state=`: made when it is not there, locked for as long as a device has it, its positions mapped into the arena so
// that lcores write them without a call. States are written with pwrite and then counted with one store to the mapped page:
// both lie in the page cache from then on, which outlives the process, though not the machine (nothing is synced to disk:
// the guest's memory would not be there either). file-layout.ts says what lies where; keeper.ts says when.
import { closeSync, constants, ftruncateSync, openSync, statSync } from "node:fs";
import { sealPlace } from "@emudev/emudev";
import { fileStat, LinuxError, lockFile, PROT, pread, pwrite } from "@emudev/linux";
import type { Arena } from "@emudev/shm";
import { EmuIavfError, type EmuIavfErrorCode } from "../errors.ts";
import { POSITIONS_BYTES } from "../positions.ts";
import { type AvfState, encodeState } from "./avf-state.ts";
import { FILE_BYTES, NEWEST_AT, newFile, PLACES_AT, readFile, SLOT_BYTES, SLOT_HEAD, slotAt } from "./file-layout.ts";

const MODE = 0o600;
const NUMBERS = 2 ** 32;
const ADVICE = "remove the file, and the device begins as after power-on; or put back a whole one";

export class StateFile {
  readonly path: string;
  /** Arena offset of POSITIONS_BYTES. */
  readonly positionsOff: number;
  /** The state that was found, null = none. */
  readonly found: AvfState | null;
  readonly #arena: Arena;
  readonly #fd: number;
  #newest: number;
  #truncated = false;

  /**
   * Opens or makes the file and takes it for this device alone.
   * @throws EmuIavfError for a file that cannot be used: what is wrong and what to do about it
   */
  static open(path: string, arena: Arena): StateFile {
    const fd = locked(path);
    try {
      return new StateFile(path, arena, fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  private constructor(path: string, arena: Arena, fd: number) {
    this.path = path;
    this.#arena = arena;
    this.#fd = fd;
    const bytes = contents(path, fd);
    const kept = readFile(bytes);
    if ("wrong" in kept) throw refused("STATE_DAMAGED", path, `${kept.wrong}; ${ADVICE}`);
    this.found = kept.state;
    this.#newest = kept.newest;
    const off = arena.mapWindow(fd, PLACES_AT, POSITIONS_BYTES + 8, PROT.READ | PROT.WRITE);
    if (off === null) throw refused("STATE_FILE", path, "there is no room in the arena to map it; map less memory");
    this.positionsOff = off;
  }

  /** A state is kept here. */
  get holds(): boolean {
    return this.#newest !== 0;
  }

  /** Its name is gone, or another file's: what is kept ends with this process. */
  get lost(): boolean {
    try {
      const { ino, dev } = statSync(this.path, { bigint: true });
      const own = fileStat(this.#fd);
      return ino !== own.ino || dev !== own.dev;
    } catch {
      return true;
    }
  }

  /** Whether the positions lay in this part of the arena, whose file was truncated: they are zeros now, and nothing is kept. */
  lostWith(off: number, bytes: number): boolean {
    if (this.positionsOff < off || this.positionsOff >= off + bytes) return false;
    this.#truncated = true;
    this.#newest = 0;
    return true;
  }

  /**
   * Keeps a state instead of the one before.
   * @throws LinuxError, EmuIavfError of a truncated file; then no state is kept, since an old one would be wrong
   */
  save(state: AvfState): void {
    if (this.#isCut())
      throw refused(
        "STATE_DAMAGED",
        this.path,
        "it was truncated while it was in use; remove it before the next start",
      );
    const number = (this.#newest + 1) % NUMBERS || 1;
    const encoded = encodeState(state);
    const bytes = Buffer.allocUnsafe(SLOT_HEAD + encoded.length);
    bytes.writeBigUInt64LE(sealPlace(number), 0);
    bytes.set(encoded, SLOT_HEAD);
    try {
      if (bytes.length > SLOT_BYTES) throw new RangeError(`a state of ${bytes.length} bytes`);
      pwrite(this.#fd, bytes, slotAt(number));
    } catch (error) {
      this.forget();
      throw error;
    }
    this.#count(number);
  }

  /** Keeps nothing: the device is as after power-on. */
  forget(): void {
    this.#count(0);
  }

  /** No lcore may know the positions any longer. */
  close(): void {
    this.#arena.unmapWindow(this.positionsOff);
    closeSync(this.#fd);
  }

  /** What is mapped may lie behind the file's end then, where a store is SIGBUS; what is written would lack its head. */
  #isCut(): boolean {
    this.#truncated ||= fileStat(this.#fd).size < BigInt(FILE_BYTES);
    if (this.#truncated) this.#newest = 0;
    return this.#truncated;
  }

  #count(number: number): void {
    if (this.#isCut()) return;
    this.#newest = number;
    Atomics.store(this.#arena.u64, (this.positionsOff + NEWEST_AT - PLACES_AT) >>> 3, sealPlace(number));
  }
}

/** Opens or makes the file and locks what has the name then. */
function locked(path: string): number {
  for (;;) {
    let fd: number;
    try {
      fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK, MODE);
    } catch (error) {
      const { code = "EIO" } = error as NodeJS.ErrnoException;
      throw refused(
        "STATE_FILE",
        path,
        `it can neither be opened nor made (${code}); see to its folder and rights`,
        error,
      );
    }
    try {
      const own = fileStat(fd);
      if (own.type !== "file") throw refused("STATE_FILE", path, "it is no ordinary file; name another");
      if (!lockFile(fd))
        throw refused("STATE_LOCKED", path, "another device has it; give each device a file of its own");
      const named = statSync(path, { bigint: true, throwIfNoEntry: false });
      if (named?.ino === own.ino && named.dev === own.dev) return fd;
    } catch (error) {
      closeSync(fd);
      throw error instanceof LinuxError
        ? refused("STATE_FILE", path, `it cannot be locked (${error.code})`, error)
        : error;
    }
    closeSync(fd); // removed between the two calls
  }
}

/** All of the file. An empty one, or one whose making did not come to its head, becomes a file without a state. */
function contents(path: string, fd: number): Uint8Array {
  try {
    const size = Number(fileStat(fd).size);
    const bytes = new Uint8Array(Math.min(size, FILE_BYTES + 1));
    pread(fd, bytes, 0);
    const isNew = size === 0 || (size === FILE_BYTES && bytes.every((byte) => byte === 0));
    if (!isNew) return bytes;
    ftruncateSync(fd, FILE_BYTES);
    const fresh = new Uint8Array(FILE_BYTES);
    const head = newFile();
    pwrite(fd, fresh.subarray(head.length), head.length); // its blocks are there from now on
    pwrite(fd, head.subarray(PLACES_AT), PLACES_AT);
    pwrite(fd, head.subarray(0, PLACES_AT), 0);
    fresh.set(head);
    return fresh;
  } catch (error) {
    throw refused("STATE_FILE", path, `it cannot be read and written (${(error as Error).message})`, error);
  }
}

function refused(code: EmuIavfErrorCode, path: string, why: string, cause?: unknown): EmuIavfError {
  return new EmuIavfError(code, `state file ${path}: ${why}`, { cause });
}
