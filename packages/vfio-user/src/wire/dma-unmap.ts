// DMA_UNMAP (3), client to server: the region named exactly as it was mapped goes, or with UNMAP_FLAG.ALL (in QEMU and
// libvfio-user, not in the specification's text) every region. The reply echoes the 24 bytes. With GET_DIRTY_BITMAP,
// which is left of the first migration protocol, the request goes on with page size and bytes of a bitmap, and the reply
// with these and the bitmap.

import { UNMAP_FLAG } from "./constants.ts";
import { bitmapBytes, invalidReport } from "./dma-logging.ts";

export const SIZE = 24;
export const BITMAP_SIZE = 16;
const ARGSZ_MAX = 1 << 20;

export interface DmaUnmap {
  argsz: number;
  flags: number;
  iova: bigint;
  size: bigint;
}

export function encodeInto(view: DataView, offset: number, msg: DmaUnmap): number {
  view.setUint32(offset, msg.argsz, true);
  view.setUint32(offset + 4, msg.flags, true);
  view.setBigUint64(offset + 8, msg.iova, true);
  view.setBigUint64(offset + 16, msg.size, true);
  return SIZE;
}

export function decode(view: DataView, offset: number, length: number): DmaUnmap | null {
  if (length < SIZE) return null;
  return {
    argsz: view.getUint32(offset, true),
    flags: view.getUint32(offset + 4, true),
    iova: view.getBigUint64(offset + 8, true),
    size: view.getBigUint64(offset + 16, true),
  };
}

export function invalid(msg: DmaUnmap): string | null {
  if (msg.argsz < SIZE || msg.argsz > ARGSZ_MAX) return `argsz ${msg.argsz} is not in ${SIZE}..${ARGSZ_MAX}`;
  const both = UNMAP_FLAG.GET_DIRTY_BITMAP | UNMAP_FLAG.ALL;
  if (msg.flags & ~both || msg.flags === both) return `flags 0x${msg.flags.toString(16)}`;
  if (msg.flags & UNMAP_FLAG.ALL && (msg.iova !== 0n || msg.size !== 0n))
    return "unmap all takes no address and no size";
  return null;
}

/** What follows the fixed part with GET_DIRTY_BITMAP. */
export interface Bitmap {
  pageSize: bigint;
  /** Bytes. */
  size: bigint;
}

export function encodeBitmapInto(view: DataView, offset: number, msg: Bitmap): number {
  view.setBigUint64(offset, msg.pageSize, true);
  view.setBigUint64(offset + 8, msg.size, true);
  return BITMAP_SIZE;
}

export function decodeBitmap(view: DataView, offset: number, length: number): Bitmap | null {
  if (length < BITMAP_SIZE) return null;
  return { pageSize: view.getBigUint64(offset, true), size: view.getBigUint64(offset + 8, true) };
}

export function invalidBitmap(bitmap: Bitmap, { argsz, iova, size }: DmaUnmap): string | null {
  const fault = invalidReport({ iova, size, pageSize: bitmap.pageSize });
  if (fault !== null) return fault;
  const bytes = bitmapBytes(size, bitmap.pageSize);
  if (bitmap.size !== bytes) return `a bitmap of ${bitmap.size} bytes, ${bytes} are needed`;
  return BigInt(argsz) < BigInt(SIZE + BITMAP_SIZE) + bytes ? `argsz ${argsz} has no room for the bitmap` : null;
}
