// The client's side of one connection: commands out, replies matched to them by id, and the server's own commands
// (DMA_READ and DMA_WRITE) handed to handlers and answered. Knows no command's meaning but these two; client.ts has
// the rest.

import { closeFd } from "@emudev/linux";
import type { Clock, Log } from "../environment.ts";
import { errnoOf, isExpected, refusal, VfioUserError } from "../errors.ts";
import { Connection, type Message } from "../transport/connection.ts";
import { PendingReplies } from "../transport/pending.ts";
import { COMMAND, commandName, ERRNO, FLAG, MAX_CLIENT_MSG_FDS, MAX_MESSAGE_SIZE } from "../wire/constants.ts";
import { dmaAccess, header } from "../wire/index.ts";

/** What the server's DMA messages act on. Either may be left out: then the server gets ENOSYS. */
export interface DmaHandlers {
  /** Exactly `bytes` bytes. Refuses by throwing refusal(EFAULT, ...). */
  onDmaRead?: (iova: bigint, bytes: number) => Uint8Array | Promise<Uint8Array>;
  onDmaWrite?: (iova: bigint, data: Uint8Array) => void | Promise<void>;
}

export interface ChannelOptions extends DmaHandlers {
  /** For messages: the address. */
  name: string;
  log: Log;
  clock: Clock;
  /** 0: wait for ever. */
  timeoutMs: number;
  /** Largest count that a server may ask for in one DMA message. */
  maxDataXferSize: number;
  onClose(reason: Error | null): void;
}

export interface Answer {
  body: Uint8Array;
  view: DataView;
  /** The caller's. */
  fds: number[];
}

export interface RequestOptions {
  fds?: readonly number[];
  timeoutMs?: number;
  /** The reply may carry fds; otherwise they are closed. */
  takesFds?: boolean;
}

/** Posted bytes that may wait for the server before the next one does. */
const DRAIN_BYTES = 1 << 20;

export class ClientChannel {
  #connection: Connection;
  /** Where the server's commands come from when twin sockets were agreed on. */
  #twin: Connection | null = null;
  #options: ChannelOptions;
  #pending: PendingReplies;
  #nextPosted = 0;
  /** Why the connection is gone, if anybody said so. */
  #reason: string | null = null;

