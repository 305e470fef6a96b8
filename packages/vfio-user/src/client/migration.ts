// The client's part of live migration: DEVICE_FEATURE and the migration data commands, behind the methods of the same
// names in client.ts. What is larger than one message goes in several.

import { VfioUserError } from "../errors.ts";
import type { DeviceState } from "../server/device.ts";
import { COMMAND, ERRNO } from "../wire/constants.ts";
import { deviceFeature, dmaLogging, migData, migState } from "../wire/index.ts";
import type { Answer, ClientChannel } from "./channel.ts";
import { complete, malformed, request } from "./request.ts";

const { FEATURE, FEATURE_OP } = deviceFeature;
const HEAD = deviceFeature.SIZE;
/** Of one report: half of what a server takes at once. */
const BITMAP_BYTES = 1 << 19;

export async function queryMigration(channel: ClientChannel): Promise<number> {
  try {
    const { view, body } = await feature(channel, FEATURE_OP.GET | FEATURE.MIGRATION, migState.FLAGS_SIZE, 0);
    return complete(COMMAND.DEVICE_FEATURE, migState.decodeFlags(view, HEAD, body.length - HEAD));
  } catch (error) {
    if (error instanceof VfioUserError && error.code === "VFU_REFUSED" && NOT_THERE.has(error.errno)) return 0;
    throw error;
  }
}

/** How servers say that they do not know a feature, or the command. */
const NOT_THERE: ReadonlySet<number> = new Set([ERRNO.EINVAL, ERRNO.ENOTSUP, ERRNO.ENOTTY, ERRNO.ENOSYS]);

export async function queryState(channel: ClientChannel): Promise<DeviceState> {
  const flags = FEATURE_OP.GET | FEATURE.MIG_DEVICE_STATE;
  const { view, body } = await feature(channel, flags, migState.SIZE, 0);
  return complete(COMMAND.DEVICE_FEATURE, migState.decode(view, HEAD, body.length - HEAD));
}

export async function changeState(
  channel: ClientChannel,
  state: DeviceState,
  options: { timeoutMs?: number },
): Promise<void> {
  const flags = FEATURE_OP.SET | FEATURE.MIG_DEVICE_STATE;
  const encode = (view: DataView): number => migState.encodeInto(view, HEAD, state);
  await feature(channel, flags, migState.SIZE, migState.SIZE, encode, options);
}

/** Reads until `max` bytes are there or the server has no more. */
export async function readData(channel: ClientChannel, max: number, maxPiece: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let at = 0;
  while (at < max) {
    const size = Math.min(max - at, maxPiece);
    const { view, body } = await request(channel, COMMAND.MIG_DATA_READ, migData.SIZE, (out) =>
      migData.encodeInto(out, 0, { argsz: migData.SIZE + size, size }),
    );
    const head = complete(COMMAND.MIG_DATA_READ, migData.decode(view, 0, body.length));
    if (head.size > size || body.length < migData.SIZE + head.size) {
      throw malformed(COMMAND.MIG_DATA_READ, `${head.size} bytes for ${size}`);
    }
    pieces.push(body.subarray(migData.SIZE, migData.SIZE + head.size));
    at += head.size;
    if (head.size < size) break;
  }
  return pieces.length === 1 ? (pieces[0] as Uint8Array) : new Uint8Array(Buffer.concat(pieces));
}

export async function writeData(channel: ClientChannel, data: Uint8Array, maxPiece: number): Promise<void> {
  for (let at = 0; at < data.length; at += maxPiece) {
    const piece = data.subarray(at, at + maxPiece);
    const body = new Uint8Array(migData.SIZE + piece.length);
    migData.encodeInto(new DataView(body.buffer), 0, { argsz: body.length, size: piece.length });
    body.set(piece, migData.SIZE);
    await channel.request(COMMAND.MIG_DATA_WRITE, body);
  }
}

export async function startLog(
  channel: ClientChannel,
  ranges: readonly dmaLogging.Range[],
  pageSize: number,
): Promise<number> {
  const control = { pageSize: BigInt(pageSize), ranges: [...ranges] };
  const bytes = dmaLogging.CONTROL_SIZE + ranges.length * dmaLogging.RANGE_SIZE;
  const flags = FEATURE_OP.SET | FEATURE.DMA_LOGGING_START;
  const encode = (view: DataView): number => dmaLogging.encodeControlInto(view, HEAD, control);
  const { view, body } = await feature(channel, flags, bytes, bytes, encode);
  const answer = complete(COMMAND.DEVICE_FEATURE, dmaLogging.decodeControl(view, HEAD, body.length - HEAD));
  return Number(answer.pageSize);
}

export async function stopLog(channel: ClientChannel): Promise<void> {
  await feature(channel, FEATURE_OP.SET | FEATURE.DMA_LOGGING_STOP, 0, 0);
}

export async function reportLog(
  channel: ClientChannel,
  iova: bigint,
  size: bigint,
  pageSize: number,
): Promise<Uint8Array> {
  const page = BigInt(pageSize);
  const into = new Uint8Array(Number(dmaLogging.bitmapBytes(size, page)));
  const chunk = page * BigInt(BITMAP_BYTES * 8);
  for (let at = 0n; at < size; at += chunk) {
    const part = { iova: iova + at, size: size - at < chunk ? size - at : chunk, pageSize: page };
    into.set(await reportPart(channel, part), Number(at / page / 8n));
  }
  return into;
}

async function reportPart(channel: ClientChannel, part: dmaLogging.Report): Promise<Uint8Array> {
  const bytes = Number(dmaLogging.bitmapBytes(part.size, part.pageSize));
  const flags = FEATURE_OP.GET | FEATURE.DMA_LOGGING_REPORT;
  const encode = (view: DataView): number => dmaLogging.encodeReportInto(view, HEAD, part);
  const { body } = await feature(channel, flags, dmaLogging.REPORT_SIZE + bytes, dmaLogging.REPORT_SIZE, encode);
  const from = HEAD + dmaLogging.REPORT_SIZE;
  if (body.length !== from + bytes) throw malformed(COMMAND.DEVICE_FEATURE, `a bitmap of ${body.length - from} bytes`);
  return body.subarray(from);
}

/** `room`: bytes of data in the larger of request and reply; `sent`: in the request. */
function feature(
  channel: ClientChannel,
  flags: number,
  room: number,
  sent: number,
  encode: (view: DataView) => number = () => 0,
  options: { timeoutMs?: number } = {},
): Promise<Answer> {
  const put = (view: DataView): number => {
    deviceFeature.encodeInto(view, 0, { argsz: HEAD + room, flags });
    return HEAD + encode(view);
  };
  return request(channel, COMMAND.DEVICE_FEATURE, HEAD + sent, put, options);
}
