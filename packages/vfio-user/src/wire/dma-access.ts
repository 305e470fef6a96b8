// DMA_READ (11) and DMA_WRITE (12), server to client: address and count as u64 each (early drafts had a u32 count),
// data behind them in write requests and read replies. A reply to DMA_WRITE echoes the head; clients that answer with
// the bare header, or with the 12 bytes of the specification's table, are accepted.

export const SIZE = 16;

export interface DmaAccess {
  iova: bigint;
  count: bigint;
}

export function encodeInto(view: DataView, offset: number, msg: DmaAccess): number {
  view.setBigUint64(offset, msg.iova, true);
  view.setBigUint64(offset + 8, msg.count, true);
  return SIZE;
}

export function decode(view: DataView, offset: number, length: number): DmaAccess | null {
  if (length < SIZE) return null;
  return { iova: view.getBigUint64(offset, true), count: view.getBigUint64(offset + 8, true) };
}

export function invalid(msg: DmaAccess, max: number): string | null {
  if (msg.count > BigInt(max)) return `count ${msg.count} is more than ${max}`;
  if (msg.iova + msg.count > 1n << 64n) return "the access goes beyond the address space";
  return null;
}
