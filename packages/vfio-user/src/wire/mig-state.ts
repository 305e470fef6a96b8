// The data of features MIGRATION (8 bytes of flags) and MIG_DEVICE_STATE (state and data_fd, 4 bytes each) of
// DEVICE_FEATURE. Device states have VFIO's numbers on the wire and names everywhere else. data_fd is of no use over a
// socket: -1.

import type { DeviceState } from "../server/device.ts";

export const FLAGS_SIZE = 8;
export const SIZE = 8;
const NO_FD = 0xffffffff;

/** By number: enum vfio_device_mig_state. */
export const DEVICE_STATES: readonly DeviceState[] = [
  "error",
  "stop",
  "running",
  "stopCopy",
  "resuming",
  "runningP2p",
  "preCopy",
  "preCopyP2p",
];

export function encodeFlagsInto(view: DataView, offset: number, flags: number): number {
  view.setBigUint64(offset, BigInt(flags), true);
  return FLAGS_SIZE;
}

export function decodeFlags(view: DataView, offset: number, length: number): number | null {
  return length < FLAGS_SIZE ? null : view.getUint32(offset, true);
}

export function encodeInto(view: DataView, offset: number, state: DeviceState): number {
  view.setUint32(offset, DEVICE_STATES.indexOf(state), true);
  view.setUint32(offset + 4, NO_FD, true);
  return SIZE;
}

/** null: cut short, or no state of VFIO's. */
export function decode(view: DataView, offset: number, length: number): DeviceState | null {
  return length < SIZE ? null : (DEVICE_STATES[view.getUint32(offset, true)] ?? null);
}
