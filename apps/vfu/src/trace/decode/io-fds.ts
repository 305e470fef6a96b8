// DEVICE_GET_REGION_IO_FDS (6): which parts of a region are written by eventfds. Entries of 40 and of 48 bytes are told apart as
// a client does it, by argsz and count.
import { wire } from "@emudev/vfio-user";
import { hex, regionName } from "../../names.ts";
import { listText } from "./text.ts";
import { type Decoded, decoded, type Payload, short } from "./types.ts";

const TYPE_NAMES = ["ioeventfd", "ioregionfd", "ioeventfd+shadow"];

export function regionIoFds(payload: Payload): Decoded {
  const msg = wire.regionIoFds.decode(payload.view, 0, payload.body.length);
  if (msg === null) return short(payload, wire.regionIoFds.SIZE);
  const { argsz, flags, index, count } = msg;
  const region = regionName(index);
  const fields: Record<string, unknown> = { argsz, flags, index, region, count };
  if (!payload.reply) return decoded(`${region} argsz ${argsz}`, fields, wire.regionIoFds.invalid(msg));
  const head = `${region} ${count} entries`;
  if (argsz > payload.length) return decoded(`${head}, they need an argsz of ${argsz}`, fields);
  const entries = wire.regionIoFds.decodeEntries(payload.view, 0, payload.body.length, msg);
  if (typeof entries === "string") return decoded(head, fields, entries);
  fields.entries = entries.map(({ type, ...rest }) => ({ type: typeName(type), ...rest }));
  const list = entries.map(
    (entry) => `${hex(entry.offset)}/${entry.size} ${typeName(entry.type)} fd ${fdText(entry.fdIndex)}`,
  );
  return decoded(list.length === 0 ? head : `${head}: ${listText(list)}`, fields);
}

const typeName = (type: number): string => TYPE_NAMES[type] ?? `type ${type}`;
const fdText = (index: number): string => (index === wire.regionIoFds.NO_FD ? "none" : String(index));
