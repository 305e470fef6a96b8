// A BAR as a row of windows: memory that is mapped, the MSI-X table and its pending bits, and the device's own handlers
// where nothing else lies. An access that runs over several windows comes to each with its part. Used by device.ts.

import type { BarDeclaration } from "./spec.ts";

type Result = void | Promise<void>;

/** Offsets of `read` and `write` are from the start of the BAR. */
export interface Window {
  from: number;
  to: number;
  read(offset: number, into: Uint8Array): Result;
  write(offset: number, data: Uint8Array, posted: boolean): Result;
}

export class Bar {
  readonly size: number;
  #windows: Window[];

  /** `windows` do not overlap; what they leave free is `rest`. */
  constructor(size: number, windows: readonly Window[], rest: Pick<Window, "read" | "write">) {
    this.size = size;
    this.#windows = [];
    let end = 0;
    for (const window of [...windows].sort((a, b) => a.from - b.from)) {
      if (window.from > end) this.#windows.push({ ...rest, from: end, to: window.from });
      this.#windows.push(window);
      end = window.to;
    }
    if (end < size) this.#windows.push({ ...rest, from: end, to: size });
  }

  read(offset: number, into: Uint8Array): Result {
    return this.#each(offset, into, (window, at, part) => window.read(at, part));
  }

  write(offset: number, data: Uint8Array, posted: boolean): Result {
    return this.#each(offset, data, (window, at, part) => window.write(at, part, posted));
  }

  #each(offset: number, bytes: Uint8Array, act: (window: Window, at: number, part: Uint8Array) => Result): Result {
    let at = offset;
    const end = offset + bytes.length;
    while (at < end) {
      const window = this.#windows.find(({ to }) => to > at) as Window;
      const next = Math.min(window.to, end);
      const result = act(window, at, bytes.subarray(at - offset, next - offset));
      if (result instanceof Promise) {
        return result.then(() => this.#each(next, bytes.subarray(next - offset), act));
      }
      at = next;
    }
  }
}

/** The handlers that a device has declared. */
export function handlers(bar: BarDeclaration): Pick<Window, "read" | "write"> {
  const { registers } = bar;
  const read = registers === undefined ? bar.read?.bind(bar) : registers.read.bind(registers);
  const write = registers === undefined ? bar.write?.bind(bar) : registers.write.bind(registers);
  const widest = bar.access ?? 4;
  return {
    read(offset, into) {
      if (bar.readBytes !== undefined) return bar.readBytes(offset, into);
      if (read === undefined) return;
      for (let at = 0; at < into.length; ) {
        const bytes = pieceOf(offset + at, into.length - at, widest);
        let value = read(offset + at, bytes);
        for (let i = 0; i < bytes; i++, value >>>= 8) into[at + i] = value;
        at += bytes;
      }
    },
    write(offset, data, posted) {
      if (bar.writeBytes !== undefined) return bar.writeBytes(offset, data, posted);
      return write === undefined ? undefined : inPieces(offset, data, widest, write);
    },
  };
}

function inPieces(
  offset: number,
  data: Uint8Array,
  widest: number,
  write: (offset: number, value: number, bytes: number) => Result,
): Result {
  for (let at = 0; at < data.length; ) {
    const bytes = pieceOf(offset + at, data.length - at, widest);
    let value = 0;
    for (let i = bytes - 1; i >= 0; i--) value = value * 256 + (data[at + i] as number);
    const result = write(offset + at, value, bytes);
    at += bytes;
    if (result instanceof Promise) {
      return result.then(() => inPieces(offset + at, data.subarray(at), widest, write));
    }
  }
}

/** The widest aligned access at `offset` that `rest` bytes allow. */
function pieceOf(offset: number, rest: number, widest: number): number {
  let bytes = widest;
  while (bytes > 1 && (offset % bytes !== 0 || bytes > rest)) bytes /= 2;
  return bytes;
}
