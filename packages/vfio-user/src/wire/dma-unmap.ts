// DMA_UNMAP (3), client to server: the region named exactly as it was mapped goes, or with UNMAP_FLAG.ALL (in QEMU and
// libvfio-user, not in the specification's text) every region. The reply echoes the 24 bytes. The dirty bitmap flag
// belongs to the retired first migration protocol and is refused.

import { UNMAP_FLAG } from "./constants.ts";

export const SIZE = 24;
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
  if (msg.flags & UNMAP_FLAG.GET_DIRTY_BITMAP) return "dirty bitmaps are not read by DMA_UNMAP";
  if (msg.flags & ~UNMAP_FLAG.ALL) return `unknown flags 0x${msg.flags.toString(16)}`;
  if (msg.flags & UNMAP_FLAG.ALL && (msg.iova !== 0n || msg.size !== 0n))
    return "unmap all takes no address and no size";
  return null;
}
