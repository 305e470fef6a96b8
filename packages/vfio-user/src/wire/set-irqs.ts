// DEVICE_SET_IRQS (8): binds, unbinds, masks or triggers a range of one interrupt index. Exactly one data flag and one
// action flag are set; eventfds come as fds with the message, booleans as one byte each behind the 20-byte head. The
// reply has no payload. The rules are those of libvfio-user, except that disabling an index without vectors succeeds.

import { IRQ_SET, PCI_IRQ } from "./constants.ts";

export const SIZE = 20;
const DATA_MASK = IRQ_SET.DATA_NONE | IRQ_SET.DATA_BOOL | IRQ_SET.DATA_EVENTFD;
const ACTION_MASK = IRQ_SET.MASK | IRQ_SET.UNMASK | IRQ_SET.TRIGGER;

export interface SetIrqs {
  argsz: number;
  /** IRQ_SET bits. */
  flags: number;
  index: number;
  start: number;
  count: number;
  /** What follows the head: one byte a vector for DATA_BOOL. */
  data: Uint8Array;
}

export function encodeInto(view: DataView, offset: number, msg: SetIrqs): number {
  view.setUint32(offset, msg.argsz, true);
  view.setUint32(offset + 4, msg.flags, true);
  view.setUint32(offset + 8, msg.index, true);
  view.setUint32(offset + 12, msg.start, true);
  view.setUint32(offset + 16, msg.count, true);
  new Uint8Array(view.buffer, view.byteOffset + offset + SIZE, msg.data.length).set(msg.data);
  return SIZE + msg.data.length;
}

/** `data` is a copy. */
export function decode(view: DataView, offset: number, length: number): SetIrqs | null {
  if (length < SIZE) return null;
  const from = view.byteOffset + offset + SIZE;
  return {
    argsz: view.getUint32(offset, true),
    flags: view.getUint32(offset + 4, true),
    index: view.getUint32(offset + 8, true),
    start: view.getUint32(offset + 12, true),
    count: view.getUint32(offset + 16, true),
    data: new Uint8Array(view.buffer.slice(from, from + length - SIZE) as ArrayBuffer),
  };
}

/** `vectors` is the number of vectors of msg.index, `fds` the number of fds that came with the message. */
export function invalid(msg: SetIrqs, vectors: number, fds: number): string | null {
  if (msg.argsz < SIZE) return `argsz ${msg.argsz} is smaller than ${SIZE}`;
  if (msg.flags & ~(DATA_MASK | ACTION_MASK)) return `unknown flags 0x${msg.flags.toString(16)}`;
  const data = msg.flags & DATA_MASK;
  const action = msg.flags & ACTION_MASK;
  if (!isOneBit(data)) return "exactly one data flag must be set";
  if (!isOneBit(action)) return "exactly one action flag must be set";
  if (isDisable(msg)) return fds === 0 ? null : "fds do not go with DATA_NONE";
  if (msg.count === 0) return "a count of 0 is for NONE|TRIGGER with start 0 alone";
  if (msg.start >= vectors || msg.start + msg.count > vectors) {
    return `vectors ${msg.start}..${msg.start + msg.count - 1} of ${vectors}`;
  }
  if ((msg.index === PCI_IRQ.ERR || msg.index === PCI_IRQ.REQ) && (action !== IRQ_SET.TRIGGER || msg.count > 1)) {
    return "ERR and REQ have one vector and no mask";
  }
  if (data === IRQ_SET.DATA_BOOL && msg.data.length !== msg.count) {
    return `${msg.data.length} booleans for ${msg.count} vectors`;
  }
  if (data !== IRQ_SET.DATA_EVENTFD && fds !== 0) return "fds go with DATA_EVENTFD alone";
  if (data === IRQ_SET.DATA_EVENTFD && fds !== 0 && fds !== msg.count) return `${fds} fds for ${msg.count} vectors`;
  return null;
}

/** NONE|TRIGGER with start 0 and count 0: every vector of the index is unbound. */
export function isDisable(msg: SetIrqs): boolean {
  return msg.flags === (IRQ_SET.DATA_NONE | IRQ_SET.TRIGGER) && msg.count === 0 && msg.start === 0;
}

function isOneBit(bits: number): boolean {
  return bits !== 0 && (bits & (bits - 1)) === 0;
}
