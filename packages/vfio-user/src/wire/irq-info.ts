// DEVICE_GET_IRQ_INFO (7): request and reply have the same 16 bytes; the request sets argsz and index.

export const SIZE = 16;

export interface IrqInfo {
  argsz: number;
  /** IRQ_FLAG bits. */
  flags: number;
  index: number;
  /** Vectors of this index. */
  count: number;
}

export function encodeInto(view: DataView, offset: number, msg: IrqInfo): number {
  view.setUint32(offset, msg.argsz, true);
  view.setUint32(offset + 4, msg.flags, true);
  view.setUint32(offset + 8, msg.index, true);
  view.setUint32(offset + 12, msg.count, true);
  return SIZE;
}

export function decode(view: DataView, offset: number, length: number): IrqInfo | null {
  if (length < SIZE) return null;
  return {
    argsz: view.getUint32(offset, true),
    flags: view.getUint32(offset + 4, true),
    index: view.getUint32(offset + 8, true),
    count: view.getUint32(offset + 12, true),
  };
}

export function invalid(msg: IrqInfo): string | null {
  return msg.argsz < SIZE ? `argsz ${msg.argsz} is smaller than ${SIZE}` : null;
}
