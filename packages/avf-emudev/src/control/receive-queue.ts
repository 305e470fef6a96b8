// The admin receive queue (ARQ): messages to the driver, in order. For each the driver must have given a buffer; while it has
// not, messages wait in a bounded backlog. Buffer first, then descriptor, then ARQH, then the interrupt, so that a driver that
// sees one finds the ones before. Used by admin-queue.ts.
import {
  AQ_BUF_MAX,
  AQ_DESC_BYTES,
  AQ_FLAG_BUF,
  AQ_FLAG_CMP,
  AQ_FLAG_DD,
  AQ_FLAG_LB,
  AQ_LARGE_BUF,
  AQ_OP_SEND_MSG_TO_VF,
  aqDescriptor,
  aqDescriptorCodec,
  decode,
  encode,
  VIRTCHNL_STATUS,
} from "@emudev/avf";
import { AdminRing, type GuestMemory } from "./admin-ring.ts";
import type { Counters } from "./counters.ts";

export interface Message {
  op: number;
  status: number;
  data: Uint8Array;
}

/** Messages that wait for a buffer. A driver has one command under way, so more is a driver that does not listen. */
const BACKLOG_MAX = 64;
const NO_DATA = new Uint8Array(0);

export class ReceiveQueue {
  readonly ring = new AdminRing();
  readonly #memory: GuestMemory;
  readonly #delivered: () => void;
  readonly #counters: Counters;
  /** Messages that wait, oldest first. */
  backlog: Message[] = [];
  #paused = false;
  #resting = false;
  #generation = 0;
  #task: Promise<void> | null = null;

  /** @param delivered a message lies in the queue and ARQH shows it */
  constructor(memory: GuestMemory, delivered: () => void, counters: Counters) {
    this.#memory = memory;
    this.#delivered = delivered;
    this.#counters = counters;
  }

  /** Delivers a message as soon as there is a buffer for it; with the queue off or the backlog full it is dropped. */
  send(op: number, status: number, data: Uint8Array): void {
    if (!this.ring.enabled || this.backlog.length >= BACKLOG_MAX) {
      this.#counters.arqDropped++;
      return;
    }
    this.backlog.push({ op, status, data });
    this.#start();
  }

  /** VF_ARQT1 was written: there may be buffers. */
  kick(): void {
    const { fault } = this.ring;
    if (fault !== null) this.#counters[fault]++;
    this.#start();
  }

  /** The queue is another one now; messages that have not been delivered go to it. */
  interrupt(): void {
    this.#generation++;
    this.#start();
  }

  /** Delivers nothing any more; resolves when the message under way is there. */
  async pause(): Promise<void> {
    this.#paused = true;
    await this.#task;
  }

  resume(): void {
    this.#paused = false;
    this.#start();
  }

  /** Nobody waits for these messages any more. */
  drop(): void {
    this.#generation++;
    this.backlog = [];
  }

  /** Resolves when what can be delivered is. */
  async idle(): Promise<void> {
    while (this.#task !== null) await this.#task;
  }

  /** Void what waits and begin nothing until `wake`; resolves when nothing runs. */
  async rest(): Promise<void> {
    this.#resting = true;
    this.drop();
    await this.#task;
  }

  wake(): void {
    this.#resting = false;
  }

  #start(): void {
    if (this.#task !== null || this.#paused || this.#resting || this.backlog.length === 0 || !this.ring.ready) return;
    this.#task = this.#run(this.#generation).finally(() => {
      this.#task = null;
      this.#start();
    });
  }

  async #run(generation: number): Promise<void> {
    const goesOn = () => generation === this.#generation && !this.#paused;
    while (goesOn() && this.backlog.length > 0 && this.ring.ready) {
      await this.#deliver(this.backlog[0]!, generation);
    }
  }

  async #deliver(message: Message, generation: number): Promise<void> {
    const { ring } = this;
    const { address } = ring;
    try {
      const given = decode(aqDescriptorCodec, await this.#memory.read(address, AQ_DESC_BYTES))!;
      const { op, status, data } = this.#fit(message, Math.min(given.datalen, AQ_BUF_MAX));
      if (generation !== this.#generation) return;
      if (data.length > 0) await this.#memory.write(given.address, data);
      if (generation !== this.#generation) return;
      const completed = aqDescriptor({
        flags: AQ_FLAG_DD | AQ_FLAG_CMP | AQ_FLAG_BUF | (data.length > AQ_LARGE_BUF ? AQ_FLAG_LB : 0),
        opcode: AQ_OP_SEND_MSG_TO_VF,
        datalen: data.length,
        cookieHigh: op,
        cookieLow: status,
        address: given.address,
      });
      await this.#memory.write(address, encode(aqDescriptorCodec, completed));
    } catch {
      if (generation !== this.#generation) return;
      this.#counters.aqFaults++;
      ring.fail();
      return;
    }
    if (generation !== this.#generation) return;
    this.backlog.shift();
    this.#counters.arqMessages++;
    ring.advance();
    this.#delivered();
  }

  /** A message that the driver's buffer does not hold arrives without data and with an error, so that it waits no longer. */
  #fit(message: Message, room: number): Message {
    if (message.data.length <= room) return message;
    this.#counters.arqDropped++;
    return { op: message.op, status: VIRTCHNL_STATUS.ERR_NO_MEMORY, data: NO_DATA };
  }
}
