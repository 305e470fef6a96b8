// REGION_READ (9) and REGION_WRITE (10): a 16-byte head, and the data behind it in write requests and read replies. The
// reply to a write is the head alone. The same head serves both directions.

export const SIZE = 16;

export interface RegionAccess {
  /** From the start of the region. */
  offset: bigint;
  region: number;
  count: number;
}

export function encodeInto(view: DataView, offset: number, msg: RegionAccess): number {
  view.setBigUint64(offset, msg.offset, true);
  view.setUint32(offset + 8, msg.region, true);
  view.setUint32(offset + 12, msg.count, true);
  return SIZE;
}

export function decode(view: DataView, offset: number, length: number): RegionAccess | null {
  if (length < SIZE) return null;
  return {
    offset: view.getBigUint64(offset, true),
    region: view.getUint32(offset + 8, true),
    count: view.getUint32(offset + 12, true),
  };
}

/** `size` is the size of the region that msg names (0 where there is none), `max` the largest count agreed on. */
export function invalid(msg: RegionAccess, size: number, max: number): string | null {
  if (msg.count > max) return `count ${msg.count} is more than ${max}`;
  if (msg.offset + BigInt(msg.count) > BigInt(size)) return `offset ${msg.offset}, count ${msg.count} of ${size} bytes`;
  return null;
}
