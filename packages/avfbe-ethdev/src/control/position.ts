// Where a queue of the guest stands beyond this port's hold on it (emudev's layout/position.ts): taken up when the queue is
// enabled, left when it is let go. A durable position is written by the lcore; when its process was killed in the middle of a
// burst, the descriptors in between are put in order here: of a transmit queue they are given back, of a receive queue those
// whose write back is lost are given back with an error, since what they were to hold comes again from who sent it.
import {
  RX_DESC_BYTES,
  RX_ERROR_RXE,
  RX_ERROR_SHIFT,
  RX_STATUS_DD,
  RX_STATUS_EOF,
  TX_DESC_BYTES,
  TX_DTYPE_DONE,
} from "@emudev/avf";
import { type EmuDevMemTable, MEM_PROT_READ, MEM_PROT_WRITE, QPOS_INDEX, type QueuePlace } from "@emudev/emudev";
import type { Arena } from "@emudev/shm";

/** A ring of the guest as this thread writes to it. */
export interface GuestRing {
  arena: Arena;
  memory: EmuDevMemTable;
  base: bigint;
  size: number;
}

const offOf = ({ memory, base }: GuestRing, bytes: number): number =>
  memory.translate(base, bytes, MEM_PROT_READ | MEM_PROT_WRITE);

/** Gives transmit descriptors back; nothing where the ring is not mapped. */
export function completeTx(ring: GuestRing, from: number, to: number): void {
  const off = offOf(ring, ring.size * TX_DESC_BYTES);
  if (off === 0) return;
  for (let at = from; at !== to; at = (at + 1) % ring.size) {
    const desc = off + at * TX_DESC_BYTES;
    Atomics.store(ring.arena.u64, (desc + 8) >>> 3, BigInt(TX_DTYPE_DONE));
    ring.memory.dirty.noteAt(desc, TX_DESC_BYTES);
  }
}

/**
 * Puts in order what a killed process left, and says where the queue goes on. The driver stands still while it reconnects, but
 * has taken what it saw given back before: the descriptors up to its tail are its new ones then. Of a ring that is not mapped
 * nothing can be seen: it goes on at the first descriptor in question.
 * @param intend told that descriptors up to an index are about to be given back, should this process be killed, too
 * @returns the index
 */
export function recover(
  ring: GuestRing,
  kind: "rx" | "tx",
  place: QueuePlace,
  tail: number,
  intend: (index: number) => void,
): number {
  const from = place.done & QPOS_INDEX;
  const to = place.next & QPOS_INDEX;
  const { size } = ring;
  if (from >= size || to >= size) return 0;
  const distance = (index: number): number => (index - from + size) % size;
  const posted = distance(tail) < distance(to) ? distance(tail) : 0; // descriptors from `from` on that are new ones
  const first = (from + posted) % size;
  if (offOf(ring, size * (kind === "tx" ? TX_DESC_BYTES : RX_DESC_BYTES)) === 0) return posted === 0 ? from : to;
  if (kind === "tx") {
    completeTx(ring, first, to);
    return to;
  }
  const end = endOfBegun(ring, to, tail);
  if (end !== to) intend(end);
  giveUpRx(ring, first, end);
  return end;
}

/**
 * Behind the last burst that was about to be written back, the next one may have been begun. The address of a buffer is cleared
 * before its descriptor is given back: without both, the process died in between.
 */
function endOfBegun(ring: GuestRing, from: number, tail: number): number {
  const off = offOf(ring, ring.size * RX_DESC_BYTES);
  const { u64 } = ring.arena;
  const end = tail < ring.size ? tail : from;
  let at = from;
  while (at !== end) {
    const desc = (off + at * RX_DESC_BYTES) >>> 3;
    if (u64[desc] !== 0n || (Atomics.load(u64, desc + 1) & BigInt(RX_STATUS_DD)) !== 0n) break;
    at = (at + 1) % ring.size;
  }
  return at;
}

/** Gives back, with an error, what is not given back yet. */
function giveUpRx(ring: GuestRing, from: number, to: number): void {
  const off = offOf(ring, ring.size * RX_DESC_BYTES);
  const { u64 } = ring.arena;
  for (let at = from; at !== to; at = (at + 1) % ring.size) {
    const desc = (off + at * RX_DESC_BYTES) >>> 3;
    if ((Atomics.load(u64, desc + 1) & BigInt(RX_STATUS_DD)) !== 0n) continue;
    const status = RX_STATUS_DD | RX_STATUS_EOF | (RX_ERROR_RXE << RX_ERROR_SHIFT);
    u64[desc] = 0n;
    Atomics.store(u64, desc + 1, BigInt(status >>> 0));
    ring.memory.dirty.noteAt(desc * 8, RX_DESC_BYTES);
  }
}
