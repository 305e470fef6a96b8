// MIG_DATA_READ (17) and MIG_DATA_WRITE (18): the device's state on its way, in pieces; the same head of argsz and size in
// both. A reply to a read with less than was asked for is the end of the data.
import { dataOf, dataText } from "./text.ts";
import { type Decoded, decoded, type Payload, type Style, short } from "./types.ts";

const HEAD = 8;

export function migDataRead(payload: Payload, _names: unknown, style: Style): Decoded {
  return migData(payload, "->", payload.reply, style);
}

export function migDataWrite(payload: Payload, _names: unknown, style: Style): Decoded {
  return payload.reply && payload.length === 0 ? decoded("", {}) : migData(payload, "<-", !payload.reply, style);
}

function migData(payload: Payload, arrow: string, carries: boolean, style: Style): Decoded {
  const { view, body, length } = payload;
  if (body.length < HEAD) return short(payload, HEAD);
  const argsz = view.getUint32(0, true);
  const size = view.getUint32(4, true);
  if (!carries) return decoded(`${size}`, { argsz, size });
  const data = dataOf(payload, HEAD);
  const left = length - HEAD;
  const fault = size === left ? null : `size ${size} with ${left} bytes of data`;
  return decoded(
    size === 0 ? "0, the end" : `${size} ${arrow} ${dataText(data, left, style)}`,
    { argsz, size, data },
    fault,
  );
}
