// DEVICE_GET_INFO (4): request and reply have the same 16 bytes. The reply's argsz is the size of a full reply.

export const SIZE = 16;

export interface DeviceInfo {
  argsz: number;
  /** DEVICE_FLAG bits. */
  flags: number;
  numRegions: number;
  numIrqs: number;
}

export function encodeInto(view: DataView, offset: number, msg: DeviceInfo): number {
  view.setUint32(offset, msg.argsz, true);
  view.setUint32(offset + 4, msg.flags, true);
  view.setUint32(offset + 8, msg.numRegions, true);
  view.setUint32(offset + 12, msg.numIrqs, true);
  return SIZE;
}

export function decode(view: DataView, offset: number, length: number): DeviceInfo | null {
  if (length < SIZE) return null;
  return {
    argsz: view.getUint32(offset, true),
    flags: view.getUint32(offset + 4, true),
    numRegions: view.getUint32(offset + 8, true),
    numIrqs: view.getUint32(offset + 12, true),
  };
}

export function invalid(msg: DeviceInfo): string | null {
  return msg.argsz < SIZE ? `argsz ${msg.argsz} is smaller than ${SIZE}` : null;
}
