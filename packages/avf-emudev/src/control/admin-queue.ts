// The admin queues (section "Admin queues" of the datasheets; layout in package avf): commands from the driver on the send
// queue (ATQ), messages to it on the receive queue (ARQ). Both run as tasks of their own over guest memory that may take
// messages to reach, so a register write never waits; a reset makes what is under way void (#generation). The rings are
// the guest's: every length, tail, descriptor and address is checked after it was copied.
import {
  AQ_BUF_MAX,
  AQ_DESC_BYTES,
  AQ_FLAG_BUF,
  AQ_FLAG_CMP,
  AQ_FLAG_DD,
  AQ_FLAG_ERR,
  AQ_FLAG_LB,
  AQ_INDEX_MASK,
  AQ_LARGE_BUF,
  AQ_LEN_CRIT,
  AQ_LEN_ENABLE,
  AQ_OP_GET_VERSION,
  AQ_OP_QUEUE_SHUTDOWN,
  AQ_OP_SEND_MSG_TO_PF,
  AQ_OP_SEND_MSG_TO_VF,
  AQ_RC_EFAULT,
  AQ_RC_EINVAL,
  AQ_RC_ESRCH,
  AQ_RC_OK,
  type AqDescriptor,
  aqDescriptor,
  aqDescriptorCodec,
  decode,
  encode,
} from "@emudev/avf";
import type { Counters } from "./counters.ts";

/** Guest memory, by guest address. Rejects outside of what the guest has mapped. */
export interface GuestMemory {
  read(iova: bigint, bytes: number): Promise<Uint8Array>;
  write(iova: bigint, data: Uint8Array): Promise<void>;
}

/** What the queues need of the device. */
export interface AdminQueueHost {
  /** A virtchnl message has come; resolves when it is dealt with. Must not reject. */
  message(op: number, data: Uint8Array): Promise<void>;
  /** A message lies in the receive queue: cause ADMINQ. */
  arqEvent(): void;
}

/** The registers of one queue. */
class QueueRegisters {
  head = 0;
  tail = 0;
  len = 0;
  bal = 0;
  bah = 0;

  get enabled(): boolean {
    return (this.len & AQ_LEN_ENABLE) !== 0;
  }

  get entries(): number {
    return this.len & AQ_INDEX_MASK;
  }

  descriptor(index: number): bigint {
    return ((BigInt(this.bah >>> 0) << 32n) | BigInt(this.bal >>> 0)) + BigInt(index * AQ_DESC_BYTES);
  }

  advance(): void {
    this.head = this.head + 1 < this.entries ? this.head + 1 : 0;
  }

  clear(): void {
    this.tail = 0;
    this.len = 0;
    this.bal = 0;
    this.bah = 0;
  }
}

interface Message {
  op: number;
  status: number;
  data: Uint8Array;
}

/** Messages that wait for a free receive descriptor. */
const BACKLOG_MAX = 64;

export class AdminQueues {
  readonly atq = new QueueRegisters();
  readonly arq = new QueueRegisters();
  readonly #memory: GuestMemory;
  readonly #host: AdminQueueHost;
  readonly #counters: Counters;
  #backlog: Message[] = [];
  #generation = 0;
  #running = false;
  #sending = false;

  constructor(memory: GuestMemory, host: AdminQueueHost, counters: Counters) {
    this.#memory = memory;
    this.#host = host;
    this.#counters = counters;
  }

