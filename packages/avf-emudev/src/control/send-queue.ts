// The admin send queue (ATQ): commands of the driver. A write of its tail starts a task that takes descriptors one after another,
// so the write itself never waits. A descriptor is copied, judged, completed and passed (ATQH) before its command takes
// effect, as on hardware: the driver may wait for ATQH although the effect is a reset. Used by admin-queue.ts.
import {
  AQ_DESC_BYTES,
  AQ_FLAG_BUF,
  AQ_FLAG_CMP,
  AQ_FLAG_DD,
  AQ_FLAG_ERR,
  AQ_OP_GET_VERSION,
  AQ_OP_QUEUE_SHUTDOWN,
  AQ_OP_SEND_MSG_TO_PF,
  AQ_RC_EFAULT,
  AQ_RC_EINVAL,
  AQ_RC_ESRCH,
  AQ_RC_OK,
  type AqDescriptor,
  aqDescriptorCodec,
  decode,
  encode,
} from "@emudev/avf";
import { AdminRing, type GuestMemory } from "./admin-ring.ts";
import type { Counters } from "./counters.ts";

/** What a command does once its descriptor is completed. */
type Effect = () => void | Promise<void>;

export interface SendQueueHost {
  /** A virtchnl message; the next command waits until it is dealt with. */
  message(op: number, data: Uint8Array): Promise<void>;
  /** The driver turns the admin queues off. */
  shutdown(): void;
}

/** Descriptors after which the event loop gets a turn. */
const TURN = 32;
const NO_DATA = new Uint8Array(0);

export class SendQueue {
  readonly ring = new AdminRing();
  readonly #memory: GuestMemory;
  readonly #host: SendQueueHost;
  readonly #counters: Counters;
  #generation = 0;
  #task: Promise<void> | null = null;
  #paused = false;
  #resting = false;

  constructor(memory: GuestMemory, host: SendQueueHost, counters: Counters) {
    this.#memory = memory;
    this.#host = host;
    this.#counters = counters;
  }

  /** VF_ATQT1 was written. */
  kick(): void {
    const { fault } = this.ring;
    if (fault !== null) this.#counters[fault]++;
    this.#start();
  }

  /** What is under way belonged to the queue as it was: its descriptor is not completed any more. */
  interrupt(): void {
    this.#generation++;
    this.#start();
  }

  /** Begins no command any more; resolves when the one under way is dealt with. */
  async pause(): Promise<void> {
    this.#paused = true;
    await this.#task;
  }

  resume(): void {
    this.#paused = false;
    this.#start();
  }

  /** Void what is under way and begin nothing until `wake`; resolves when nothing runs. */
  async rest(): Promise<void> {
    this.#resting = true;
    this.#generation++;
    await this.#task;
  }

  wake(): void {
    this.#resting = false;
  }

  #start(): void {
    if (this.#task !== null || this.#paused || this.#resting || !this.ring.ready) return;
    // It ends when nothing is ready, or it is paused, or the generation has changed; only then there can be a next one.
    this.#task = this.#run(this.#generation).finally(() => {
      this.#task = null;
      this.#start();
    });
  }

  async #run(generation: number): Promise<void> {
    const { ring } = this;
    for (let n = 1; generation === this.#generation && !this.#paused && ring.ready; n++) {
      const effect = await this.#command(generation);
      if (effect !== null) await effect();
      if (n % TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Completes the command at the head and passes it; null when it does nothing or is not ours any more. */
  async #command(generation: number): Promise<Effect | null> {
    const { ring } = this;
    const { address } = ring;
    try {
      const descriptor = decode(aqDescriptorCodec, await this.#memory.read(address, AQ_DESC_BYTES))!;
      const result = await this.#execute(descriptor);
      const rc = typeof result === "number" ? result : AQ_RC_OK;
      descriptor.flags |= AQ_FLAG_DD | AQ_FLAG_CMP | (rc === AQ_RC_OK ? 0 : AQ_FLAG_ERR);
      descriptor.retval = rc;
      if (generation !== this.#generation) return null;
      await this.#memory.write(address, encode(aqDescriptorCodec, descriptor));
      if (generation !== this.#generation) return null;
      this.#counters.aqCommands++;
      ring.advance();
      return typeof result === "number" ? null : result;
    } catch {
      if (generation !== this.#generation) return null;
      this.#counters.aqFaults++;
      ring.fail();
      return null;
    }
  }

  /** The effect of a command, or its return code. */
  async #execute(descriptor: AqDescriptor): Promise<Effect | number> {
    switch (descriptor.opcode) {
      case AQ_OP_SEND_MSG_TO_PF: {
        const { cookieHigh } = descriptor;
        const data = await this.#buffer(descriptor);
        return typeof data === "number" ? data : () => this.#host.message(cookieHigh, data);
      }
      case AQ_OP_QUEUE_SHUTDOWN:
        return () => this.#host.shutdown();
      case AQ_OP_GET_VERSION:
        return AQ_RC_OK;
      default:
        this.#counters.aqUnknownOpcodes++;
        return AQ_RC_ESRCH;
    }
  }

  /** A copy of the command's buffer, or a return code. */
  async #buffer(descriptor: AqDescriptor): Promise<Uint8Array | number> {
    if ((descriptor.flags & AQ_FLAG_BUF) === 0) return NO_DATA;
    const bad = aqDescriptorCodec.invalid(descriptor) === null ? AQ_RC_EFAULT : AQ_RC_EINVAL;
    try {
      if (bad === AQ_RC_EFAULT) return await this.#memory.read(descriptor.address, descriptor.datalen);
    } catch {
      // Outside guest memory: the driver's mistake, told by the return code.
    }
    this.#counters.aqBadDescriptors++;
    return bad;
  }
}
