// Accesses to the device's regions: REGION_READ (9), REGION_WRITE (10), and REGION_WRITE_MULTI (15), which carries several
// writes. Places have the names of registers where the device is known.
import { wire } from "@emudev/vfio-user";
import { regionName } from "../../names.ts";
import { dataOf, dataText, listText, placeText, registerAt } from "./text.ts";
import { type Decoded, decoded, type Names, type Payload, type Style, short } from "./types.ts";

const NO_LIMIT = 2 ** 32;

export function regionRead(payload: Payload, names: Names, style: Style): Decoded {
  // An access of no bytes may be answered by the bare header, as libvfio-user does
  if (payload.reply && payload.length === 0) return decoded("", {});
  return access(payload, "->", payload.reply, names, style);
}

export function regionWrite(payload: Payload, names: Names, style: Style): Decoded {
  if (payload.reply && payload.length === 0) return decoded("", {});
  return access(payload, "<-", !payload.reply, names, style);
}

function access(payload: Payload, arrow: string, carries: boolean, names: Names, style: Style): Decoded {
  const { SIZE } = wire.regionAccess;
  const msg = wire.regionAccess.decode(payload.view, 0, payload.body.length);
  if (msg === null) return short(payload, SIZE);
  const { offset, region: index, count } = msg;
  const register = registerAt(names, index, offset, count);
  const fields: Record<string, unknown> = { region: regionName(index), index, offset, count };
  if (register !== null) fields.register = register;
  const head = `${placeText(index, offset, register)} ${count}`;
  const left = payload.length - SIZE;
  if (!carries) return decoded(head, fields, left === 0 ? null : `${left} bytes of data, where there are none`);
  const data = dataOf(payload, SIZE);
  fields.data = data;
  const fault = count === left ? null : `count ${count} with ${left} bytes of data`;
  return decoded(`${head} ${arrow} ${dataText(data, left, style)}`, fields, fault);
}

export function regionWriteMulti(payload: Payload, names: Names, style: Style): Decoded {
  const { view, body, length, reply } = payload;
  const count = wire.regionWriteMulti.decodeCount(view, 0, body.length);
  if (count === null) return short(payload, wire.regionWriteMulti.SIZE);
  if (reply) return decoded(`${count} written`, { count });
  const writes =
    length === body.length ? wire.regionWriteMulti.decode(view, 0, length, NO_LIMIT) : "the capture is cut";
  if (typeof writes === "string") return decoded(`${count} writes`, { count }, writes);
  const list = writes.map(({ offset, region, count: bytes, data }) => {
    const register = registerAt(names, region, offset, bytes);
    return { region: regionName(region), index: region, offset, count: bytes, ...(register && { register }), data };
  });
  const texts = list.map(({ index, offset, register, data }) => {
    return `${placeText(index, offset, register || null)} <- ${dataText(data, data.length, style)}`;
  });
  return decoded(`${count} writes: ${listText(texts)}`, { count, writes: list });
}
