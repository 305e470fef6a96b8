// The two admin queues as the driver has them: rings of 32 descriptors with a buffer of 4,096 bytes each, in the arena. It is
// set up in the order of Linux (head, tail, length with enable, base; the base is read back and must be what was written),
// sends one message at a time and takes what the device put into the receive queue. What the device writes is copied and
// its lengths are checked before anything is made of it.

import * as AQ from "@emudev/avf";
import { type AqDescriptor, aqDescriptor, aqDescriptorCodec, aqRcName } from "@emudev/avf";
import type { Arena, Memzone } from "@emudev/shm";
import type { Bar0 } from "./bar0.ts";
import { IavfError } from "./errors.ts";
import { iovaOf } from "./iova.ts";

export const ADMIN_QUEUE_ENTRIES = 32;
const RING_BYTES = ADMIN_QUEUE_ENTRIES * AQ.AQ_DESC_BYTES;
const BUFFERS_BYTES = ADMIN_QUEUE_ENTRIES * AQ.AQ_BUF_MAX;
const DONE_TRIES = 25;
const DONE_WAIT_MS = 10;

/** A virtchnl message from the device; `bytes` is a copy. */
export interface AdminMessage {
  op: number;
  status: number;
  bytes: Uint8Array;
}

export class AdminQueue {
  readonly #arena: Arena;
  #bar0: Bar0;
  readonly #zone: Memzone;
  readonly #view: DataView;
  readonly #name: string;
  readonly #free: () => void;
  #sendNext = 0;
  #receiveNext = 0;
  /** How often the queues were set up. */
  #generation = 0;
  /** Messages of the device that made no sense. */
  malformed = 0;

  /** @throws ShmError when the arena has no room */
  constructor(arena: Arena, bar0: Bar0, name: string) {
    this.#arena = arena;
    this.#bar0 = bar0;
    this.#name = name;
    this.#zone = arena.memzoneReserve(`${name}_aq`, 2 * (RING_BYTES + BUFFERS_BYTES), 4096);
    this.#free = () => arena.memzoneFree(this.#zone.name);
    this.#view = new DataView(arena.memory.buffer, this.#zone.off, this.#zone.bytes);
  }

  /** The device is behind other registers from now on; the rings and the places in them are the same. */
  rebind(bar0: Bar0): void {
    this.#bar0 = bar0;
  }

