// The 16-byte header in front of every message (specification, section Header). Used by transport/connection.ts for
// all that is sent and received. `size` counts the header itself; `error` is an errno, in replies that carry
// FLAG.ERROR.

import { FLAG } from "./constants.ts";

export const SIZE = 16;
/** Offsets of fields that are looked at before anything is decoded. */
export const COMMAND_AT = 2;
export const SIZE_AT = 4;
export const FLAGS_AT = 8;

export interface Header {
  id: number;
  command: number;
  size: number;
  flags: number;
  error: number;
}

export function encodeInto(view: DataView, offset: number, header: Header): number {
  view.setUint16(offset, header.id, true);
  view.setUint16(offset + 2, header.command, true);
  view.setUint32(offset + 4, header.size, true);
  view.setUint32(offset + 8, header.flags, true);
  view.setUint32(offset + 12, header.error, true);
  return SIZE;
}

/** null when fewer than 16 bytes are there. */
export function decode(view: DataView, offset: number, length: number): Header | null {
  if (length < SIZE) return null;
  return {
    id: view.getUint16(offset, true),
    command: view.getUint16(offset + 2, true),
    size: view.getUint32(offset + 4, true),
    flags: view.getUint32(offset + 8, true),
    error: view.getUint32(offset + 12, true),
  };
}

/** Why a header is no message at all, or null. The command number is judged by whoever serves commands. */
export function invalid(header: Header): string | null {
  if (header.size < SIZE) return `message size ${header.size} is smaller than its own header`;
  const type = header.flags & FLAG.TYPE_MASK;
  if (type !== FLAG.COMMAND && type !== FLAG.REPLY) return `message type ${type} is neither command nor reply`;
  return null;
}

export function isReply(header: Header): boolean {
  return (header.flags & FLAG.TYPE_MASK) === FLAG.REPLY;
}

export function wantsReply(header: Header): boolean {
  return (header.flags & FLAG.NO_REPLY) === 0;
}
