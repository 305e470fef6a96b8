// Where a namespace's blocks are kept, and the kind that keeps them in memory: pieces of 64 KiB, each there from its first
// write on, so that an empty disk of any size costs nothing. Contents last as long as the process, whatever clients come and
// go. file-store.ts is the other kind.

export interface Store {
  readonly bytes: number;
  /** Discarded bytes read as zero; otherwise they may keep their value. */
  readonly discardZeroes: boolean;
  /** Offsets and lengths lie inside the store. Failures of the medium throw. */
  read(offset: number, into: Uint8Array): void;
  write(offset: number, from: Uint8Array): void;
  zero(offset: number, bytes: number): void | Promise<void>;
  discard(offset: number, bytes: number): void;
  /** Resolves when all that was written is safe from a loss of power, as far as the medium can be. */
  flush(): void | Promise<void>;
  close(): void;
}

const PIECE = 64 << 10;

export class MemoryStore implements Store {
  readonly bytes: number;
  readonly discardZeroes = true;
  readonly #pieces: (Uint8Array | undefined)[];

  constructor(bytes: number) {
    this.bytes = bytes;
    this.#pieces = new Array(Math.ceil(bytes / PIECE));
  }

  /** Bytes that are there. */
  get resident(): number {
    return this.#pieces.reduce((sum, piece) => sum + (piece?.length ?? 0), 0);
  }

  read(offset: number, into: Uint8Array): void {
    this.#each(offset, into.length, (index, from, to, at) => {
      const piece = this.#pieces[index];
      if (piece === undefined) into.fill(0, at, at + to - from);
      else into.set(piece.subarray(from, to), at);
    });
  }

  write(offset: number, from: Uint8Array): void {
    this.#each(offset, from.length, (index, start, end, at) => {
      const piece = this.#pieces[index] ?? new Uint8Array(PIECE);
      this.#pieces[index] = piece;
      piece.set(from.subarray(at, at + end - start), start);
    });
  }

  zero(offset: number, bytes: number): void {
    this.#each(offset, bytes, (index, from, to) => {
      if (to - from === PIECE) this.#pieces[index] = undefined;
      else this.#pieces[index]?.fill(0, from, to);
    });
  }

  discard(offset: number, bytes: number): void {
    this.zero(offset, bytes);
  }

  flush(): void {}

  close(): void {
    this.#pieces.fill(undefined);
  }

  /** Calls `visit` for each piece of a range: its index, the range in it, and where in the whole that begins. */
  #each(offset: number, bytes: number, visit: (index: number, from: number, to: number, at: number) => void): void {
    for (let at = 0; at < bytes; ) {
      const index = Math.floor((offset + at) / PIECE);
      const from = (offset + at) % PIECE;
      const to = Math.min(PIECE, from + bytes - at);
      visit(index, from, to, at);
      at += to - from;
    }
  }
}
