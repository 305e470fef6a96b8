// DMA_MAP (2), client to server: one region of the client's memory becomes reachable for the device. With the message
// comes one fd to map, or none, which leaves DMA_READ and DMA_WRITE. The success reply has no payload.

import { DMA_FLAG } from "./constants.ts";

export const SIZE = 32;

export interface DmaMap {
  argsz: number;
  /** DMA_FLAG bits. */
  flags: number;
  fileOffset: bigint;
  iova: bigint;
  size: bigint;
}

export function encodeInto(view: DataView, offset: number, msg: DmaMap): number {
  view.setUint32(offset, msg.argsz, true);
  view.setUint32(offset + 4, msg.flags, true);
  view.setBigUint64(offset + 8, msg.fileOffset, true);
  view.setBigUint64(offset + 16, msg.iova, true);
  view.setBigUint64(offset + 24, msg.size, true);
  return SIZE;
}

export function decode(view: DataView, offset: number, length: number): DmaMap | null {
  if (length < SIZE) return null;
  return {
    argsz: view.getUint32(offset, true),
    flags: view.getUint32(offset + 4, true),
    fileOffset: view.getBigUint64(offset + 8, true),
    iova: view.getBigUint64(offset + 16, true),
    size: view.getBigUint64(offset + 24, true),
  };
}

export function invalid(msg: DmaMap): string | null {
  if (msg.argsz < SIZE) return `argsz ${msg.argsz} is smaller than ${SIZE}`;
  if (msg.flags & ~(DMA_FLAG.READ | DMA_FLAG.WRITE)) return `unknown flags 0x${msg.flags.toString(16)}`;
  if (msg.size === 0n) return "the region is empty";
  if (msg.iova + msg.size > 1n << 64n) return "the region goes beyond the address space";
  if (msg.fileOffset + msg.size > 1n << 63n) return "the region goes beyond any file";
  return null;
}
