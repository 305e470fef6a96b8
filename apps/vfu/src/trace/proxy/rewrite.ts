// What the proxy changes on the way, as pure functions of a reply's bytes. With --trap nothing of a region can be mapped:
// DEVICE_GET_REGION_INFO loses the MMAP flag and the sparse mmap capability, and DEVICE_GET_REGION_IO_FDS is an empty list, so
// that every access is a message. The client's argsz keeps its meaning: the server is asked with room for everything, and what
// is left of its answer is given with the capabilities when the client has room for them.
import { REGION_CAP, REGION_FLAG, wire } from "@emudev/vfio-user";
import { type RegionCap, regionCaps } from "../decode/info.ts";
import { HEADER_SIZE } from "./frame.ts";

/** Room for a thousand mmap areas. */
const ROOMY_ARGSZ = 16384;
/** Capabilities that say where a region can be mapped; 16 is the draft with an fd for each area. */
const MMAP_CAPS: readonly number[] = [REGION_CAP.SPARSE_MMAP, 16];
const CAP_NEXT = 4;

/** A request with room for all capabilities; null when it has that, or is not one. Its own argsz is 0 then. */
export function roomyRequest(message: Uint8Array): { bytes: Uint8Array; argsz: number } | null {
  const info = wire.regionInfo.decode(viewOf(message), HEADER_SIZE, message.length - HEADER_SIZE);
  if (info === null || info.argsz < wire.regionInfo.SIZE || info.argsz >= ROOMY_ARGSZ) return null;
  const bytes = message.slice();
  viewOf(bytes).setUint32(HEADER_SIZE, ROOMY_ARGSZ, true);
  return { bytes, argsz: info.argsz };
}

/**
 * A reply to DEVICE_GET_REGION_INFO without a word of mapping, for a client with room for `argsz` bytes; null when the reply is
 * none that can be read.
 */
export function unmapped(reply: Uint8Array, argsz: number): Uint8Array | null {
  const info = wire.regionInfo.decode(viewOf(reply), HEADER_SIZE, reply.length - HEADER_SIZE);
  if (info === null) return null;
  const payload = reply.subarray(HEADER_SIZE);
  const whole = (info.flags & REGION_FLAG.CAPS) !== 0 && info.argsz <= payload.length;
  const caps = whole ? regionCaps(viewOf(payload), info) : [];
  if (typeof caps === "string") return null;
  const kept = caps.filter(({ id }) => !MMAP_CAPS.includes(id));
  const { SIZE } = wire.regionInfo;
  const needed = SIZE + kept.reduce((sum, { size }) => sum + size, 0);
  const fits = kept.length > 0 && needed <= argsz;
  const bytes = new Uint8Array(HEADER_SIZE + (fits ? needed : SIZE));
  bytes.set(reply.subarray(0, HEADER_SIZE + SIZE));
  const flags = info.flags & ~(REGION_FLAG.MMAP | (kept.length > 0 ? 0 : REGION_FLAG.CAPS));
  const capOffset = fits ? SIZE : 0;
  wire.regionInfo.encodeInto(viewOf(bytes), HEADER_SIZE, { ...info, argsz: needed, flags, capOffset });
  if (fits) putCaps(bytes.subarray(HEADER_SIZE), payload, kept);
  return sized(bytes);
}

/** A reply to DEVICE_GET_REGION_IO_FDS with no entries; null when the reply is none. */
export function withoutIoFds(reply: Uint8Array): Uint8Array | null {
  const msg = wire.regionIoFds.decode(viewOf(reply), HEADER_SIZE, reply.length - HEADER_SIZE);
  if (msg === null) return null;
  const { SIZE } = wire.regionIoFds;
  const bytes = reply.slice(0, HEADER_SIZE + SIZE);
  wire.regionIoFds.encodeInto(viewOf(bytes), HEADER_SIZE, { ...msg, argsz: SIZE, count: 0 });
  return sized(bytes);
}

/** Which of the fds with a VERSION reply is the twin socket; -1 for none. */
export function twinIndex(reply: Uint8Array): number {
  const msg = wire.version.decode(viewOf(reply), HEADER_SIZE, reply.length - HEADER_SIZE);
  if (msg === null || wire.version.invalid(msg) !== null) return -1;
  const { twinSocket, twinFdIndex } = wire.version.capabilitiesOf(msg);
  return twinSocket ? twinFdIndex : -1;
}

function putCaps(into: Uint8Array, from: Uint8Array, kept: readonly RegionCap[]): void {
  let at: number = wire.regionInfo.SIZE;
  kept.forEach((cap, i) => {
    into.set(from.subarray(cap.at, cap.at + cap.size), at);
    viewOf(into).setUint32(at + CAP_NEXT, i + 1 < kept.length ? at + cap.size : 0, true);
    at += cap.size;
  });
}

function sized(message: Uint8Array): Uint8Array {
  viewOf(message).setUint32(4, message.length, true);
  return message;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
