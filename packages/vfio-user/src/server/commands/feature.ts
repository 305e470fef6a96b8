// DEVICE_FEATURE: what a device has for live migration, by VFIO's feature numbers. A device without `migration` has the
// first two not, one without `dirtyLog` the logging ones not, and whatever a device has not is answered with EINVAL, as
// libvfio-user does. Sizes are judged before anything of the device is asked.

import { refusal } from "../../errors.ts";
import { ERRNO, MAX_DATA_XFER_SIZE } from "../../wire/constants.ts";
import { deviceFeature, dmaLogging, migState } from "../../wire/index.ts";
import type { DirtyLog } from "../dirty-log.ts";
import type { Migration } from "../migration.ts";
import { type Command, type Context, check, parsed, type Reply } from "./command.ts";

const { FEATURE, FEATURE_OP } = deviceFeature;

interface Request {
  head: deviceFeature.DeviceFeature;
  /** A copy of the payload, head and data. */
  body: Uint8Array;
  view: DataView;
}

export const deviceFeatureCommand: Command<Request> = {
  control: () => true,
  maxFds: 0,

  parse(message, context) {
    const head = parsed(deviceFeature.decode(message.view, message.at, message.length));
    check(deviceFeature.invalid(head));
    const asked = deviceFeature.opOf(head) & ~FEATURE_OP.PROBE;
    const served = opsOf(deviceFeature.numberOf(head), context);
    check(served !== 0 && (asked & ~served) === 0 ? null : `flags 0x${head.flags.toString(16)} are not served here`);
    const from = message.view.byteOffset + message.at;
    const body = new Uint8Array(message.view.buffer as ArrayBuffer, from, message.length).slice();
    return { head, body, view: new DataView(body.buffer) };
  },

  run(request, context) {
    if (deviceFeature.opOf(request.head) & FEATURE_OP.PROBE) return { body: request.body.slice(0, deviceFeature.SIZE) };
    return runFeature(request, context);
  },
};

/** What can be done with a feature of this device: FEATURE_OP bits, 0 for nothing. */
function opsOf(feature: number, { migration, dirtyLog }: Context): number {
  switch (feature) {
    case FEATURE.MIGRATION:
      return migration === null ? 0 : FEATURE_OP.GET;
    case FEATURE.MIG_DEVICE_STATE:
      return migration === null ? 0 : FEATURE_OP.GET | FEATURE_OP.SET;
    case FEATURE.DMA_LOGGING_START:
    case FEATURE.DMA_LOGGING_STOP:
      return dirtyLog === null ? 0 : FEATURE_OP.SET;
    case FEATURE.DMA_LOGGING_REPORT:
      return dirtyLog === null ? 0 : FEATURE_OP.GET;
    default:
      return 0;
  }
}

/** Only what opsOf allows comes here. */
function runFeature(request: Request, context: Context): Reply | Promise<Reply> {
  const migration = context.migration as Migration;
  const dirtyLog = context.dirtyLog as DirtyLog;
  switch (deviceFeature.numberOf(request.head)) {
    case FEATURE.MIGRATION:
      return get(request, migState.FLAGS_SIZE, (view, at) => migState.encodeFlagsInto(view, at, migration.flags));
    case FEATURE.MIG_DEVICE_STATE:
      if (deviceFeature.opOf(request.head) === FEATURE_OP.SET) return setState(request, migration);
      return get(request, migState.SIZE, (view, at) => migState.encodeInto(view, at, migration.state));
    case FEATURE.DMA_LOGGING_START:
      return startLog(request, dirtyLog);
    case FEATURE.DMA_LOGGING_STOP:
      return dirtyLog.stop().then(() => ({ body: request.body }));
    default:
      return report(request, context);
  }
}

async function setState(request: Request, migration: Migration): Promise<Reply> {
  const { head, body, view } = request;
  checkRoom(head.argsz, migState.SIZE);
  const state = parsed(migState.decode(view, deviceFeature.SIZE, body.length - deviceFeature.SIZE));
  await migration.setState(state);
  return { body };
}

async function startLog({ head, body, view }: Request, log: DirtyLog): Promise<Reply> {
  const { SIZE } = deviceFeature;
  const control = parsed(dmaLogging.decodeControl(view, SIZE, body.length - SIZE));
  checkRoom(head.argsz, dmaLogging.CONTROL_SIZE + control.ranges.length * dmaLogging.RANGE_SIZE);
  check(dmaLogging.invalidControl(control));
  const pageSize = await log.start(control);
  dmaLogging.encodeControlInto(view, SIZE, { ...control, pageSize: BigInt(pageSize) });
  return { body };
}

async function report({ head, body, view }: Request, context: Context): Promise<Reply> {
  const { SIZE } = deviceFeature;
  const log = context.dirtyLog as DirtyLog;
  const msg = parsed(dmaLogging.decodeReport(view, SIZE, body.length - SIZE));
  check(dmaLogging.invalidReport(msg));
  const bytes = dmaLogging.bitmapBytes(msg.size, msg.pageSize);
  check(bytes <= MAX_DATA_XFER_SIZE ? null : `a bitmap of ${bytes} bytes is too long: ask about less at once`);
  checkRoom(head.argsz, dmaLogging.REPORT_SIZE + Number(bytes));
  if (log.pageSize === null) throw refusal(ERRNO.EINVAL, "the log does not run");
  checkRange(msg, BigInt(log.pageSize), context);
  const bitmap = await log.report(msg);
  const reply = new Uint8Array(SIZE + dmaLogging.REPORT_SIZE + bitmap.length);
  const out = new DataView(reply.buffer);
  deviceFeature.encodeInto(out, 0, { argsz: reply.length, flags: head.flags });
  dmaLogging.encodeReportInto(out, SIZE, msg);
  reply.set(bitmap, SIZE + dmaLogging.REPORT_SIZE);
  return { body: reply };
}

/**
 * A region, or whole pages of one (libvfio-user: a region alone): a page of the log that is only half asked about would
 * be forgotten with its other half. Writes by message are seen by the client itself, so those regions have no log.
 */
function checkRange({ iova, size }: dmaLogging.Range, pageSize: bigint, { dma }: Context): void {
  const region = dma.around(iova);
  if (region === undefined) throw refusal(ERRNO.ENOENT, `0x${iova.toString(16)} is in no region`);
  const end = region.iova + region.size;
  const starts = (iova - region.iova) % pageSize === 0n;
  const ends = iova + size === end || (size % pageSize === 0n && iova + size < end);
  if (!starts || !ends) throw refusal(ERRNO.ENOTSUP, `0x${iova.toString(16)}+${size} is not whole pages of one region`);
  if (region.mode === "message") throw refusal(ERRNO.EINVAL, "a region without an fd has no log");
}

function get({ head }: Request, bytes: number, encode: (view: DataView, at: number) => number): Reply {
  checkRoom(head.argsz, bytes);
  const body = new Uint8Array(deviceFeature.SIZE + bytes);
  const view = new DataView(body.buffer);
  deviceFeature.encodeInto(view, 0, { argsz: body.length, flags: head.flags });
  encode(view, deviceFeature.SIZE);
  return { body };
}

function checkRoom(argsz: number, bytes: number): void {
  const needed = deviceFeature.SIZE + bytes;
  check(argsz >= needed ? null : `argsz ${argsz}, needed are ${needed}`);
}
