// One vfio-user socket, seen from either end: whole messages in, whole messages out, never blocking. The kernel hands over
// fds with the first byte that they were sent with, and ends a read behind that segment; so when a read brings fds and
// the starts of several messages, the fds are the last one's. The first read for a message takes at most 36 bytes: that
// is a whole register access, and no more than the shortest message that may carry fds. Nothing that a peer sends can
// make it hold more than one message and one bounded send queue. Used by server/session.ts and client/client.ts.

import { closeFd, Peeker, SocketMessenger, type Watcher, watch } from "@emudev/linux";
import { protocolError } from "../errors.ts";
import { ERRNO, MAX_MESSAGE_SIZE } from "../wire/constants.ts";
import * as header from "../wire/header.ts";
import { FdIntake } from "./fd-intake.ts";
import { DECLINED, type Fault, type Message, type Shortcut } from "./message.ts";
import { SendQueue } from "./send-queue.ts";

export type { Message } from "./message.ts";

export interface ConnectionOptions {
  /** A longer message is a fault "oversize", and the connection is closed after its delivery. */
  maxMessageSize: number;
  /** More fds with one message is a fault "fds"; the surplus is closed on arrival. */
  maxFds: number;
  /**
   * Sockets may come as fds: a server sends them, for its twin. Otherwise one is closed on arrival, which is a fault
   * "socket": a peer that sent its own end with half a message would never be seen to leave, for we would hold it.
   */
  takesSockets?: boolean;
  /** Messages delivered per wake-up, so that one peer cannot keep the loop to itself. */
  messagesPerWake?: number;
  /** Bytes that may wait for a peer that does not read, before it is dropped. */
  maxQueuedBytes?: number;
  onMessage(message: Message): void;
  /** A wake-up has brought messages, and they have been delivered. */
  onPumped?(): void;
  /** Once, for whatever reason; null is a peer that closed in order. Everything of the connection is closed already. */
  onClose(reason: Error | null): void;
}

const MESSAGES_PER_WAKE = 64;
const MAX_QUEUED_BYTES = 16 << 20;
const FIRST_BUFFER_SIZE = 4096;
/** DEVICE_SET_IRQS without data, and a register write of 4 bytes. */
const FIRST_READ = 36;
/** Of a shortcut's reply. */
const SHORT_REPLY = 64;
/** Receive buffers of connections that are gone, for those to come: memory is not to grow with their number. */
const MAX_SPARE_BUFFERS = 16;
const spareBuffers: Uint8Array[] = [];

const NO_BUFFER = new Uint8Array(0);
/** Where any connection of the thread lays out a message: it is sent, or copied, before the next one. */
let tx = new Uint8Array(FIRST_BUFFER_SIZE);
let txView = new DataView(tx.buffer);
/** The same for a shortcut's reply to what was not peeked at; never another's, since what a device does meanwhile may send messages too. */
const shortTx = new Uint8Array(SHORT_REPLY);
const shortTxView = new DataView(shortTx.buffer);

export class Connection {
  readonly fd: number;
  #options: ConnectionOptions;
  #messenger: SocketMessenger;
  #watcher: Watcher;
  #queue: SendQueue;
  #open = true;
  #paused = false;
  #pumping = false;
  #rx = spareBuffers.pop() ?? new Uint8Array(FIRST_BUFFER_SIZE);
  #rxView = new DataView(this.#rx.buffer);
  #have = 0;
  #need = header.SIZE;
  #header: header.Header | null = null;
  #fds = new FdIntake();
  /** The last read took less than it asked for: there is nothing more, or a readiness event will tell. */
  #short = false;
  #polled = false;
  #shortcut: Shortcut | null = null;
  #peeker: Peeker | null = null;
  /** The last message was a request that a shortcut has answered: its sender may be waiting for that alone. */
  #peeks = false;
  #drained: (() => void)[] = [];

