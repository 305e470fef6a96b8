// A namespace kept in a file: what is written outlives the process, and a flush of the guest is fdatasync(2). Reads and
// writes go through the page cache, in the caller's turn; a medium that is slow is waited for.
import { closeSync, constants, fdatasync, fstatSync, ftruncateSync, openSync } from "node:fs";
import { pread, pwrite } from "@emudev/linux";
import type { Store } from "./store.ts";

const ZEROES = new Uint8Array(256 << 10);

export class FileStore implements Store {
  readonly bytes: number;
  readonly discardZeroes = false;
  readonly #fd: number;

  /** Opens `path`, or makes it with `bytes` bytes. An existing file keeps its size, unless it is to be larger. */
  constructor(path: string, bytes: number | undefined) {
    this.#fd = openSync(path, bytes === undefined ? constants.O_RDWR : constants.O_RDWR | constants.O_CREAT, 0o644);
    try {
      const stat = fstatSync(this.#fd);
      if (!stat.isFile()) throw new Error(`${path} is no ordinary file`);
      if (bytes !== undefined && bytes < stat.size)
        throw new Error(`${path} has ${stat.size} bytes, which is more than ${bytes}: it is never cut`);
      this.bytes = bytes ?? stat.size;
      if (this.bytes > stat.size) ftruncateSync(this.#fd, this.bytes);
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  read(offset: number, into: Uint8Array): void {
    // a file that somebody has cut reads as zero beyond its end
    const count = pread(this.#fd, into, offset);
    into.fill(0, count);
  }

  write(offset: number, from: Uint8Array): void {
    if (pwrite(this.#fd, from, offset) < from.length) throw new Error("the file system is full");
  }

  async zero(offset: number, bytes: number): Promise<void> {
    for (let at = 0; at < bytes; at += ZEROES.length) {
      if (at > 0) await new Promise((resolve) => setImmediate(resolve));
      this.write(offset + at, ZEROES.subarray(0, Math.min(ZEROES.length, bytes - at)));
    }
  }

  /** Keeps the blocks: Node cannot punch holes, and a guest does not rely on it. */
  discard(): void {}

  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      fdatasync(this.#fd, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  close(): void {
    closeSync(this.#fd);
  }
}
