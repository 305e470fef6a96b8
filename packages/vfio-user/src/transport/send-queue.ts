// What a socket would not take at once: the unsent rest of messages, in order, with the fds that still have to travel. Bounded
// in bytes. Used by transport/connection.ts alone.

import { closeFd, dupFd, type SocketMessenger } from "@emudev/linux";
import { protocolError } from "../errors.ts";
import { ERRNO } from "../wire/constants.ts";

interface Chunk {
  bytes: Uint8Array;
  sent: number;
  /** Duplicates, closed once sent: the lender may close its own at any time. */
  fds: number[];
}

export class SendQueue {
  #chunks: Chunk[] = [];
  #bytes = 0;
  #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get empty(): boolean {
    return this.#chunks.length === 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes over `bytes`, duplicates `fds`. Throws when the bound is reached, or no fd can be duplicated. */
  push(bytes: Uint8Array, fds: readonly number[] = []): void {
    if (this.#bytes + bytes.length > this.#maxBytes) {
      throw protocolError(ERRNO.ENOBUFS, `the peer does not read: ${this.#bytes} bytes wait for it`);
    }
    const chunk: Chunk = { bytes, sent: 0, fds: [] };
    this.#chunks.push(chunk);
    this.#bytes += bytes.length;
    for (const fd of fds) chunk.fds.push(dupFd(fd));
  }

  /** Sends until the socket would block or nothing is left. Throws what the socket throws. */
  flush(messenger: SocketMessenger): void {
    for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
      const left = chunk.bytes.length - chunk.sent;
      const sent = messenger.send(chunk.bytes, chunk.sent, left, chunk.fds.length > 0 ? chunk.fds : undefined);
      if (sent <= 0) return;
      for (const fd of chunk.fds) closeFd(fd);
      chunk.fds = [];
      chunk.sent += sent;
      this.#bytes -= sent;
      if (sent < left) return;
      this.#chunks.shift();
    }
  }

  clear(): void {
    for (const chunk of this.#chunks) for (const fd of chunk.fds) closeFd(fd);
    this.#chunks = [];
    this.#bytes = 0;
  }
}
