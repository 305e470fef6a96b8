// What the controller needs of the host's memory: copies in and out of it by address. An access that is done when the call
// returns gives undefined; one that takes messages to the host and back gives a promise. guest-memory.ts implements it.

export interface Dma {
  /** Fills `into` from the host's memory. @throws or rejects with DmaError */
  read(address: number, into: Uint8Array): void | Promise<void>;
  /** Copies `from`, which must not change before it is done. @throws or rejects with DmaError */
  write(address: number, from: Uint8Array): void | Promise<void>;
  /** Stores a 32-bit word, at a multiple of 4, which the host sees whole, and after what was written before. */
  publish(address: number, word: number): void | Promise<void>;
  /**
   * The memory itself, to be used in the same turn and not after: null where it is not mapped, not in one piece, or not
   * there, or where the device may not write it (read it).
   */
  view(address: number, bytes: number, forWriting: boolean): Uint8Array | null;
}

/** The same memory, each access to which calls `check` first; it throws DmaError where there is to be none. */
export function guarded(dma: Dma, check: () => void): Dma {
  return {
    read(address, into) {
      check();
      return dma.read(address, into);
    },
    write(address, from) {
      check();
      return dma.write(address, from);
    },
    publish(address, word) {
      check();
      return dma.publish(address, word);
    },
    view(address, bytes, forWriting) {
      check();
      return dma.view(address, bytes, forWriting);
    },
  };
}

/** Memory that is not there, may not be written, or could not be reached. */
export class DmaError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "DmaError";
  }
}
