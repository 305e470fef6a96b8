// What every codec of this package is: a value that knows a message's size, writes it, reads it and judges it. Reading checks
// lengths only (null = truncated, or a count that the bytes do not hold); `invalid` judges the values and says why in words.
// All numbers are little endian; 64-bit ones are bigint.

export interface Codec<T> {
  readonly name: string;
  /** Fewest bytes a decodable message has. */
  readonly minBytes: number;
  /** Bytes that `encodeInto` writes, the extra trailing element of legacy lists included. */
  size(msg: T): number;
  /** Writes `size(msg)` bytes, padding zeroed; returns that number. */
  encodeInto(view: DataView, offset: number, msg: T): number;
  /** Reads a message out of `length` bytes at `offset`; null when they are too few. Bytes beyond the message are ignored. */
  decode(view: DataView, offset: number, length: number): T | null;
  /** Why no device or driver should accept this message, or null. */
  invalid(msg: T): string | null;
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A message as bytes of its own. */
export function encode<T>(codec: Codec<T>, msg: T): Uint8Array {
  const bytes = new Uint8Array(codec.size(msg));
  codec.encodeInto(viewOf(bytes), 0, msg);
  return bytes;
}

/** The message in these bytes, or null when they are too few. */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T | null {
  return codec.decode(viewOf(bytes), 0, bytes.byteLength);
}

/** Writes zeros; codecs call it first, so that padding never carries what a buffer held before. */
export function clear(view: DataView, offset: number, bytes: number): void {
  new Uint8Array(view.buffer, view.byteOffset + offset, bytes).fill(0);
}

/** A copy of bytes behind a view. */
export function takeBytes(view: DataView, offset: number, bytes: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset, bytes).slice();
}

/** Stores bytes behind a view. */
export function putBytes(view: DataView, offset: number, bytes: Uint8Array): void {
  new Uint8Array(view.buffer, view.byteOffset + offset, bytes.byteLength).set(bytes);
}

export const isZeroMac = (mac: Uint8Array): boolean => mac.every((byte) => byte === 0);
export const isMulticastMac = (mac: Uint8Array): boolean => (mac[0] & 1) === 1;
