// What lies where in a state file, and whether it is whole: a head that never changes, the positions of the queues, the number
// of the newest state, and two slots that states are written to in turn. A state counts from the moment that its number is
// stored, at once, as the newest; until then the other slot holds the one that counts. So a process may be killed anywhere,
// and any damage to what counts is told by a checksum or a complement. Called by state-file.ts.
import { createHash } from "node:crypto";
import { openPlace, QPOS_BYTES, QPOS_DONE, QPOS_INDEX, QPOS_NEXT, sealPlace } from "@emudev/emudev";
import { POSITIONS, POSITIONS_BYTES } from "../positions.ts";
import { type AvfState, decodeState, type QueueSnapshot } from "./avf-state.ts";

const PAGE = 4096;
const MAGIC = "AVFKEEP1";
const HEAD_BYTES = 64; // 0 magic, 8 words of LAYOUT, 32 SHA-256 of what is before it
/** A page of its own, which is mapped into the arena. */
export const PLACES_AT = PAGE;
export const NEWEST_AT = PLACES_AT + POSITIONS_BYTES; // u64: number of the newest state with its complement, 0 = none
const SLOTS_AT = 2 * PAGE;
export const SLOT_BYTES = 256 * 1024;
export const SLOT_HEAD = 8; // u64: the state's number with its complement; the state follows (avf-state.ts)
export const FILE_BYTES = SLOTS_AT + 2 * SLOT_BYTES;
const LAYOUT = [PLACES_AT, POSITIONS, NEWEST_AT, SLOTS_AT, SLOT_BYTES, FILE_BYTES];

/** Where state number `n` is written to. */
export const slotAt = (n: number): number => SLOTS_AT + (n & 1) * SLOT_BYTES;

/** A file that holds no state, up to the slots; the rest is zero. */
export function newFile(): Uint8Array {
  const bytes = Buffer.alloc(SLOTS_AT);
  bytes.write(MAGIC, 0, "latin1");
  LAYOUT.forEach((value, i) => {
    bytes.writeUInt32LE(value, 8 + 4 * i);
  });
  checksum(bytes).copy(bytes, 32);
  for (let queue = 0; queue < POSITIONS; queue++)
    for (const word of [QPOS_DONE, QPOS_NEXT])
      bytes.writeBigUInt64LE(sealPlace(0), PLACES_AT + queue * QPOS_BYTES + word);
  bytes.writeBigUInt64LE(sealPlace(0), NEWEST_AT);
  return bytes;
}

/** What a file holds: the number of the newest state, 0 = none, and that state. */
export interface Kept {
  newest: number;
  state: AvfState | null;
}

/** What the bytes of a whole file hold, or what is wrong with them. Does not throw. */
export function readFile(file: Uint8Array): Kept | { wrong: string } {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (bytes.length < HEAD_BYTES || bytes.toString("latin1", 0, 8) !== MAGIC) return { wrong: "it is no state file" };
  if (!checksum(bytes).equals(bytes.subarray(32, HEAD_BYTES))) return { wrong: "its head is damaged" };
  if (LAYOUT.some((value, i) => bytes.readUInt32LE(8 + 4 * i) !== value))
    return { wrong: "it is laid out for another version of this program" };
  if (bytes.length !== FILE_BYTES) return { wrong: `it is ${bytes.length} bytes long instead of ${FILE_BYTES}` };
  const newest = openPlace(bytes.readBigUInt64LE(NEWEST_AT));
  if (newest === null) return { wrong: "the number of its newest state is damaged" };
  if (newest === 0) return { newest, state: null };
  const at = slotAt(newest);
  if (openPlace(bytes.readBigUInt64LE(at)) !== newest) return { wrong: "the number of a state is damaged" };
  const decoded = decodeState(bytes.subarray(at + SLOT_HEAD, at + SLOT_BYTES));
  if ("wrong" in decoded) return decoded;
  const { state } = decoded;
  const wrong = [
    ...state.rx.map((queue, i) => wrongPlace(bytes, 2 * i, queue)),
    ...state.tx.map((queue, i) => wrongPlace(bytes, 2 * i + 1, queue)),
  ].find((why) => why !== null);
  return wrong === undefined ? { newest, state } : { wrong };
}

/** Only the positions of queues that go on there are looked at; others begin at 0 whatever they hold. */
function wrongPlace(bytes: Buffer, number: number, { info, enabled, resume }: QueueSnapshot): string | null {
  if (info === null || !(enabled || resume)) return null;
  const at = PLACES_AT + number * QPOS_BYTES;
  const words = [QPOS_DONE, QPOS_NEXT].map((word) => openPlace(bytes.readBigUInt64LE(at + word)));
  const fits = words.every((word) => word !== null && (word & QPOS_INDEX) < (info.ringLen as number));
  return fits ? null : `the position of queue ${number} is damaged`;
}

const checksum = (bytes: Buffer): Buffer => createHash("sha256").update(bytes.subarray(0, 32)).digest();
