// The data structures that IDENTIFY gives (NVM Express Base Specification 1.4, 5.15): controller, namespace, list of
// namespaces, descriptors of one. There is one namespace, number 1; the last of its names is a UUID made of the serial
// number, so that a disk with the same serial number is the same disk to its guest.
import { createHash } from "node:crypto";
import { EVENT_REQUESTS } from "./events.ts";
import { ERROR_ENTRIES, FIRMWARE } from "./health.ts";
import { VERSION } from "./registers.ts";
import type { Store } from "./store.ts";

export const IDENTIFY_BYTES = 4096;
export const NAMESPACE = 1;
/** For commands about all namespaces. */
export const ALL_NAMESPACES = 0xffff_ffff;
/** A transfer has at most 2 to this power pages of 4096 bytes. */
export const MDTS = 7;
export const MAX_TRANSFER = 4096 << MDTS;
/** Abort commands at a time. */
export const ABORTS = 4;

export interface Identity {
  vendorId: number;
  subsystemVendorId: number;
  /** Up to 20 printable characters. */
  serial: string;
  /** Up to 40. */
  model: string;
}

export interface Namespace {
  store: Store;
  /** A block has 2 to this power bytes. */
  blockShift: number;
  blocks: number;
}

const text = (into: Uint8Array, at: number, bytes: number, value: string): void => {
  for (let i = 0; i < bytes; i++) into[at + i] = i < value.length ? value.charCodeAt(i) & 0x7f : 0x20;
};

function uuidOf(serial: string): Uint8Array {
  const uuid = createHash("sha256").update(`nvme namespace ${serial}`).digest().subarray(0, 16);
  uuid[6] = ((uuid[6] as number) & 0x0f) | 0x80; // version 8: made in a way of one's own
  uuid[8] = ((uuid[8] as number) & 0x3f) | 0x80;
  return uuid;
}

export function identifyController(identity: Identity): Uint8Array {
  const bytes = new Uint8Array(IDENTIFY_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, identity.vendorId, true);
  view.setUint16(2, identity.subsystemVendorId, true);
  text(bytes, 4, 20, identity.serial);
  text(bytes, 24, 40, identity.model);
  text(bytes, 64, 8, FIRMWARE);
  bytes[77] = MDTS;
  view.setUint32(80, VERSION, true);
  bytes[111] = 1; // an I/O controller
  bytes[258] = ABORTS - 1;
  bytes[259] = EVENT_REQUESTS - 1;
  bytes[260] = (1 << 1) | 1; // one firmware slot, read only
  bytes[261] = 1 << 2; // GET LOG PAGE takes offsets
  bytes[262] = ERROR_ENTRIES - 1;
  view.setUint16(266, 343, true); // kelvins from which it is warm
  view.setUint16(268, 353, true); // and critical
  bytes[512] = 0x66; // submissions of 2^6 bytes
  bytes[513] = 0x44; // completions of 2^4
  view.setUint32(516, NAMESPACE, true);
  view.setUint16(520, (1 << 2) | (1 << 3), true); // DATASET MANAGEMENT and WRITE ZEROES
  bytes[525] = 1; // a write cache, so that guests flush
  const uuid = Buffer.from(uuidOf(identity.serial)).toString("hex");
  const dashed = uuid.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  bytes.set(new TextEncoder().encode(`nqn.2014-08.org.nvmexpress:uuid:${dashed}`), 768);
  view.setUint16(2048, 2500, true); // the one power state: 25 W at most
  return bytes;
}

export function identifyNamespace({ store, blockShift, blocks }: Namespace): Uint8Array {
  const bytes = new Uint8Array(IDENTIFY_BYTES);
  const view = new DataView(bytes.buffer);
  for (const at of [0, 8, 16]) view.setBigUint64(at, BigInt(blocks), true); // size, capacity, in use
  bytes[33] = store.discardZeroes ? 1 : 0;
  bytes[130] = blockShift; // of format 0, the only one, without metadata
  return bytes;
}

/** Numbers above `after`, as many as there are. */
export function namespaceList(after: number): Uint8Array {
  const bytes = new Uint8Array(IDENTIFY_BYTES);
  if (after < NAMESPACE) new DataView(bytes.buffer).setUint32(0, NAMESPACE, true);
  return bytes;
}

export function namespaceDescriptors(identity: Identity): Uint8Array {
  const bytes = new Uint8Array(IDENTIFY_BYTES);
  bytes.set([3, 16], 0); // a UUID
  bytes.set(uuidOf(identity.serial), 4);
  return bytes;
}
