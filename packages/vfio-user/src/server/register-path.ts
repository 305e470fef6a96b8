// The short way of a register access: REGION_READ and REGION_WRITE of 1 to 8 bytes, the commands that a guest's driver
// waits for, go from the receive buffer to the device and into the send buffer with no decoder, command object or promise
// between. It takes only what nothing can be said against and nothing is in the way of; what it declines goes the general
// way, through commands/region.ts, which alone knows what is wrong with a message. session.ts makes one for each client;
// its connection offers it every whole message that came without fds.

import { DECLINED, TAKEN } from "../transport/message.ts";
import { COMMAND, FLAG, PCI_REGION } from "../wire/constants.ts";
import * as header from "../wire/header.ts";
import * as regionAccess from "../wire/region-access.ts";
import { type Context, EMPTY, isPromise, type Reply } from "./commands/command.ts";
import { head } from "./commands/region.ts";
import type { Stats } from "./stats.ts";

const MAX_COUNT = 8;
const DATA = header.SIZE + regionAccess.SIZE;

export interface RegisterHost {
  /** Commands that came before: the short way is for when none is unfinished. */
  readonly order: { readonly size: number };
  readonly stats: Pick<Stats, "messages">;
  /** The callback returned a promise of what `reply` says then; until that the access holds its place in the order. */
  later(message: Access, control: boolean, outcome: PromiseLike<unknown>, reply: () => Reply): void;
  failed(message: Access, error: unknown): void;
}

/** What the session has to know of a message that is not over at once. */
export interface Access {
  id: number;
  command: number;
  size: number;
  posted: boolean;
}

export class RegisterPath {
  #context: Context;
  #host: RegisterHost;
  #maxCount: number;
  /** What is being read, as words and as views of 0 to 8 bytes, one for each count. */
  #words = new Uint32Array(MAX_COUNT / 4);
  #into: Uint8Array[] = [];

  constructor(context: Context, host: RegisterHost) {
    this.#context = context;
    this.#host = host;
    this.#maxCount = Math.min(MAX_COUNT, context.client.capabilities.maxDataXferSize);
    this.#makeBuffer();
  }

  /**
   * Serves the message of `size` bytes at the start of `rx`. @returns bytes of the reply, laid out at the start of `tx`;
   * TAKEN when there is none, or not now; DECLINED when this is no message for the short way
   */
  readonly serve = (rx: DataView, size: number, tx: DataView): number => {
    const command = rx.getUint16(2, true);
    if (size < DATA || (command !== COMMAND.REGION_READ && command !== COMMAND.REGION_WRITE)) return DECLINED;
    const count = rx.getUint32(header.SIZE + 12, true);
    // Also where the offset's upper half is not 0: no register lies there.
    if (count === 0 || count > this.#maxCount || rx.getUint32(header.SIZE + 4, true) !== 0) return DECLINED;
    const offset = rx.getUint32(header.SIZE, true);
    const region = rx.getUint32(header.SIZE + 8, true);
    const { regions, migration } = this.#context;
    if (region >= regions.length || migration?.frozen === true || this.#host.order.size > 0) return DECLINED;
    const flags = rx.getUint32(8, true);
    if (command === COMMAND.REGION_READ) {
      if (flags !== FLAG.COMMAND || size !== DATA || offset + count > regions.readable(region)) return DECLINED;
      this.#host.stats.messages++;
      return this.#read(rx, tx, region, offset, count);
    }
    const posted = flags === FLAG.NO_REPLY;
    if (!posted && flags !== FLAG.COMMAND) return DECLINED;
    if (size !== DATA + count || offset + count > regions.writable(region)) return DECLINED;
    this.#host.stats.messages++;
    return this.#write(rx, tx, region, offset, count, posted);
  };

  #read(rx: DataView, tx: DataView, region: number, offset: number, count: number): number {
    const words = this.#words;
    words[0] = 0;
    words[1] = 0;
    const into = this.#into[count] as Uint8Array;
    let result: unknown;
    try {
      result = this.#context.device.regionRead(region, offset, into);
    } catch (error) {
      this.#host.failed(access(rx, DATA, false), error);
      return TAKEN;
    }
    if (result !== undefined && isPromise(result)) {
      this.#makeBuffer(); // this one is the callback's until the promise resolves
      this.#host.later(access(rx, DATA, false), false, result, () => read(region, offset, into));
      return TAKEN;
    }
    // What is beyond the count is not sent.
    tx.setUint32(DATA, words[0] as number, true);
    tx.setUint32(DATA + 4, words[1] as number, true);
    return putHead(rx, tx, DATA + count);
  }

  #write(rx: DataView, tx: DataView, region: number, offset: number, count: number, posted: boolean): number {
    const data = new Uint8Array(count); // the callback's to keep
    for (let i = 0; i < count; i++) data[i] = rx.getUint8(DATA + i);
    let result: unknown;
    try {
      result = this.#context.device.regionWrite(region, offset, data, posted);
    } catch (error) {
      this.#host.failed(access(rx, DATA + count, posted), error);
      return TAKEN;
    }
    if (result !== undefined && isPromise(result)) {
      const reply = (): Reply => (posted ? EMPTY : { body: head(region, offset, count, regionAccess.SIZE) });
      this.#host.later(access(rx, DATA + count, posted), region === PCI_REGION.CONFIG, result, reply);
      return TAKEN;
    }
    return posted ? TAKEN : putHead(rx, tx, DATA);
  }

  #makeBuffer(): void {
    this.#words = new Uint32Array(MAX_COUNT / 4);
    const { buffer } = this.#words;
    this.#into = Array.from({ length: MAX_COUNT + 1 }, (_, count) => new Uint8Array(buffer, 0, count));
  }
}

/** The request's id, command and access head, and a reply's size and flags. @returns `size` */
function putHead(rx: DataView, tx: DataView, size: number): number {
  tx.setUint32(0, rx.getUint32(0, true), true);
  tx.setUint32(4, size, true);
  tx.setUint32(8, FLAG.REPLY, true);
  tx.setUint32(12, 0, true);
  for (let at = header.SIZE; at < DATA; at += 4) tx.setUint32(at, rx.getUint32(at, true), true);
  return size;
}

function read(region: number, offset: number, data: Uint8Array): Reply {
  const body = head(region, offset, data.length, regionAccess.SIZE + data.length);
  body.set(data, regionAccess.SIZE);
  return { body };
}

function access(rx: DataView, size: number, posted: boolean): Access {
  return { id: rx.getUint16(0, true), command: rx.getUint16(2, true), size, posted };
}
