// The pair of admin queues of a Virtual Function: commands from the driver on the send queue, messages to it on the receive
// queue. Both run as tasks over guest memory that may take messages to reach; a reset makes what is under way void. Called
// by bar0.ts for register writes and by device.ts.
import type { AdminRing, GuestMemory } from "./admin-ring.ts";
import type { Counters } from "./counters.ts";
import { type Message, ReceiveQueue } from "./receive-queue.ts";
import { SendQueue } from "./send-queue.ts";

export interface AdminQueueHost {
  /** A virtchnl message has come; resolves when it is dealt with. Must not reject. */
  message(op: number, data: Uint8Array): Promise<void>;
  /** A message lies in the receive queue: cause ADMINQ. */
  arqEvent(): void;
}

export class AdminQueues {
  readonly #send: SendQueue;
  readonly #receive: ReceiveQueue;
  #held = false;

  constructor(memory: GuestMemory, host: AdminQueueHost, counters: Counters) {
    const { message } = host;
    this.#send = new SendQueue(memory, { message, shutdown: () => this.#shutdown() }, counters);
    this.#receive = new ReceiveQueue(memory, host.arqEvent, counters);
  }

  get atq(): AdminRing {
    return this.#send.ring;
  }

  get arq(): AdminRing {
    return this.#receive.ring;
  }

  /** VF_ATQT1 or VF_ARQT1. */
  writeTail(ring: AdminRing, tail: number): void {
    ring.tail = tail;
    if (ring === this.atq) this.#send.kick();
    else this.#receive.kick();
  }

  /** VF_ATQLEN1 or VF_ARQLEN1; without effect during a reset, so that drivers see the queue off. */
  writeLen(ring: AdminRing, len: number): void {
    if (this.#held) return;
    ring.len = len;
    if (ring === this.atq) this.#send.wake();
    else this.#receive.wake();
    if (ring === this.atq) this.#send.interrupt();
    else if (ring.enabled) this.#receive.interrupt();
    else this.#receive.drop();
  }

  /** Puts a message into the receive queue, behind those before it. */
  send(op: number, status: number, data: Uint8Array): void {
    this.#receive.send(op, status, data);
  }

  /** Resolves when every message that the driver has room for is delivered. */
  idle(): Promise<void> {
    return this.#receive.idle();
  }

  /** Both queues rest when it resolves, between two commands and two messages; registers can still be written. */
  async pause(): Promise<void> {
    await Promise.all([this.#send.pause(), this.#receive.pause()]);
  }

  resume(): void {
    this.#send.resume();
    this.#receive.resume();
  }

  /**
   * The driver is gone, its memory soon. Both queues rest when it resolves, registers keep their values, and each goes on
   * when its length register is written. What was under way is void.
   */
  async rest(): Promise<void> {
    await Promise.all([this.#send.rest(), this.#receive.rest()]);
  }

  /** Messages that wait for a buffer, oldest first. */
  get backlog(): Message[] {
    return this.#receive.backlog;
  }

  set backlog(messages: Message[]) {
    this.#receive.backlog = messages;
  }

  /**
   * A reset begins: both queues are off and stay so until `release`. Heads and tails keep their values in a reset by virtchnl:
   * a driver that unloads compares ATQH with what it sent, and would ask for a reset again and again were it 0.
   * @param hard a reset of the whole function: every register as after power-on
   */
  hold(hard: boolean): void {
    this.#held = true;
    this.#off();
    if (!hard) return;
    this.atq.clear();
    this.arq.clear();
  }

  /** The reset is over. */
  release(): void {
    this.#held = false;
  }

  /** The driver's command: it unloads, or sets the queues up anew. */
  #shutdown(): void {
    this.#off();
  }

  #off(): void {
    this.atq.turnOff();
    this.arq.turnOff();
    this.#receive.drop();
    this.#send.interrupt();
  }
}
