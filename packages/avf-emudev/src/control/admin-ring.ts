// The registers of one admin queue (VF_ATQ*, VF_ARQ*) and what they make of it. Both queues of admin-queue.ts work on one. All of
// it is the guest's to write at any time, so a queue is judged again before every descriptor.
import { AQ_DESC_BYTES, AQ_INDEX_MASK, AQ_LEN_CRIT, AQ_LEN_ENABLE } from "@emudev/avf";

/** Guest memory, by guest address. Rejects outside of what the guest has mapped. */
export interface GuestMemory {
  read(iova: bigint, bytes: number): Promise<Uint8Array>;
  write(iova: bigint, data: Uint8Array): Promise<void>;
}

export class AdminRing {
  head = 0;
  tail = 0;
  /** Entries and the flags AQ_LEN_*. */
  len = 0;
  bal = 0;
  bah = 0;

  get enabled(): boolean {
    return (this.len & AQ_LEN_ENABLE) !== 0;
  }

  get entries(): number {
    return this.len & AQ_INDEX_MASK;
  }

  /** Why an enabled queue cannot be worked on, by the counter that counts it; null when it can, or is off. */
  get fault(): "aqBadQueues" | "aqBadTails" | null {
    if (!this.enabled) return null;
    if (this.entries === 0 || this.head >= this.entries || this.bal % AQ_DESC_BYTES !== 0) return "aqBadQueues";
    return this.tail < this.entries ? null : "aqBadTails";
  }

  /** There is a descriptor at `head` for the device. */
  get ready(): boolean {
    return this.enabled && (this.len & AQ_LEN_CRIT) === 0 && this.fault === null && this.head !== this.tail;
  }

  /** Guest address of the descriptor at `head`. The base is read here, since drivers write it after enabling the queue. */
  get address(): bigint {
    return ((BigInt(this.bah >>> 0) << 32n) | BigInt(this.bal >>> 0)) + BigInt(this.head * AQ_DESC_BYTES);
  }

  advance(): void {
    this.head = this.head + 1 < this.entries ? this.head + 1 : 0;
  }

  /** The ring cannot be reached: off until the driver writes the length register again. */
  fail(): void {
    this.len |= AQ_LEN_CRIT;
  }

  /** Off, with head and tail as they are. */
  turnOff(): void {
    this.len = 0;
  }

  /** As after power-on. */
  clear(): void {
    this.head = 0;
    this.tail = 0;
    this.len = 0;
    this.bal = 0;
    this.bah = 0;
  }
}
