// DEVICE_FEATURE (16): argsz and flags, then what the feature has for data (linux/vfio.h, struct vfio_device_feature,
// with the data in the message instead of pointers). The reply to PROBE is the head, to SET the request, to GET the head
// and the data. Used by server/commands/feature.ts and client/migration.ts.

export const SIZE = 8;

export interface DeviceFeature {
  argsz: number;
  /** A FEATURE number and FEATURE_OP bits. */
  flags: number;
}

/** The low 16 bits of `flags`. */
export const FEATURE = {
  MIGRATION: 1,
  MIG_DEVICE_STATE: 2,
  DMA_LOGGING_START: 6,
  DMA_LOGGING_STOP: 7,
  DMA_LOGGING_REPORT: 8,
} as const;

export const FEATURE_OP = { GET: 0x10000, SET: 0x20000, PROBE: 0x40000 } as const;
const NUMBER_MASK = 0xffff;
const OP_MASK = FEATURE_OP.GET | FEATURE_OP.SET | FEATURE_OP.PROBE;

export function encodeInto(view: DataView, offset: number, msg: DeviceFeature): number {
  view.setUint32(offset, msg.argsz, true);
  view.setUint32(offset + 4, msg.flags, true);
  return SIZE;
}

export function decode(view: DataView, offset: number, length: number): DeviceFeature | null {
  if (length < SIZE) return null;
  return { argsz: view.getUint32(offset, true), flags: view.getUint32(offset + 4, true) };
}

/** GET and SET go together in a PROBE alone; one of the three must be there. */
export function invalid(msg: DeviceFeature): string | null {
  if (msg.argsz < SIZE) return `argsz ${msg.argsz} is smaller than ${SIZE}`;
  const op = opOf(msg);
  if ((msg.flags & ~(NUMBER_MASK | OP_MASK)) !== 0) return `unknown flags 0x${msg.flags.toString(16)}`;
  if (op === 0 || op === (FEATURE_OP.GET | FEATURE_OP.SET)) return "neither GET nor SET nor PROBE, or both";
  return null;
}

export function numberOf(msg: DeviceFeature): number {
  return msg.flags & NUMBER_MASK;
}

/** FEATURE_OP bits. */
export function opOf(msg: DeviceFeature): number {
  return msg.flags & OP_MASK;
}
