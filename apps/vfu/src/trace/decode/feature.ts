// DEVICE_FEATURE (16): migration flags and states, and DMA logging, each by get, set and probe (struct vfio_device_feature of
// linux/vfio.h and its features).
import { MIGRATION_FLAG } from "@emudev/vfio-user";
import { bitNames, hex } from "../../names.ts";
import { dataText, flagsText, listText } from "./text.ts";
import { type Decoded, decoded, type Payload, type Style, short } from "./types.ts";

const HEAD = 8;
const GET = 1 << 16;
const SET = 1 << 17;
const PROBE = 1 << 18;
const RANGE_SIZE = 16;
const REPORT_HEAD = 24;
const FEATURES: Record<number, string | undefined> = {
  1: "MIGRATION",
  2: "MIG_DEVICE_STATE",
  6: "DMA_LOGGING_START",
  7: "DMA_LOGGING_STOP",
  8: "DMA_LOGGING_REPORT",
};
const STATES = ["error", "stop", "running", "stop-copy", "resuming", "running-p2p", "pre-copy", "pre-copy-p2p"];

export function deviceFeature(payload: Payload, _names: unknown, style: Style): Decoded {
  const { view, body, reply, length } = payload;
  if (body.length < HEAD) return short(payload, HEAD);
  const argsz = view.getUint32(0, true);
  const flags = view.getUint32(4, true);
  const number = flags & 0xffff;
  const feature = FEATURES[number] ?? `feature ${number}`;
  const operations = [flags & PROBE && "probe", flags & GET && "get", flags & SET && "set"].filter((op) => op !== 0);
  const fields: Record<string, unknown> = { argsz, feature, number, operations };
  const head = `${operations.join("|") || "none"} ${feature}`;
  const unknown = flags & ~(0xffff | GET | SET | PROBE);
  if (unknown !== 0) return decoded(head, fields, `unknown flags ${hex(unknown >>> 0)}`);
  const data = new DataView(body.buffer, body.byteOffset + HEAD, body.byteLength - HEAD);
  const carries = (flags & SET) !== 0 || ((flags & GET) !== 0 && reply) || number === 8;
  if (!carries || (flags & PROBE && data.byteLength === 0)) return decoded(head, fields);
  const rest = featureData(number, data, length - HEAD, fields, style);
  if (rest === null) return decoded(head, fields, `${data.byteLength} bytes of data are too few`);
  return decoded(rest === "" ? head : `${head} ${rest}`, fields);
}

/** Fills `fields` and gives the text; null where the data is too short. */
function featureData(
  number: number,
  data: DataView,
  total: number,
  fields: Record<string, unknown>,
  style: Style,
): string | null {
  const has = (bytes: number): boolean => data.byteLength >= bytes;
  if (number === 1) {
    if (!has(8)) return null;
    fields.flags = bitNames(Number(data.getBigUint64(0, true) & 0xffffffffn), MIGRATION_FLAG);
    return flagsText(fields.flags as string[]);
  }
  if (number === 2) {
    if (!has(4)) return null;
    const state = data.getUint32(0, true);
    fields.state = STATES[state] ?? state;
    return String(fields.state);
  }
  if (number === 6) return has(16) ? loggingStart(data, fields) : null;
  if (number === 7) return "";
  if (number === 8) return has(REPORT_HEAD) ? loggingReport(data, total, fields, style) : null;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  fields.data = bytes;
  return bytes.length === 0 ? "" : dataText(bytes, total, style);
}

function loggingStart(data: DataView, fields: Record<string, unknown>): string | null {
  const pageSize = data.getBigUint64(0, true);
  const count = data.getUint32(8, true);
  if (count > (data.byteLength - 16) / RANGE_SIZE) return null;
  const ranges = Array.from({ length: count }, (_, i) => ({
    iova: data.getBigUint64(16 + i * RANGE_SIZE, true),
    length: data.getBigUint64(24 + i * RANGE_SIZE, true),
  }));
  Object.assign(fields, { pageSize, ranges });
  return `pages of ${pageSize}: ${listText(ranges.map(({ iova, length }) => `${hex(iova)}..${hex(iova + length)}`))}`;
}

function loggingReport(data: DataView, total: number, fields: Record<string, unknown>, style: Style): string {
  const [iova, length, pageSize] = [0, 8, 16].map((at) => data.getBigUint64(at, true)) as [bigint, bigint, bigint];
  Object.assign(fields, { iova, length, pageSize });
  const head = `${hex(iova)}..${hex(iova + length)} pages of ${pageSize}`;
  if (data.byteLength === REPORT_HEAD) return head;
  const bitmap = new Uint8Array(data.buffer, data.byteOffset + REPORT_HEAD, data.byteLength - REPORT_HEAD).slice();
  const dirty = bitmap.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
  Object.assign(fields, { bitmap, dirty });
  return `${head} -> ${dirty} dirty: ${dataText(bitmap, total - REPORT_HEAD, style)}`;
}
