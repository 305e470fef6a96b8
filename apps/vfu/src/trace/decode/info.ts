// What a client asks a device about itself: DEVICE_GET_INFO (4), DEVICE_GET_REGION_INFO (5) with its chain of capabilities,
// and DEVICE_GET_IRQ_INFO (7).
import { DEVICE_FLAG, IRQ_FLAG, REGION_CAP, REGION_FLAG, wire } from "@emudev/vfio-user";
import { bitNames, hex, irqName, regionName } from "../../names.ts";
import { flagsText, listText } from "./text.ts";
import { type Decoded, decoded, type Payload, short } from "./types.ts";

const CAP_HEADER_SIZE = 8;
/** Bounds the walk through a chain that another process wrote. */
const CAPS_MAX = 64;

export interface RegionCap {
  id: number;
  version: number;
  /** From the start of the payload. */
  at: number;
  /** Bytes up to the next one, or to the end of the payload. */
  size: number;
}

export function deviceInfo(payload: Payload): Decoded {
  const msg = wire.deviceInfo.decode(payload.view, 0, payload.body.length);
  if (msg === null) return short(payload, wire.deviceInfo.SIZE);
  const { argsz, numRegions, numIrqs } = msg;
  const flags = bitNames(msg.flags, DEVICE_FLAG);
  const fault = wire.deviceInfo.invalid(msg);
  if (!payload.reply) return decoded("", { argsz }, fault);
  const text = `${flagsText(flags)} ${numRegions} regions, ${numIrqs} interrupt indexes`;
  return decoded(text, { argsz, flags, numRegions, numIrqs }, fault);
}

export function regionInfo(payload: Payload): Decoded {
  const msg = wire.regionInfo.decode(payload.view, 0, payload.body.length);
  if (msg === null) return short(payload, wire.regionInfo.SIZE);
  const { argsz, index, size, offset, capOffset } = msg;
  const region = regionName(index);
  if (!payload.reply)
    return decoded(`${region} argsz ${argsz}`, { argsz, index, region }, wire.regionInfo.invalid(msg));
  const flags = bitNames(msg.flags, REGION_FLAG);
  const fields: Record<string, unknown> = { argsz, flags, index, region, capOffset, size, offset };
  const head = `${region} ${flagsText(flags)} size ${hex(size)}`;
  if (!(msg.flags & REGION_FLAG.CAPS)) return decoded(head, fields);
  if (argsz > payload.length) return decoded(`${head}, capabilities need an argsz of ${argsz}`, fields);
  const caps = regionCaps(payload.view, msg);
  if (typeof caps === "string") return decoded(head, fields, caps);
  const areas = wire.regionInfo.decodeAreas(payload.view, 0, payload.body.length, msg);
  if (typeof areas === "string") return decoded(head, fields, areas);
  fields.capabilities = caps.map(({ id, version }) => ({ id, name: capName(id), version }));
  if (areas.length > 0) fields.areas = areas;
  const names = caps.map(({ id }) => capName(id)).join(" ");
  const spans = listText(areas.map((area) => `${hex(area.offset)}..${hex(area.offset + area.size)}`));
  return decoded(`${head} ${names}${spans === "" ? "" : ` ${spans}`}`, fields);
}

/** The capabilities of a full reply, in order; a string says what is wrong with the chain. */
export function regionCaps(view: DataView, { capOffset }: { capOffset: number }): RegionCap[] | string {
  const found: { id: number; version: number; at: number }[] = [];
  for (let at = capOffset; at !== 0; ) {
    if (found.length === CAPS_MAX) return `more than ${CAPS_MAX} capabilities`;
    if (at < wire.regionInfo.SIZE || at + CAP_HEADER_SIZE > view.byteLength) {
      return `capability at ${at} lies outside the reply of ${view.byteLength} bytes`;
    }
    found.push({ id: view.getUint16(at, true), version: view.getUint16(at + 2, true), at });
    const next = view.getUint32(at + 4, true);
    if (next !== 0 && next < at + CAP_HEADER_SIZE) return "the capability chain goes backwards";
    at = next;
  }
  return found.map((cap, i) => ({ ...cap, size: (found[i + 1]?.at ?? view.byteLength) - cap.at }));
}

function capName(id: number): string {
  if (id === REGION_CAP.SPARSE_MMAP) return "sparse-mmap";
  return id === REGION_CAP.TYPE ? "type" : `capability ${id}`;
}

export function irqInfo(payload: Payload): Decoded {
  const msg = wire.irqInfo.decode(payload.view, 0, payload.body.length);
  if (msg === null) return short(payload, wire.irqInfo.SIZE);
  const { argsz, index, count } = msg;
  const irq = irqName(index);
  const fault = wire.irqInfo.invalid(msg);
  if (!payload.reply) return decoded(irq, { argsz, index, irq }, fault);
  const flags = bitNames(msg.flags, IRQ_FLAG);
  return decoded(`${irq} ${flagsText(flags)} count ${count}`, { argsz, flags, index, irq, count }, fault);
}