  /** Whether the device has these two queues, as they were set up. */
  async isKept(): Promise<boolean> {
    if (this.#generation === 0) return false;
    for (const { length, low, high, ring } of [SEND, RECEIVE]) {
      const base = iovaOf(this.#zone.off + ring);
      if ((await this.#bar0.read(length)) !== LENGTH) return false;
      if ((await this.#bar0.read(low)) !== Number(base & 0xffffffffn)) return false;
      if ((await this.#bar0.read(high)) !== Number(base >> 32n)) return false;
    }
    return true;
  }

  /** Takes both queues from a device that has them. */
  async turnOff(): Promise<void> {
    this.#generation++;
    for (const { length } of [SEND, RECEIVE]) await this.#bar0.write(length, 0);
  }

  /** Sets both queues up, empty; also after a reset of the device. */
  async init(): Promise<void> {
    this.#generation++;
    this.#sendNext = 0;
    this.#receiveNext = 0;
    this.#arena.u8.fill(0, this.#zone.off, this.#zone.off + this.#zone.bytes);
    await this.#initRegisters(SEND);
    for (let i = 0; i < ADMIN_QUEUE_ENTRIES; i++) this.#offer(i);
    await this.#initRegisters(RECEIVE);
    await this.#bar0.write("VF_ARQT1", ADMIN_QUEUE_ENTRIES - 1);
  }

  /**
   * Sends a virtchnl message; resolves when the device knows of it.
   * @throws IavfError ARG when it is longer than AQ_BUF_MAX, TIMEOUT when the device has not taken the message that last used this descriptor
   */
  async send(op: number, bytes: Uint8Array): Promise<void> {
    if (bytes.length > AQ.AQ_BUF_MAX)
      throw new IavfError("ARG", `${this.#name}: a message of ${bytes.length} bytes; ${AQ.AQ_BUF_MAX} is the most`);
    const at = this.#sendNext;
    const generation = this.#generation;
    await this.#waitDone(at);
    if (generation !== this.#generation) throw new IavfError("GONE", `${this.#name}: the admin queues are others now`);
    const buffer = SEND_BUFFERS + at * AQ.AQ_BUF_MAX;
    this.#arena.u8.set(bytes, this.#zone.off + buffer);
    const descriptor = aqDescriptor({ flags: AQ.AQ_FLAG_SI, opcode: AQ.AQ_OP_SEND_MSG_TO_PF, cookieHigh: op });
    if (bytes.length > 0) {
      descriptor.flags |= AQ.AQ_FLAG_BUF | AQ.AQ_FLAG_RD | (bytes.length > AQ.AQ_LARGE_BUF ? AQ.AQ_FLAG_LB : 0);
      descriptor.datalen = bytes.length;
      descriptor.address = iovaOf(this.#zone.off + buffer);
    }
    this.#put(SEND_RING, at, descriptor);
    this.#sendNext = (at + 1) % ADMIN_QUEUE_ENTRIES;
    await this.#bar0.write("VF_ATQT1", this.#sendNext);
  }

  /** Why the device refused the message sent last, as its written-back descriptor has it; null when it did not. */
  sendFailure(): string | null {
    const { flags, retval } = this.#get(SEND_RING, (this.#sendNext + ADMIN_QUEUE_ENTRIES - 1) % ADMIN_QUEUE_ENTRIES);
    return (flags & AQ.AQ_FLAG_DD) !== 0 && (flags & AQ.AQ_FLAG_ERR) !== 0 ? aqRcName(retval) : null;
  }

  /** The messages that have come, at most a ring full; their buffers go back to the device. */
  async receive(): Promise<AdminMessage[]> {
    const messages: AdminMessage[] = [];
    const head = (await this.#bar0.read("VF_ARQH1")) & AQ.AQ_INDEX_MASK;
    if (head >= ADMIN_QUEUE_ENTRIES) throw new IavfError("PROTOCOL", `${this.#name}: admin queue head ${head}`);
    let last = -1;
    while (this.#receiveNext !== head) {
      last = this.#receiveNext;
      const message = this.#take(last);
      if (message === null) this.malformed++;
      else messages.push(message);
      this.#offer(last);
      this.#receiveNext = (last + 1) % ADMIN_QUEUE_ENTRIES;
    }
    if (last >= 0) await this.#bar0.write("VF_ARQT1", last);
    return messages;
  }

  /** Frees the memory. The device must not know of it any more. */
  free(): void {
    this.#free();
  }

  async #initRegisters({ head, tail, length, low, high, ring }: Registers): Promise<void> {
    const base = iovaOf(this.#zone.off + ring);
    const baseLow = Number(base & 0xffffffffn);
    await this.#bar0.write(head, 0);
    await this.#bar0.write(tail, 0);
    await this.#bar0.write(length, LENGTH);
    await this.#bar0.write(low, baseLow);
    await this.#bar0.write(high, Number(base >> 32n));
    const back = await this.#bar0.read(low);
    if (back !== baseLow)
      throw new IavfError(
        "DEVICE",
        `${this.#name}: ${low} reads 0x${back.toString(16)} after 0x${baseLow.toString(16)} was written`,
      );
  }

  #offer(index: number): void {
    const address = iovaOf(this.#zone.off + RECEIVE_BUFFERS + index * AQ.AQ_BUF_MAX);
    const flags = AQ.AQ_FLAG_BUF | AQ.AQ_FLAG_LB;
    this.#put(RECEIVE_RING, index, aqDescriptor({ flags, datalen: AQ.AQ_BUF_MAX, address }));
  }

  #take(index: number): AdminMessage | null {
    const { flags, opcode, datalen, cookieHigh, cookieLow } = this.#get(RECEIVE_RING, index);
    if ((flags & AQ.AQ_FLAG_DD) === 0 || opcode !== AQ.AQ_OP_SEND_MSG_TO_VF || datalen > AQ.AQ_BUF_MAX) return null;
    const at = this.#zone.off + RECEIVE_BUFFERS + index * AQ.AQ_BUF_MAX;
    return { op: cookieHigh, status: cookieLow, bytes: Uint8Array.from(this.#arena.u8.subarray(at, at + datalen)) };
  }

  // A descriptor that was never used is all zero; one in use has an opcode until the device marks it done.
  async #waitDone(index: number): Promise<void> {
    for (let tries = 0; tries < DONE_TRIES; tries++) {
      const { flags, opcode } = this.#get(SEND_RING, index);
      if (opcode === 0 || (flags & AQ.AQ_FLAG_DD) !== 0) return;
      await new Promise((resolve) => setTimeout(resolve, DONE_WAIT_MS));
    }
    throw new IavfError("TIMEOUT", `${this.#name}: the device does not take messages from the admin send queue`);
  }

  #put(ring: number, index: number, descriptor: AqDescriptor): void {
    aqDescriptorCodec.encodeInto(this.#view, ring + index * AQ.AQ_DESC_BYTES, descriptor);
  }

  #get(ring: number, index: number): AqDescriptor {
    return aqDescriptorCodec.decode(this.#view, ring + index * AQ.AQ_DESC_BYTES, AQ.AQ_DESC_BYTES)!;
  }
}

// Places in the memzone.
const SEND_RING = 0;
const RECEIVE_RING = RING_BYTES;
const LENGTH = (ADMIN_QUEUE_ENTRIES | AQ.AQ_LEN_ENABLE) >>> 0;
const SEND_BUFFERS = 2 * RING_BYTES;
const RECEIVE_BUFFERS = 2 * RING_BYTES + BUFFERS_BYTES;

interface Registers {
  head: AQ.RegName;
  tail: AQ.RegName;
  length: AQ.RegName;
  low: AQ.RegName;
  high: AQ.RegName;
  ring: number;
}
const SEND: Registers = {
  head: "VF_ATQH1",
  tail: "VF_ATQT1",
  length: "VF_ATQLEN1",
  low: "VF_ATQBAL1",
  high: "VF_ATQBAH1",
  ring: SEND_RING,
};
const RECEIVE: Registers = {
  head: "VF_ARQH1",
  tail: "VF_ARQT1",
  length: "VF_ARQLEN1",
  low: "VF_ARQBAL1",
  high: "VF_ARQBAH1",
  ring: RECEIVE_RING,
};
