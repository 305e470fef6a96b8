// VERSION (1), the first message of a connection: major and minor, then optionally a NUL-terminated JSON object with
// capabilities. A missing capability has the protocol's default. Numbers and rules are those of the specification's
// table and of libvfio-user's negotiation tests; unknown keys are passed over. Called by server/greeting.ts and
// client/client.ts.

import {
  DEFAULT_MAX_DMA_MAPS,
  DEFAULT_MAX_MSG_FDS,
  MAX_DATA_XFER_SIZE,
  PAGE_SIZE,
  VERSION_MAJOR,
} from "./constants.ts";

export const SIZE = 4;
const MSG_FDS_LIMIT = 1024;

export interface Version {
  major: number;
  minor: number;
  /** What follows the numbers: empty, or JSON with its NUL. A copy. */
  json: Uint8Array;
}

export interface Capabilities {
  /** fds that the sender takes with one message. */
  maxMsgFds: number;
  /** Largest count of a REGION or DMA access that the sender takes. */
  maxDataXferSize: number;
  maxDmaMaps: number;
  /** Bitmap of DMA page sizes. */
  pgsizes: number;
  writeMultiple: boolean;
  twinSocket: boolean;
  /** In a server's reply: which of its fds is the twin socket. -1 when that is missing, or no index. */
  twinFdIndex: number;
}

export const DEFAULTS: Capabilities = {
  maxMsgFds: DEFAULT_MAX_MSG_FDS,
  maxDataXferSize: MAX_DATA_XFER_SIZE,
  maxDmaMaps: DEFAULT_MAX_DMA_MAPS,
  pgsizes: PAGE_SIZE,
  writeMultiple: false,
  twinSocket: false,
  twinFdIndex: -1,
};

export function encodeInto(view: DataView, offset: number, msg: Version): number {
  view.setUint16(offset, msg.major, true);
  view.setUint16(offset + 2, msg.minor, true);
  new Uint8Array(view.buffer, view.byteOffset + offset + SIZE, msg.json.length).set(msg.json);
  return SIZE + msg.json.length;
}

export function decode(view: DataView, offset: number, length: number): Version | null {
  if (length < SIZE) return null;
  const from = view.byteOffset + offset + SIZE;
  return {
    major: view.getUint16(offset, true),
    minor: view.getUint16(offset + 2, true),
    json: new Uint8Array(view.buffer.slice(from, from + length - SIZE) as ArrayBuffer),
  };
}

export function invalid(msg: Version): string | null {
  if (msg.major !== VERSION_MAJOR) return `major version ${msg.major}, not ${VERSION_MAJOR}`;
  const capabilities = parse(msg.json);
  return typeof capabilities === "string" ? capabilities : null;
}

/** Of a message that `invalid` has nothing against. */
export function capabilitiesOf(msg: Version): Capabilities {
  const capabilities = parse(msg.json);
  if (typeof capabilities === "string") throw new TypeError(`capabilities of an invalid VERSION: ${capabilities}`);
  return capabilities;
}

/** JSON and its NUL; with `migration`, that the device can be migrated. Short on purpose: QEMU takes no reply longer than its own request. */
export function capabilitiesJson(offer: Partial<Capabilities>, migration = false): Uint8Array {
  const capabilities: Record<string, unknown> = {};
  if (offer.maxMsgFds !== undefined) capabilities.max_msg_fds = offer.maxMsgFds;
  if (offer.maxDataXferSize !== undefined) capabilities.max_data_xfer_size = offer.maxDataXferSize;
  if (offer.maxDmaMaps !== undefined) capabilities.max_dma_maps = offer.maxDmaMaps;
  if (offer.pgsizes !== undefined) capabilities.pgsizes = offer.pgsizes;
  if (offer.writeMultiple) capabilities.write_multiple = true;
  if (offer.twinSocket) capabilities.twin_socket = { supported: true, fd_index: offer.twinFdIndex };
  if (migration) capabilities.migration = { pgsize: PAGE_SIZE };
  return new TextEncoder().encode(`${JSON.stringify({ capabilities })}\0`);
}

type Json = Record<string, unknown>;

/** The capabilities, or a sentence saying what is wrong with the text. */
function parse(json: Uint8Array): Capabilities | string {
  if (json.length === 0) return { ...DEFAULTS };
  if (json[json.length - 1] !== 0) return "the JSON does not end with a NUL";
  let root: unknown;
  try {
    root = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json.subarray(0, json.indexOf(0))));
  } catch {
    return "the capabilities are not JSON";
  }
  if (!isObject(root)) return "the JSON is not an object";
  const caps = root.capabilities ?? {};
  if (!isObject(caps)) return "capabilities is not an object";
  return wrongNumber(caps) ?? wrongObject(caps) ?? read(caps);
}

function read(caps: Json): Capabilities {
  const number = (key: string, fallback: number): number => (caps[key] as number | undefined) ?? fallback;
  return {
    maxMsgFds: number("max_msg_fds", DEFAULTS.maxMsgFds),
    maxDataXferSize: number("max_data_xfer_size", DEFAULTS.maxDataXferSize),
    maxDmaMaps: number("max_dma_maps", DEFAULTS.maxDmaMaps),
    pgsizes: number("pgsizes", DEFAULTS.pgsizes),
    writeMultiple: caps.write_multiple === true,
    twinSocket: (caps.twin_socket as Json | undefined)?.supported === true,
    twinFdIndex: indexOf((caps.twin_socket as Json | undefined)?.fd_index),
  };
}

function wrongNumber(caps: Json): string | null {
  if (!isIntegerIn(caps.max_msg_fds, 0, MSG_FDS_LIMIT)) return `max_msg_fds is not an integer in 0..${MSG_FDS_LIMIT}`;
  if (!isIntegerIn(caps.max_data_xfer_size, 1)) return "max_data_xfer_size is not a positive integer";
  if (!isIntegerIn(caps.max_dma_maps, 0)) return "max_dma_maps is not an integer";
  // A bitmap of page sizes may have its highest bits set, which no JavaScript integer holds exactly: any number will
  // do.
  if (caps.pgsizes !== undefined && !(typeof caps.pgsizes === "number" && caps.pgsizes >= 0)) {
    return "pgsizes is not a number";
  }
  return null;
}

function wrongObject(caps: Json): string | null {
  if (caps.write_multiple !== undefined && typeof caps.write_multiple !== "boolean")
    return "write_multiple is not a bool";
  if (caps.twin_socket !== undefined) {
    if (!isObject(caps.twin_socket)) return "twin_socket is not an object";
    const { supported } = caps.twin_socket;
    if (supported !== undefined && typeof supported !== "boolean") return "twin_socket.supported is not a bool";
  }
  if (caps.migration !== undefined) {
    if (!isObject(caps.migration)) return "migration is not an object";
    if ((caps.migration.pgsize ?? PAGE_SIZE) !== PAGE_SIZE) return `migration.pgsize is not ${PAGE_SIZE}`;
  }
  return null;
}

function indexOf(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : -1;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Absent is fine: the default holds. */
function isIntegerIn(value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): boolean {
  return value === undefined || (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max);
}
