// DMA_MAP (2), client to server: one region of the client's memory becomes reachable for the device. With the message
// comes one fd to map, or none, which leaves DMA_READ and DMA_WRITE. The success reply has no payload.

import { DMA_FLAG } from "./constants.ts";

export const SIZE = 32;
export const PROT_MASK = DMA_FLAG.READ | DMA_FLAG.WRITE;
const HOW_MASK = DMA_FLAG.MMAP | DMA_FLAG.FILE_IO;

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
  if (msg.flags & ~(PROT_MASK | HOW_MASK)) return `unknown flags 0x${msg.flags.toString(16)}`;
  if (msg.size === 0n) return "the region is empty";
  if (msg.iova + msg.size > 1n << 64n) return "the region goes beyond the address space";
  if (msg.fileOffset + msg.size > 1n << 63n) return "the region goes beyond any file";
  return null;
}

/** What the flags say of an fd: how to use it, and so that there is one. */
export function invalidFd(msg: DmaMap, hasFd: boolean): string | null {
  if ((msg.flags & HOW_MASK) === HOW_MASK) return "a region is either mapped or read and written as a file";
  return (msg.flags & HOW_MASK) !== 0 && !hasFd ? "the flags say how to use an fd, and there is none" : null;
}

export function modeOf(msg: DmaMap, hasFd: boolean): "map" | "file" | "message" {
  if (!hasFd) return "message";
  return msg.flags & DMA_FLAG.FILE_IO ? "file" : "map";
}

/** The flag bits of a mode that a client asks for by name; with none the server decides by the fd. */
export function flagsOf(mode: "map" | "file" | "message" | undefined): number {
  if (mode === "file") return DMA_FLAG.FILE_IO;
  return mode === "map" ? DMA_FLAG.MMAP : 0;
}
