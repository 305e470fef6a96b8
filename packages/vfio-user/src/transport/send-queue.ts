// What a socket would not take at once: the unsent rest of messages, in order, with the fds that still have to travel.
// Bounded in bytes. Used by transport/connection.ts alone.

import { closeFd, dupFd, type SocketMessenger } from "@emudev/linux";
import { protocolError } from "../errors.ts";
import { ERRNO } from "../wire/constants.ts";

interface Chunk {
  bytes: Uint8Array;
  sent: number;
  /** Duplicates, closed once sent: the lender may close its own at any time. */
  fds: number[];
}

/** What a queued message costs besides its bytes, roughly. */
const CHUNK_COST = 256;

export class SendQueue {
  #chunks: Chunk[] = [];
  /** First of #chunks that is not sent: shifting a long array each time would be quadratic. */
  #head = 0;
  #bytes = 0;
  #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get empty(): boolean {
    return this.#head === this.#chunks.length;
  }

  /** Held in memory, the bookkeeping of many small messages included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes over `bytes`, duplicates `fds`. Throws when the bound is reached, or no fd can be duplicated. */
  push(bytes: Uint8Array, fds: readonly number[] = []): void {
    if (this.#bytes + bytes.length + CHUNK_COST > this.#maxBytes) {
      throw protocolError(ERRNO.ENOBUFS, `the peer does not read: ${this.#bytes} bytes wait for it`);
    }
    const chunk: Chunk = { bytes, sent: 0, fds: [] };
    this.#chunks.push(chunk);
    this.#bytes += bytes.length + CHUNK_COST;
    for (const fd of fds) chunk.fds.push(dupFd(fd));
  }

  /** Sends until the socket would block or nothing is left. Throws what the socket throws. */
  flush(messenger: SocketMessenger): void {
    for (let chunk = this.#chunks[this.#head]; chunk !== undefined; chunk = this.#chunks[this.#head]) {
      const left = chunk.bytes.length - chunk.sent;
      const sent = messenger.send(chunk.bytes, chunk.sent, left, chunk.fds.length > 0 ? chunk.fds : undefined);
      if (sent <= 0) return;
      for (const fd of chunk.fds) closeFd(fd);
      chunk.fds = [];
      chunk.sent += sent;
      this.#bytes -= sent;
      if (sent < left) return;
      this.#bytes -= CHUNK_COST;
      if (++this.#head * 2 > this.#chunks.length) {
        this.#chunks = this.#chunks.slice(this.#head);
        this.#head = 0;
      }
    }
  }

  clear(): void {
    for (const chunk of this.#chunks) for (const fd of chunk.fds) closeFd(fd);
    this.#chunks = [];
    this.#head = 0;
    this.#bytes = 0;
  }
}