  /** Takes over `fd`. */
  constructor(fd: number, options: ConnectionOptions) {
    this.fd = fd;
    this.#options = options;
    this.#messenger = new SocketMessenger(fd);
    this.#queue = new SendQueue(options.maxQueuedBytes ?? MAX_QUEUED_BYTES);
    this.#watcher = watch(fd, { readable: true, writable: false }, (event) => {
      if (event.writable) this.#flush();
      if ((event.readable || event.error !== 0) && this.pump(event.error !== 0)) this.#options.onPumped?.();
      // A watcher rests after an error until it is told to go on; the read has not come to the socket's own yet.
      if (event.error !== 0 && this.#open) this.#watch();
    });
  }

  get open(): boolean {
    return this.#open;
  }

  /** Open and not paused. */
  get reading(): boolean {
    return this.#open && !this.#paused;
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** Resolves when everything has been sent, or the connection is closed. */
  drained(): Promise<void> {
    if (this.#queue.empty) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  set maxMessageSize(bytes: number) {
    this.#options.maxMessageSize = bytes;
  }

  set shortcut(shortcut: Shortcut | null) {
    this.#shortcut = shortcut;
  }

  set maxFds(count: number) {
    this.#options.maxFds = count;
  }

  /**
   * Sends header and body in one message, with fds attached to its first byte. The body is copied, and fds that have
   * to wait are duplicated, so both stay the caller's. False when the connection is closed, or closes because the peer
   * has let more than maxQueuedBytes pile up.
   */
  send(id: number, command: number, flags: number, error: number, body?: Uint8Array, fds?: readonly number[]): boolean {
    if (!this.#open) return false;
    const size = header.SIZE + (body?.length ?? 0);
    if (size > tx.length) growTx(size);
    header.encodeInto(txView, 0, { id, command, size, flags, error });
    if (body !== undefined) tx.set(body, header.SIZE);
    return this.#transmit(tx, size, fds);
  }

  /**
   * Reads and delivers what has arrived, up to the bound of one wake-up. `toTheEnd`: until the socket says that it has no
   * more, so that the end of the stream is seen. `looks`: where messages are peeked at, how many to take at most,
   * and how often to look for each. @returns whether a message was delivered
   */
  pump(toTheEnd = false, looks = 1): boolean {
    if (this.#pumping) return false;
    this.#pumping = true;
    this.#short = false;
    const most = this.#options.messagesPerWake ?? MESSAGES_PER_WAKE;
    let budget = most;
    try {
      // What is between an answer and the next look delays the next answer, so the caller is not asked in between.
      for (let i = 0; this.#peeks && this.#have === 0 && this.reading; i++) {
        if (i === looks) return true;
        const outcome = this.#peek(looks);
        if (outcome === "nothing") return i > 0;
        if (outcome === "declined") break;
        budget--;
      }
      while (budget > 0 && this.reading && this.#receive(toTheEnd)) budget--;
    } finally {
      this.#pumping = false;
      if (!this.#open) this.#giveBuffer(); // the handler that closed it may still have been reading
    }
    if (budget === 0) this.#pumpSoon();
    return budget < most;
  }

  /** While true, somebody calls `pump` all the time, and readiness is not reported. */
  set polled(on: boolean) {
    if (!this.#open || this.#polled === on) return;
    this.#polled = on;
    this.#watch();
  }

  /** Stops reading: the peer's sends then fill the socket and wait there. */
  pause(): void {
    if (!this.#open || this.#paused) return;
    this.#paused = true;
    this.#watch();
  }

  resume(): void {
    if (!this.#open || !this.#paused) return;
    this.#paused = false;
    this.#watch();
    this.#pumpSoon();
  }

  close(reason: Error | null = null): void {
    if (!this.#open) return;
    this.#open = false;
    this.#watcher.close();
    closeFd(this.fd);
    this.#fds.closeAll();
    this.#queue.clear();
    this.#wakeDrained();
    if (!this.#pumping) this.#giveBuffer();
    this.#options.onClose(reason);
  }

  /** A whole message may lie in the buffer, of which the socket will not tell. */
  #pumpSoon(): void {
    if (this.#open && this.#have >= this.#need) setImmediate(() => this.pump());
  }

  /** Takes one step of reading; true when it delivered a message, false when there is nothing more to read now. */
  #receive(toTheEnd: boolean): boolean {
    for (;;) {
      while (this.#have < this.#need) {
        if (this.#short && !toTheEnd) return false;
        const got = this.#read();
        if (got <= 0) return false;
        this.#have += got;
      }
      if (this.#shortcut !== null && this.#takesShortcut(this.#shortcut)) return true;
      if (this.#header === null) {
        this.#header = header.decode(this.#rxView, 0, header.SIZE) as header.Header;
        const fault = this.#faultOf(this.#header);
        if (fault === null && this.#header.size > header.SIZE) {
          this.#need = this.#header.size;
          if (this.#need > this.#rx.length) this.#growRx(this.#need);
          continue;
        }
        this.#deliver(fault);
        return true;
      }
      this.#deliver(null);
      return true;
    }
  }

  /** Exactly one message lies there, and nothing that came with it is to be looked after. */
  #takesShortcut(shortcut: Shortcut): boolean {
    if (!this.#fds.empty || !this.#goesShort(shortcut, this.#have)) return false;
    this.#header = null;
    this.#have = 0;
    this.#need = header.SIZE;
    return true;
  }

  #goesShort(shortcut: Shortcut, size: number): boolean {
    if (size < header.SIZE || this.#rxView.getUint32(header.SIZE_AT, true) !== size) return false;
    const reply = shortcut(this.#rxView, size, shortTxView);
    if (reply === DECLINED) return false;
    this.#peeks = reply > 0;
    if (reply > 0 && this.#open) this.#transmit(shortTx, reply);
    return true;
  }

  /** Answers what lies in the socket before it takes it out, for a peer that waits for each answer: see Peeker. */
  #peek(looks: number): "taken" | "nothing" | "declined" {
    this.#peeker ??= new Peeker(this.fd, FIRST_READ, SHORT_REPLY);
    const { request, reply } = this.#peeker;
    const got = this.#peeker.look(looks);
    if (got === 0) return "nothing";
    this.#peeks = false;
    if (got < header.SIZE || request.getUint32(header.SIZE_AT, true) !== got) return "declined";
    const bytes = (this.#shortcut as Shortcut)(request, got, reply);
    if (bytes === DECLINED) return "declined";
    this.#peeks = bytes > 0;
    if (bytes > 0 && this.#open) {
      const sent = this.#queue.empty ? this.#peeker.answer(bytes) : 0;
      if (sent < bytes) this.#transmit(new Uint8Array(reply.buffer, reply.byteOffset + sent), bytes - sent);
    }
    try {
      if (this.#open) this.#peeker.take(got);
    } catch (error) {
      this.close(error as Error);
    }
    return "taken";
  }

  #read(): number {
    let got: number;
    const most = (this.#header === null ? FIRST_READ : this.#need) - this.#have;
    try {
      got = this.#messenger.recv(this.#rx, this.#have, most);
    } catch (error) {
      this.close(error as Error);
      return 0;
    }
    this.#short = got < most;
    if (got > 0) this.#fds.collect(this.#messenger, this.#options.maxFds, this.#options.takesSockets === true);
    if (got === 0) this.close(this.#have === 0 ? null : new Error("the peer left in the middle of a message"));
    return got;
  }

  #faultOf(head: header.Header): Fault | null {
    if (head.size < header.SIZE) return "size";
    return head.size > this.#options.maxMessageSize ? "oversize" : null;
  }

  #deliver(fault: Fault | null): void {
    const head = this.#header as header.Header;
    // A header that cannot be believed is a message of its own.
    const end = fault === null ? head.size : header.SIZE;
    const rest = this.#have - end;
    if (rest === 0) this.#fds.takeLast();
    const { fds, fault: fdFault } = this.#fds.take();
    const message: Message = {
      header: head,
      view: this.#rxView,
      at: header.SIZE,
      length: end - header.SIZE,
      fds,
      fault: fault ?? fdFault,
    };
    this.#header = null;
    this.#have = 0;
    this.#need = header.SIZE;
    this.#options.onMessage(message);
    // The start of the next message.
    if (rest > 0) this.#rx.copyWithin(0, end, end + rest);
    this.#have = rest;
    // Where the next message starts is anyone's guess, so there is no going on.
    if (fault === "oversize") this.close(protocolError(ERRNO.E2BIG, `a message of ${head.size} bytes is too long`));
  }

  #transmit(bytes: Uint8Array, size: number, fds?: readonly number[]): boolean {
    let sent = 0;
    if (this.#queue.empty) {
      try {
        sent = this.#messenger.send(bytes, 0, size, fds);
      } catch (error) {
        this.close(error as Error);
        return false;
      }
      if (sent === size) return true;
    }
    const rest = sent > 0 ? undefined : fds;
    try {
      this.#queue.push(bytes.slice(Math.max(sent, 0), size), rest);
    } catch (error) {
      this.close(error as Error);
      return false;
    }
    this.#watch();
    return true;
  }

  #flush(): void {
    if (!this.#open) return;
    try {
      this.#queue.flush(this.#messenger);
    } catch (error) {
      this.close(error as Error);
      return;
    }
    if (!this.#queue.empty) return;
    this.#watch();
    this.#wakeDrained();
  }

  #wakeDrained(): void {
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  }

  #watch(): void {
    this.#watcher.update({ readable: !this.#paused && !this.#polled, writable: !this.#queue.empty });
  }

  #growRx(size: number): void {
    const grown = new Uint8Array(roundUp(size));
    grown.set(this.#rx.subarray(0, this.#have));
    this.#rx = grown;
    this.#rxView = new DataView(grown.buffer);
  }

  /** Nobody looks at the receive buffer any more. */
  #giveBuffer(): void {
    if (this.#rx.length === FIRST_BUFFER_SIZE && spareBuffers.length < MAX_SPARE_BUFFERS) spareBuffers.push(this.#rx);
    this.#rx = NO_BUFFER;
  }
}

function growTx(size: number): void {
  tx = new Uint8Array(roundUp(size));
  txView = new DataView(tx.buffer);
}

/** The next power of two, but no more than the longest message needs. */
function roundUp(size: number): number {
  return Math.max(size, Math.min(2 ** Math.ceil(Math.log2(size)), MAX_MESSAGE_SIZE));
}
