// REGION_WRITE_MULTI (15): several register writes of at most 8 bytes in one message, each in an entry of 24 bytes behind
// a u64 count. The reply is the number of writes that were carried out. Only between peers that have agreed on
// write_multiple.

export const SIZE = 8;
export const ENTRY_SIZE = 24;
/** Bytes of one write. */
export const DATA_MAX = 8;
/** Writes in one message of ours, as QEMU. */
export const WRITES_MAX = 200;

export interface Write {
  offset: bigint;
  region: number;
  count: number;
  /** `count` bytes; a copy. */
  data: Uint8Array;
}

export function encodeInto(view: DataView, offset: number, writes: readonly Write[]): number {
  encodeCountInto(view, offset, writes.length);
  let at = offset + SIZE;
  for (const write of writes) {
    view.setBigUint64(at, write.offset, true);
    view.setUint32(at + 8, write.region, true);
    view.setUint32(at + 12, write.count, true);
    new Uint8Array(view.buffer, view.byteOffset + at + 16, DATA_MAX).set(write.data);
    at += ENTRY_SIZE;
  }
  return at - offset;
}

/** The whole of a reply. */
export function encodeCountInto(view: DataView, offset: number, count: number): number {
  view.setBigUint64(offset, BigInt(count), true);
  return SIZE;
}

export function decodeCount(view: DataView, offset: number, length: number): bigint | null {
  return length < SIZE ? null : view.getBigUint64(offset, true);
}

/**
 * The writes of a request of exactly their size; a string says what is wrong with it.
 * @param max bytes of entries that were agreed on (max_data_xfer_size)
 */
export function decode(view: DataView, offset: number, length: number, max: number): Write[] | string {
  const count = decodeCount(view, offset, length);
  if (count === null) return "the message is cut short";
  if (count * BigInt(ENTRY_SIZE) !== BigInt(length - SIZE)) return `${length} bytes for ${count} writes`;
  if (length - SIZE > max) return `${count} writes are more than ${max} bytes`;
  const writes: Write[] = [];
  for (let at = offset + SIZE; at < offset + length; at += ENTRY_SIZE) {
    const bytes = view.getUint32(at + 12, true);
    if (bytes > DATA_MAX) return `a write of ${bytes} bytes`;
    const from = view.byteOffset + at + 16;
    writes.push({
      offset: view.getBigUint64(at, true),
      region: view.getUint32(at + 8, true),
      count: bytes,
      data: new Uint8Array(view.buffer.slice(from, from + bytes) as ArrayBuffer),
    });
  }
  return writes;
}
