// virtchnl over the admin queue: one request at a time, each answered by one message of the same op (RESET_VF alone is not
// answered), and events in between. Interrupts, or an alarm where there are none, call poll(); while a request waits it is
// polled as well, so that a lost interrupt costs milliseconds and not the request.
import { decode, eventName, opName, type PfEvent, pfEventCodec, statusName, VIRTCHNL_OP } from "@emudev/avf";
import type { Logger } from "@emudev/eal";
import type { AdminMessage, AdminQueue } from "./admin-queue.ts";
import { IavfError, reasonOf } from "./errors.ts";

/** How long a device may take to answer; DPDK waits 2,000 times 1 ms. */
export const REPLY_TIMEOUT_MS = 2000;
const POLL_MS = 20;

interface Waiting {
  op: number;
  resolve(bytes: Uint8Array): void;
  reject(error: Error): void;
}

export class Mailbox {
  readonly #queue: AdminQueue;
  readonly #log: Logger;
  readonly #onEvent: (event: PfEvent) => void;
  #waiting: Waiting | null = null;
  /** Requests run one after another. */
  #last: Promise<unknown> = Promise.resolve();
  #polling: Promise<void> | null = null;
  #again = false;
  #closed: Error | null = null;
  #nonsense = 0;
  #held = false;

  constructor(queue: AdminQueue, log: Logger, onEvent: (event: PfEvent) => void) {
    this.#queue = queue;
    this.#log = log;
    this.#onEvent = onEvent;
  }

  /**
   * Sends a request and returns the reply's bytes.
   * @throws IavfError REFUSED (the device's status), TIMEOUT, GONE
   */
  request(op: number, bytes: Uint8Array = new Uint8Array(0)): Promise<Uint8Array> {
    return this.#serialize(async () => {
      if (this.#closed !== null) throw this.#closed;
      const reply = new Promise<Uint8Array>((resolve, reject) => {
        this.#waiting = { op, resolve, reject };
      });
      // Claimed at once: a fault may reject it before anybody awaits it.
      reply.catch(() => {});
      const started = performance.now();
      const timer = setInterval(() => {
        if (performance.now() - started > REPLY_TIMEOUT_MS) this.#expire(op);
        else void this.poll();
      }, POLL_MS);
      try {
        await this.#queue.send(op, bytes);
        return await reply;
      } finally {
        clearInterval(timer);
        this.#waiting = null;
      }
    });
  }

  /** Sends a request that has no reply. */
  send(op: number, bytes: Uint8Array = new Uint8Array(0)): Promise<void> {
    return this.#serialize(async () => {
      if (this.#closed !== null) throw this.#closed;
      await this.#queue.send(op, bytes);
    });
  }

  /** Does something while no request is under way and none begins; what the device sends meanwhile is taken afterwards. */
  whileIdle(work: () => Promise<void>): Promise<void> {
    return this.#serialize(async () => {
      this.#held = true;
      try {
        await this.#polling;
        await work();
      } finally {
        this.#held = false;
      }
      await this.poll();
    });
  }

  /** Takes the messages that have come. Never rejects: what goes wrong ends the request that waits. */
  poll(): Promise<void> {
    if (this.#polling !== null) {
      this.#again = true;
      return this.#polling;
    }
    this.#polling = this.#drain().finally(() => {
      this.#polling = null;
    });
    return this.#polling;
  }

  /** Ends the request that waits and refuses those to come, until reopened by open(). */
  close(error: Error): void {
    this.#closed = error;
    this.#waiting?.reject(error);
  }

  open(): void {
    this.#closed = null;
  }

  async #drain(): Promise<void> {
    do {
      this.#again = false;
      if (this.#closed !== null || this.#held) return;
      try {
        for (const message of await this.#queue.receive()) this.#dispatch(message);
      } catch (error) {
        this.#waiting?.reject(error instanceof Error ? error : new Error(String(error)));
        this.#log.debug(`admin queue: ${reasonOf(error)}`);
        return;
      }
    } while (this.#again);
  }

  #dispatch({ op, status, bytes }: AdminMessage): void {
    if (op === VIRTCHNL_OP.EVENT) {
      const event = decode(pfEventCodec, bytes);
      if (event === null || pfEventCodec.invalid(event) !== null) {
        const text = `the device sent an event that makes no sense (${bytes.length} bytes)`;
        if (this.#nonsense++ === 0) this.#log.warning(text);
        else this.#log.debug(text);
        return;
      }
      this.#log.debug(`event ${eventName(event.event)}`);
      this.#onEvent(event);
      return;
    }
    const waiting = this.#waiting;
    if (waiting === null || waiting.op !== op) {
      this.#log.debug(`unexpected reply to ${opName(op)}`);
      return;
    }
    if (status === 0) waiting.resolve(bytes);
    else waiting.reject(new IavfError("REFUSED", `the device answered ${opName(op)} with ${statusName(status)}`));
  }

  #expire(op: number): void {
    const why = this.#queue.sendFailure();
    const error =
      why === null
        ? new IavfError("TIMEOUT", `the device did not answer ${opName(op)} within ${REPLY_TIMEOUT_MS} ms`)
        : new IavfError("REFUSED", `the device refused the message ${opName(op)}: ${why}`);
    this.#waiting?.reject(error);
  }

  #serialize<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#last.then(job);
    this.#last = result.catch(() => {});
    return result;
  }
}
