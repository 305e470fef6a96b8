// A ring of bytes that gives pieces which do not wrap, and takes them back in the order it gave them. Positions count up
// without end; what is skipped at the ring's end is given back with the piece behind it. Used by bounce-tx.ts.

export class ByteRing {
  readonly #bytes: number;
  #from = 0; // oldest byte in use
  #to = 0; // first free byte

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Takes `size` bytes: where they lie, and the position up to which release() gives them back; null when there is no room. */
  take(size: number): { at: number; end: number } | null {
    const left = this.#bytes - (this.#to % this.#bytes);
    const skipped = size > left ? left : 0;
    const end = this.#to + skipped + size;
    if (end - this.#from > this.#bytes) return null;
    const at = (this.#to + skipped) % this.#bytes;
    this.#to = end;
    return { at, end };
  }

  /** Gives back everything up to the end of a piece. */
  release(end: number): void {
    this.#from = end;
  }
}