  /** VF_ATQT1 was written: deals with what lies between head and tail. Returns at once. */
  kick(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#run(this.#generation).finally(() => {
      this.#running = false;
      // A kick, or a reset and a new queue, may have come since the task looked last.
      if (this.#hasWork()) this.kick();
    });
  }

  /** Puts a message into the receive queue, in order, as soon as it has a free descriptor. */
  send(op: number, status: number, data: Uint8Array): void {
    if (this.#backlog.length >= BACKLOG_MAX) {
      this.#counters.arqDropped++;
      return;
    }
    this.#backlog.push({ op, status, data });
    this.flush();
  }

  /** VF_ARQT1 was written, or there is a new message. */
  flush(): void {
    if (this.#sending) return;
    this.#sending = true;
    void this.#deliver(this.#generation).finally(() => {
      this.#sending = false;
      if (this.#backlog.length > 0 && this.#arqReady()) this.flush();
    });
  }

  /** A length register was written: what is under way belonged to the queue as it was. */
  reconfigured(): void {
    this.#generation++;
    this.kick();
    this.flush();
  }

  /**
   * Off, as after a reset: lengths read 0, so drivers see that it happened. The heads stay: a driver that unloads compares
   * ATQH with what it sent, and a driver that goes on writes both heads anyway.
   */
  reset(): void {
    this.#generation++;
    this.#backlog = [];
    this.atq.clear();
    this.arq.clear();
  }

  #hasWork(): boolean {
    const { atq } = this;
    return atq.enabled && (atq.len & AQ_LEN_CRIT) === 0 && atq.tail < atq.entries && atq.head !== atq.tail;
  }

  #arqReady(): boolean {
    const { arq } = this;
    return arq.enabled && (arq.len & AQ_LEN_CRIT) === 0 && arq.entries > 0 && arq.head !== arq.tail;
  }

  /** Whether the queue can be worked on; a length or tail that makes no sense is counted once per look. */
  #usable(queue: QueueRegisters): boolean {
    if (!queue.enabled || (queue.len & AQ_LEN_CRIT) !== 0) return false;
    if (queue.entries === 0 || queue.head >= queue.entries || (queue.bal & (AQ_DESC_BYTES - 1)) !== 0) {
      this.#counters.aqBadQueues++;
      return false;
    }
    if (queue.tail < queue.entries) return true;
    this.#counters.aqBadTails++;
    return false;
  }

  async #run(generation: number): Promise<void> {
    const { atq } = this;
    while (generation === this.#generation && this.#usable(atq) && atq.head !== atq.tail) {
      const at = atq.descriptor(atq.head);
      let message: Message | null = null;
      try {
        const descriptor = decode(aqDescriptorCodec, await this.#memory.read(at, AQ_DESC_BYTES))!;
        message = await this.#execute(descriptor);
        if (generation !== this.#generation) return;
        await this.#memory.write(at, encode(aqDescriptorCodec, descriptor));
      } catch {
        if (generation !== this.#generation) return;
        this.#counters.aqFaults++;
        atq.len |= AQ_LEN_CRIT;
        return;
      }
      if (generation !== this.#generation) return;
      // The command is complete before its effects are seen, as on hardware: a RESET_VF can still be waited for.
      atq.advance();
      if (message !== null) await this.#host.message(message.op, message.data);
    }
  }

  /** Carries out a command and completes its descriptor; returns the virtchnl message it carried, if it did. */
  async #execute(descriptor: AqDescriptor): Promise<Message | null> {
    this.#counters.aqCommands++;
    let rc = AQ_RC_OK;
    let message: Message | null = null;
    switch (descriptor.opcode) {
      case AQ_OP_SEND_MSG_TO_PF: {
        const data = await this.#readBuffer(descriptor);
        if (typeof data === "number") rc = data;
        else message = { op: descriptor.cookieHigh, status: 0, data };
        break;
      }
      case AQ_OP_GET_VERSION:
      case AQ_OP_QUEUE_SHUTDOWN:
        break;
      default:
        this.#counters.aqUnknownOpcodes++;
        rc = AQ_RC_ESRCH;
    }
    descriptor.flags |= AQ_FLAG_DD | AQ_FLAG_CMP | (rc === AQ_RC_OK ? 0 : AQ_FLAG_ERR);
    descriptor.retval = rc;
    return message;
  }

  async #readBuffer(descriptor: AqDescriptor): Promise<Uint8Array | number> {
    if ((descriptor.flags & AQ_FLAG_BUF) === 0 || descriptor.datalen === 0) return new Uint8Array(0);
    if (aqDescriptorCodec.invalid(descriptor) !== null) {
      this.#counters.aqBadDescriptors++;
      return AQ_RC_EINVAL;
    }
    try {
      return await this.#memory.read(descriptor.address, descriptor.datalen);
    } catch {
      this.#counters.aqBadDescriptors++;
      return AQ_RC_EFAULT;
    }
  }

  async #deliver(generation: number): Promise<void> {
    const { arq } = this;
    while (generation === this.#generation && this.#backlog.length > 0 && this.#usable(arq) && arq.head !== arq.tail) {
      const message = this.#backlog[0]!;
      const at = arq.descriptor(arq.head);
      try {
        const given = decode(aqDescriptorCodec, await this.#memory.read(at, AQ_DESC_BYTES))!;
        if (message.data.length > Math.min(given.datalen, AQ_BUF_MAX)) {
          this.#counters.arqDropped++;
          if (generation === this.#generation) this.#backlog.shift();
          continue;
        }
        if (message.data.length > 0) await this.#memory.write(given.address, message.data);
        if (generation !== this.#generation) return;
        await this.#memory.write(at, encode(aqDescriptorCodec, completed(message, given)));
      } catch {
        if (generation !== this.#generation) return;
        this.#counters.aqFaults++;
        arq.len |= AQ_LEN_CRIT;
        return;
      }
      if (generation !== this.#generation) return;
      this.#backlog.shift();
      this.#counters.arqMessages++;
      arq.advance();
      this.#host.arqEvent();
    }
  }
}

/** The receive descriptor as the device writes it back. */
function completed({ op, status, data }: Message, { address }: AqDescriptor): AqDescriptor {
  const large = data.length > AQ_LARGE_BUF ? AQ_FLAG_LB : 0;
  return aqDescriptor({
    flags: AQ_FLAG_DD | AQ_FLAG_CMP | AQ_FLAG_BUF | large,
    opcode: AQ_OP_SEND_MSG_TO_VF,
    datalen: data.length,
    cookieHigh: op,
    cookieLow: status,
    address,
  });
}
