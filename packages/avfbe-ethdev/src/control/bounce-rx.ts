// The bounce of a receive queue of the guest: each descriptor that the guest posts becomes a slot with a buffer in the arena,
// which the lcore fills. Filled slots are carried over in batches: the data, then the descriptors without the first one's
// second word, then that word. The driver looks at descriptors in order, so it sees none before all is there.
import {
  RX_DESC_BYTES,
  RX_ERROR_RXE,
  RX_ERROR_SHIFT,
  RX_LENGTH_MASK,
  RX_LENGTH_SHIFT,
  RX_STATUS_DD,
} from "@emudev/avf";
import { FRAME_MAX, GRX_BUF_SIZE } from "../layout/guest-queue.ts";
import { Bounce, type BounceOptions, isFault, type Progress } from "./bounce.ts";

const SLOTS_MAX = 512;
const BATCH = 64;
const BUFFER_BYTES = 1024 * 1024;

/** Slots of the shadow ring: as the memory allows, and enough for the longest frame. */
const slotsFor = (bufSize: number): number => {
  const frame = Math.ceil((FRAME_MAX + 8) / bufSize) + 1;
  return Math.max(frame, Math.min(SLOTS_MAX, Math.floor(BUFFER_BYTES / bufSize)));
};

export class RxBounce extends Bounce {
  readonly #bufSize: number;
  /** The guest's buffer behind each slot. */
  readonly #addresses: bigint[] = [];

  constructor(options: BounceOptions) {
    const bufSize = options.queue.get(GRX_BUF_SIZE);
    const slots = slotsFor(bufSize);
    super(options, slots, RX_DESC_BYTES, slots * bufSize);
    this.#bufSize = bufSize;
  }

  protected async turn(): Promise<Progress> {
    const carried = await this.giveBack();
    if (this.gone) return false;
    return (await this.#post()) || carried;
  }

  /** Gives the lcore a slot for each descriptor that the guest has posted. */
  async #post(): Promise<Progress> {
    const bytes = await this.fetch(Math.min(BATCH, this.freeSlots()));
    if (bytes === null || bytes.length === 0) return false;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const count = bytes.length / RX_DESC_BYTES;
    for (let i = 0; i < count; i++) {
      const slot = this.slotTail;
      this.#addresses[slot] = view.getBigUint64(i * RX_DESC_BYTES, true);
      this.arena.u64.set([BigInt(this.#bufferOff(slot)), 0n, 0n, 0n], this.slotOff(slot) >>> 3);
      this.slotTail = (slot + 1) % this.slots;
    }
    this.guestHead = (this.guestHead + count) % this.info.size;
    this.kick();
    return true;
  }

  /** Carries the slots that the lcore has filled over to the guest. */
  protected async giveBack(): Promise<Progress> {
    const open = this.distance(this.slotHead, this.slotTail);
    const first = (this.guestHead - open + this.info.size) % this.info.size;
    const most = Math.min(BATCH, this.distance(this.slotHead, this.lcoreHead()), this.info.size - first);
    let run = 0;
    while (run < most && (this.#word(this.slotHead + run) & BigInt(RX_STATUS_DD)) !== 0n) run++; // DD comes after the head
    if (run === 0) return false;
    const descs = new Uint8Array(run * RX_DESC_BYTES);
    for (let i = 0; i < run; i++) {
      const off = this.slotOff((this.slotHead + i) % this.slots);
      descs.set(this.arena.u8.subarray(off, off + RX_DESC_BYTES), i * RX_DESC_BYTES);
    }
    const view = new DataView(descs.buffer);
    const written = await Promise.all(
      Array.from({ length: run }, (_, i) => this.#deliver((this.slotHead + i) % this.slots)),
    );
    if (this.gone) return false;
    written.forEach((arrived, i) => {
      if (arrived) return;
      const at = i * RX_DESC_BYTES + 8;
      view.setBigUint64(at, view.getBigUint64(at, true) | BigInt(RX_ERROR_RXE << RX_ERROR_SHIFT), true);
      this.countFault();
    });
    const word = descs.slice(8, 16);
    view.setBigUint64(8, 0n, true);
    const end = (first + run) % this.info.size;
    this.queue.intend(end);
    await this.memory.write(this.guestAddress(first), descs);
    if (this.gone) return false;
    await this.memory.write(this.guestAddress(first) + 8n, word);
    if (this.gone) return false;
    this.queue.reach(end);
    this.slotHead = (this.slotHead + run) % this.slots;
    this.raise();
    return true;
  }

  /** Writes a slot's data to the guest; false when its buffer is not the device's to write. */
  async #deliver(slot: number): Promise<boolean> {
    const length = Number(this.#word(slot) >> BigInt(RX_LENGTH_SHIFT)) & RX_LENGTH_MASK;
    const off = this.#bufferOff(slot);
    try {
      await this.memory.write(this.#addresses[slot]!, this.arena.u8.slice(off, off + length));
      return true;
    } catch (error) {
      if (!isFault(error)) throw error;
      return false;
    }
  }

  #bufferOff(slot: number): number {
    return this.buffersOff + slot * this.#bufSize;
  }

  #word(slot: number): bigint {
    return Atomics.load(this.arena.u64, (this.slotOff(slot % this.slots) + 8) >>> 3);
  }
}
