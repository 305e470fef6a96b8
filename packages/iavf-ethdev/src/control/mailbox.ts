// virtchnl over the admin queue: one request at a time, each answered by one message of the same op (RESET_VF alone is not
// answered), and events in between. Interrupts, or an alarm where there are none, call poll(); while a request waits it is
// polled as well, so that a lost interrupt costs milliseconds and not the request. While the connection is away requests wait,
// and the one that was not answered is sent again; who brings the device back sends his own at once (`direct`).
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

/** Who sends requests, as requests.ts uses it. */
export interface Requester {
  request(op: number, bytes?: Uint8Array): Promise<Uint8Array>;
  send(op: number, bytes?: Uint8Array): Promise<void>;
}

const NO_BYTES = new Uint8Array(0);

export class Mailbox implements Requester {
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
  /** The admin queue is not set up. */
  #deaf = false;
  /** What requests wait for while the connection is away. */
  #gate: Gate | null = null;
  /** Connections that were lost. */
  #losses = 0;
  readonly #lossWatchers = new Set<() => void>();

  constructor(queue: AdminQueue, log: Logger, onEvent: (event: PfEvent) => void) {
    this.#queue = queue;
    this.#log = log;
    this.#onEvent = onEvent;
  }

  /**
   * Sends a request and returns the reply's bytes. It outlives the connection.
   * @throws IavfError REFUSED (the device's status), TIMEOUT, GONE
   */
  request(op: number, bytes: Uint8Array = NO_BYTES): Promise<Uint8Array> {
    return this.#serialize(() => this.persist(() => this.#exchange(op, bytes)));
  }

  /** Sends a request that has no reply. */
  send(op: number, bytes: Uint8Array = NO_BYTES): Promise<void> {
    return this.#serialize(() => this.persist(() => this.#put(op, bytes)));
  }

  /** Past the others, for who brings the device up while they wait. Ends with the connection. */
  readonly direct: Requester = {
    request: (op, bytes = NO_BYTES) => this.#exchange(op, bytes),
    send: (op, bytes = NO_BYTES) => this.#put(op, bytes),
  };

  /** In turn with the others, but of no use any more once the connection is lost: GONE then. */
  once(): Requester {
    const losses = this.#losses;
    const inTurn = <T>(work: () => Promise<T>): Promise<T> =>
      this.#serialize(() => {
        if (losses !== this.#losses) throw lost();
        return work();
      });
    return {
      request: (op, bytes = NO_BYTES) => inTurn(() => this.#exchange(op, bytes)),
      send: (op, bytes = NO_BYTES) => inTurn(() => this.#put(op, bytes)),
    };
  }

  /** Does something with the device, again when the connection was lost meanwhile. @throws GONE when closed */
  async persist<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.settled();
      const losses = this.#losses;
      try {
        return await work();
      } catch (error) {
        if (losses === this.#losses) throw error;
      }
    }
  }

  /** Resolves when the connection is there. @throws GONE when it will not be */
  async settled(): Promise<void> {
    while (this.#gate !== null && this.#closed === null) await this.#gate.opened;
    if (this.#closed !== null) throw this.#closed;
  }

  /** Rejects when the connection is lost, or this is closed, whatever `work` waits for. */
  async untilLost(work: Promise<void>): Promise<void> {
    work.catch(() => {});
    let end = (): void => {};
    const loss = new Promise<never>((_, reject) => {
      end = () => reject(lost());
      this.#lossWatchers.add(end);
    });
    await Promise.race([work, loss]).finally(() => this.#lossWatchers.delete(end));
  }

  /** The connection is lost: nothing is sent but `direct`, and nothing taken, until the device is back. */
  suspend(): void {
    this.#losses++;
    this.#deaf = true;
    this.#gate ??= makeGate();
    this.#waiting?.reject(lost());
    for (const end of this.#lossWatchers) end();
  }

  /** The admin queue is set up again: replies and events are taken. */
  listen(): void {
    this.#deaf = false;
  }

  /** Requests go to the device again. */
  resume(): void {
    this.#deaf = false;
    this.#gate?.open();
    this.#gate = null;
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
    for (const end of this.#lossWatchers) end();
    this.resume(); // who waits finds it closed
  }

  open(): void {
    this.#closed = null;
  }

  async #exchange(op: number, bytes: Uint8Array): Promise<Uint8Array> {
    if (this.#closed !== null) throw this.#closed;
    const waiting = {} as Waiting;
    const reply = new Promise<Uint8Array>((resolve, reject) => Object.assign(waiting, { op, resolve, reject }));
    this.#waiting = waiting;
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
      if (this.#waiting === waiting) this.#waiting = null;
    }
  }

  async #put(op: number, bytes: Uint8Array): Promise<void> {
    if (this.#closed !== null) throw this.#closed;
    await this.#queue.send(op, bytes);
  }

  async #drain(): Promise<void> {
    do {
      this.#again = false;
      if (this.#closed !== null || this.#held || this.#deaf) return;
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

interface Gate {
  opened: Promise<void>;
  open(): void;
}

function makeGate(): Gate {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

const lost = (): IavfError => new IavfError("GONE", "the connection to the device was lost");
