// DEVICE_GET_REGION_INFO (5). The request is the 32-byte head with argsz and index set; the reply is the head,
// followed by a chain of capabilities when argsz has room for them. Only the sparse mmap capability is written here;
// in a chain from another server, others are passed over. Region sizes and offsets are u64 on the wire and bigint
// here.

import { REGION_CAP, REGION_FLAG } from "./constants.ts";

export const SIZE = 32;
const CAP_HEADER_SIZE = 8;
const SPARSE_HEAD_SIZE = CAP_HEADER_SIZE + 8;
const AREA_SIZE = 16;
/** Bounds the walk through a chain that another process wrote. */
const CAPS_MAX = 64;

export interface RegionInfo {
  argsz: number;
  /** REGION_FLAG bits. */
  flags: number;
  index: number;
  /** Where the first capability starts, from the start of this structure; 0 without capabilities. */
  capOffset: number;
  size: bigint;
  /** Base offset for mmap in the fd that comes with the reply. */
  offset: bigint;
}

export interface Area {
  /** From the start of the region; the file offset is RegionInfo.offset plus this. */
  offset: bigint;
  size: bigint;
}

/** Size of a full reply with a sparse mmap capability of so many areas; without areas there is no capability. */
export function sizeWith(areas: number): number {
  return areas === 0 ? SIZE : SIZE + SPARSE_HEAD_SIZE + areas * AREA_SIZE;
}

export function encodeInto(view: DataView, offset: number, msg: RegionInfo): number {
  view.setUint32(offset, msg.argsz, true);
  view.setUint32(offset + 4, msg.flags, true);
  view.setUint32(offset + 8, msg.index, true);
  view.setUint32(offset + 12, msg.capOffset, true);
  view.setBigUint64(offset + 16, msg.size, true);
  view.setBigUint64(offset + 24, msg.offset, true);
  return SIZE;
}

/** Writes the one capability of a chain; returns its size. */
export function encodeSparseMmapInto(view: DataView, offset: number, areas: readonly Area[]): number {
  view.setUint16(offset, REGION_CAP.SPARSE_MMAP, true);
  view.setUint16(offset + 2, 1, true);
  view.setUint32(offset + 4, 0, true);
  view.setUint32(offset + 8, areas.length, true);
  view.setUint32(offset + 12, 0, true);
  let at = offset + SPARSE_HEAD_SIZE;
  for (const area of areas) {
    view.setBigUint64(at, area.offset, true);
    view.setBigUint64(at + 8, area.size, true);
    at += AREA_SIZE;
  }
  return at - offset;
}

export function decode(view: DataView, offset: number, length: number): RegionInfo | null {
  if (length < SIZE) return null;
  return {
    argsz: view.getUint32(offset, true),
    flags: view.getUint32(offset + 4, true),
    index: view.getUint32(offset + 8, true),
    capOffset: view.getUint32(offset + 12, true),
    size: view.getBigUint64(offset + 16, true),
    offset: view.getBigUint64(offset + 24, true),
  };
}

/** Judges a request. */
export function invalid(msg: RegionInfo): string | null {
  return msg.argsz < SIZE ? `argsz ${msg.argsz} is smaller than ${SIZE}` : null;
}

/** The areas of the sparse mmap capability in a reply of `length` bytes; a string says what is wrong with the chain. */
export function decodeAreas(view: DataView, offset: number, length: number, info: RegionInfo): Area[] | string {
  if (!(info.flags & REGION_FLAG.CAPS)) return [];
  let at = info.capOffset;
  for (let caps = 0; caps < CAPS_MAX && at !== 0; caps++) {
    if (at < SIZE || at + CAP_HEADER_SIZE > length) return `capability at ${at} lies outside the reply`;
    const next = view.getUint32(offset + at + 4, true);
    if (view.getUint16(offset + at, true) === REGION_CAP.SPARSE_MMAP) return areasAt(view, offset, length, at);
    if (next !== 0 && next <= at) return "the capability chain goes backwards";
    at = next;
  }
  return [];
}

function areasAt(view: DataView, offset: number, length: number, at: number): Area[] | string {
  if (at + SPARSE_HEAD_SIZE > length) return "the sparse mmap capability is cut short";
  const count = view.getUint32(offset + at + 8, true);
  if (count > Math.floor((length - at - SPARSE_HEAD_SIZE) / AREA_SIZE)) return `${count} areas do not fit the reply`;
  const areas: Area[] = [];
  for (let i = 0; i < count; i++) {
    const area = offset + at + SPARSE_HEAD_SIZE + i * AREA_SIZE;
    areas.push({ offset: view.getBigUint64(area, true), size: view.getBigUint64(area + 8, true) });
  }
  return areas;
}
