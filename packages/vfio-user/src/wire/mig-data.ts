// MIG_DATA_READ (17) and MIG_DATA_WRITE (18): a piece of device state. argsz is the size of the payload with the data,
// `size` that of the data, which follows the head in the reply to a read and in the request of a write. A read is
// answered with fewer bytes than it asks for at the end of the data; a write has an empty reply.

export const SIZE = 8;

export interface MigData {
  argsz: number;
  size: number;
}

export function encodeInto(view: DataView, offset: number, msg: MigData): number {
  view.setUint32(offset, msg.argsz, true);
  view.setUint32(offset + 4, msg.size, true);
  return SIZE;
}

export function decode(view: DataView, offset: number, length: number): MigData | null {
  if (length < SIZE) return null;
  return { argsz: view.getUint32(offset, true), size: view.getUint32(offset + 4, true) };
}

/** `max` is the largest transfer agreed on. */
export function invalid(msg: MigData, max: number): string | null {
  if (msg.size > max) return `size ${msg.size} is more than ${max}`;
  return msg.argsz < SIZE + msg.size ? `argsz ${msg.argsz} has no room for ${msg.size} bytes` : null;
}
