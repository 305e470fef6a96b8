// The bounce of a transmit queue of the guest: descriptors are fetched in batches, the buffers of a batch at once, and each
// becomes a slot of the shadow ring with its bytes in the arena. Slots that the lcore has passed are completed in the
// guest's ring, in order, and one interrupt is raised.
import {
  TX_BUF_SIZE_MASK,
  TX_BUF_SIZE_SHIFT,
  TX_CMD_EOP,
  TX_CMD_SHIFT,
  TX_DESC_BYTES,
  TX_DTYPE_DATA,
  TX_DTYPE_DONE,
  TX_DTYPE_MASK,
} from "@emudev/avf";
import { GQ_HEAD, GTX_DONE } from "../layout/guest-queue.ts";
import { Bounce, type BounceOptions, isFault, NOWHERE, type Progress } from "./bounce.ts";
import { ByteRing } from "./byte-ring.ts";

const SLOTS = 512; // above the descriptors that any packet may have, so that each is complete or refused
const BATCH = 64;
const BUFFER_BYTES = 1024 * 1024;
const PACKET_BYTES_MAX = 128 * 1024; // more than any packet may have: what is beyond is refused by the kernel anyway

interface Part {
  address: bigint;
  word: bigint;
  isData: boolean;
  /** Bytes of its buffer that are carried, where, and the buffer memory's position behind them. */
  bytes: number;
  at: number;
  end: number;
}

export class TxBounce extends Bounce {
  /** What was fetched into each slot, for the completion. */
  readonly #parts: Part[] = [];
  readonly #buffers = new ByteRing(BUFFER_BYTES);
  /** Bytes of the packet that is not complete yet. */
  #packetBytes = 0;

  constructor(options: BounceOptions) {
    super(options, SLOTS, TX_DESC_BYTES, BUFFER_BYTES);
  }

  /** What it has taken and not given back may be lent, or be lost with this process. */
  protected override lcoreHead(): number {
    return this.queue.get(GTX_DONE);
  }

  protected override lcoreLeft(): void {
    this.queue.put(GTX_DONE, this.queue.get(GQ_HEAD));
  }

  protected async turn(): Promise<Progress> {
    const completed = await this.giveBack();
    if (this.gone) return false;
    return (await this.#carry()) || completed;
  }

  async #carry(): Promise<Progress> {
    const bytes = await this.fetch(Math.min(BATCH, this.freeSlots()));
    if (bytes === null || bytes.length === 0) return false;
    const parts = this.#plan(bytes);
    const buffers = await Promise.all(parts.map((part) => this.#read(part)));
    if (this.gone) return false;
    parts.forEach((part, i) => {
      const buffer = buffers[i];
      const to = this.buffersOff + part.at;
      const at = this.slotOff(this.slotTail) >>> 3;
      if (buffer) this.arena.u8.set(buffer, to);
      this.arena.u64[at] = buffer ? BigInt(to) : part.isData ? NOWHERE : part.address;
      this.arena.u64[at + 1] = part.word;
      this.#parts[this.slotTail] = part;
      this.slotTail = (this.slotTail + 1) % SLOTS;
    });
    this.guestHead = (this.guestHead + parts.length) % this.info.size;
    this.kick();
    return parts.length > 0;
  }

  /** Finds room for the buffers of a batch; ends it where there is none. */
  #plan(bytes: Uint8Array): Part[] {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const parts: Part[] = [];
    for (let i = 0; i < bytes.length; i += TX_DESC_BYTES) {
      const address = view.getBigUint64(i, true);
      const word = view.getBigUint64(i + 8, true);
      const isData = (Number(word & 0xffn) & TX_DTYPE_MASK) === TX_DTYPE_DATA;
      const size = isData ? Number(word >> BigInt(TX_BUF_SIZE_SHIFT)) & TX_BUF_SIZE_MASK : 0;
      const carried = this.#packetBytes + size > PACKET_BYTES_MAX ? 0 : size;
      const place = this.#buffers.take(carried);
      if (place === null) break;
      parts.push({ address, word, isData, bytes: carried, ...place });
      if (!isData) continue;
      const isEnd = (Number(word & 0xffffn) >> TX_CMD_SHIFT) & TX_CMD_EOP;
      this.#packetBytes = isEnd ? 0 : this.#packetBytes + carried;
    }
    return parts;
  }

  async #read({ address, bytes }: Part): Promise<Uint8Array | null> {
    if (bytes === 0) return null;
    try {
      return await this.memory.read(address, bytes);
    } catch (error) {
      if (!isFault(error)) throw error;
      return null; // the kernel finds its address nowhere, and counts that
    }
  }

  /** Gives the slots that the lcore has passed back to the guest. */
  protected async giveBack(): Promise<Progress> {
    const done = this.distance(this.slotHead, this.lcoreHead());
    if (done === 0) return false;
    const open = this.distance(this.slotHead, this.slotTail);
    const first = (this.guestHead - open + this.info.size) % this.info.size;
    const run = Math.min(done, this.info.size - first); // up to the end of the guest's ring
    const bytes = new Uint8Array(run * TX_DESC_BYTES);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < run; i++) {
      view.setBigUint64(i * TX_DESC_BYTES, this.#parts[(this.slotHead + i) % SLOTS]!.address, true);
      view.setBigUint64(i * TX_DESC_BYTES + 8, BigInt(TX_DTYPE_DONE), true);
    }
    const end = (first + run) % this.info.size;
    this.queue.intend(end);
    await this.memory.write(this.guestAddress(first), bytes);
    if (this.gone) return false;
    this.queue.reach(end);
    this.#buffers.release(this.#parts[(this.slotHead + run - 1) % SLOTS]!.end);
    this.slotHead = (this.slotHead + run) % SLOTS;
    this.raise();
    return true;
  }
}