  /** Takes over `fd`. */
  constructor(fd: number, options: ChannelOptions) {
    this.#options = options;
    this.#pending = new PendingReplies(options.clock);
    this.#connection = new Connection(fd, {
      maxMessageSize: MAX_MESSAGE_SIZE,
      maxFds: MAX_CLIENT_MSG_FDS,
      takesSockets: true,
      onMessage: (message) => this.#onMessage(message, this.#connection),
      onClose: (reason) => this.#onClose(reason),
    });
  }

  /** Takes over the socket for the server's commands; the channel ends when either socket does. */
  openTwin(fd: number): void {
    const twin: Connection = new Connection(fd, {
      maxMessageSize: MAX_MESSAGE_SIZE,
      maxFds: MAX_CLIENT_MSG_FDS,
      takesSockets: true,
      onMessage: (message) => this.#onMessage(message, twin),
      onClose: (reason) => this.#connection.close(reason),
    });
    this.#twin = twin;
  }

  /** Largest count in the server's messages from here on. */
  set maxDataXferSize(bytes: number) {
    this.#options.maxDataXferSize = bytes;
  }

  get open(): boolean {
    return this.#connection.open;
  }

  /** Sends a command at once; commands may be sent before earlier ones are answered. @throws VfioUserError */
  request(command: number, body?: Uint8Array, options: RequestOptions = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (!this.#connection.open) {
        reject(this.#closed());
        return;
      }
      const accept = (reply: Message): void => resolve(answerOf(reply, options.takesFds === true));
      const id = this.#pending.add({ command, accept, reject }, options.timeoutMs ?? this.#options.timeoutMs);
      this.#connection.send(id, command, FLAG.COMMAND, 0, body, options.fds);
    });
  }

  /** Sends a command that will not be answered; a promise to wait for when the server does not keep up. */
  post(command: number, body: Uint8Array): void | Promise<void> {
    if (!this.#connection.open) throw this.#closed();
    this.#nextPosted = (this.#nextPosted + 1) & 0xffff;
    this.#connection.send(this.#nextPosted, command, FLAG.NO_REPLY, 0, body);
    if (this.#connection.queuedBytes > DRAIN_BYTES) return this.#connection.drained();
  }

  /** Everything that waits is rejected. */
  close(reason: Error | null = null): void {
    this.#reason ??= reason?.message ?? "this client has closed it";
    this.#connection.close(reason);
  }

  #onMessage(message: Message, from: Connection): void {
    if (message.fault !== null) {
      for (const fd of message.fds) closeFd(fd);
      const what = message.fault === "fds" ? "more fds than we take" : `a message of ${message.header.size} bytes`;
      from.close(new VfioUserError("VFU_PROTOCOL", ERRNO.EPROTO, `the server sent ${what}`));
    } else if (header.isReply(message.header)) {
      const { id, command } = message.header;
      if (from !== this.#connection || this.#pending.settle(message) !== true)
        this.#options.log.debug(`stray reply ${id} to ${commandName(command)}`);
      for (const fd of message.fds) closeFd(fd);
    } else {
      for (const fd of message.fds) closeFd(fd);
      this.#serve(message, from);
    }
  }

  /** A command of the server. */
  #serve({ header: head, view, at, length }: Message, from: Connection): void {
    const { id, command } = head;
    const answer = (flags: number, errno: number, body?: Uint8Array): void => {
      if (header.wantsReply(head)) from.send(id, command, FLAG.REPLY | flags, errno, body);
    };
    const fail = (error: unknown): void => {
      if (!isExpected(error))
        this.#options.log.error(`${commandName(command)} failed: ${(error as Error)?.stack ?? error}`);
      answer(FLAG.ERROR, errnoOf(error));
    };
    try {
      const result = this.#dma(command, view, at, length);
      if (result instanceof Promise) result.then((body) => answer(0, 0, body)).catch(fail);
      else answer(0, 0, result);
    } catch (error) {
      fail(error);
    }
  }

  /** The payload of the reply. Whatever it needs of `view` is copied before it returns. */
  #dma(command: number, view: DataView, at: number, length: number): Uint8Array | Promise<Uint8Array> {
    const { onDmaRead, onDmaWrite, maxDataXferSize } = this.#options;
    const isRead = command === COMMAND.DMA_READ;
    if (!isRead && command !== COMMAND.DMA_WRITE) throw refusal(ERRNO.ENOSYS, `${commandName(command)} from a server`);
    const msg = dmaAccess.decode(view, at, length);
    const fault = msg === null ? "the message is cut short" : dmaAccess.invalid(msg, maxDataXferSize);
    if (msg === null || fault !== null) throw refusal(ERRNO.EINVAL, fault ?? "");
    const count = Number(msg.count);
    if (isRead) {
      if (onDmaRead === undefined) throw refusal(ERRNO.ENOSYS, "no handler for DMA_READ");
      return then(onDmaRead(msg.iova, count), (data) => readReply(msg, data));
    }
    if (onDmaWrite === undefined) throw refusal(ERRNO.ENOSYS, "no handler for DMA_WRITE");
    if (length - dmaAccess.SIZE !== count) throw refusal(ERRNO.EINVAL, "data and count differ");
    const from = view.byteOffset + at + dmaAccess.SIZE;
    const data = new Uint8Array(view.buffer as ArrayBuffer, from, count).slice();
    return then(onDmaWrite(msg.iova, data), () => head(msg, dmaAccess.SIZE));
  }

  #onClose(reason: Error | null): void {
    this.#reason ??= reason?.message ?? null;
    this.#twin?.close();
    this.#pending.rejectAll(this.#closed());
    this.#options.onClose(reason);
  }

  #closed(): VfioUserError {
    const why = this.#reason ?? "the server has closed it or died";
    return new VfioUserError("VFU_CLOSED", ERRNO.ENOTCONN, `the connection to ${this.#options.name} is gone: ${why}`);
  }
}

function answerOf(reply: Message, takesFds: boolean): Answer {
  const body = new Uint8Array(reply.view.buffer as ArrayBuffer, reply.view.byteOffset + reply.at, reply.length).slice();
  return { body, view: new DataView(body.buffer), fds: takesFds ? reply.fds.splice(0) : [] };
}

function readReply(msg: dmaAccess.DmaAccess, data: Uint8Array): Uint8Array {
  if (BigInt(data.length) !== msg.count) throw new TypeError(`onDmaRead gave ${data.length} bytes for ${msg.count}`);
  const body = head(msg, dmaAccess.SIZE + data.length);
  body.set(data, dmaAccess.SIZE);
  return body;
}

function head(msg: dmaAccess.DmaAccess, bytes: number): Uint8Array {
  const body = new Uint8Array(bytes);
  dmaAccess.encodeInto(new DataView(body.buffer), 0, msg);
  return body;
}

function then<A, B>(value: A | Promise<A>, next: (value: A) => B): B | Promise<B> {
  return value instanceof Promise ? value.then(next) : next(value);
}
