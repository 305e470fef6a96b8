// DMA by messages: DMA_READ and DMA_WRITE from the server to its client, for memory that came without an fd. Transfers
// larger than the client takes at once are split and go one after the other, in ascending order. Replies are matched
// by id and settled as they arrive, whatever commands wait meanwhile.

import { closeFd } from "@emudev/linux";
import type { Clock } from "../environment.ts";
import { VfioUserError } from "../errors.ts";
import type { Connection, Message } from "../transport/connection.ts";
import { PendingReplies } from "../transport/pending.ts";
import { COMMAND, ERRNO } from "../wire/constants.ts";
import { dmaAccess } from "../wire/index.ts";

export interface DmaChannelOptions {
  /** The client's max_data_xfer_size. */
  maxCount: number;
  /** Per message. */
  timeoutMs: number;
  clock: Clock;
  /** After every message sent, with that message outstanding. */
  sent(): void;
}

export class DmaChannel {
  #connection: Connection;
  #options: DmaChannelOptions;
  #pending: PendingReplies;

  constructor(connection: Connection, options: DmaChannelOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#pending = new PendingReplies(options.clock);
  }

  /** Messages that the client has not answered. */
  get outstanding(): number {
    return this.#pending.size;
  }

  /**
   * @throws VfioUserError with the client's errno, VFU_TIMEOUT, VFU_CLOSED, or VFU_PROTOCOL for a reply that is too
   * short.
   */
  async read(iova: bigint, bytes: number): Promise<Uint8Array> {
    const into = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += this.#options.maxCount) {
      const part = into.subarray(at, at + this.#options.maxCount);
      const head = { iova: iova + BigInt(at), count: BigInt(part.length) };
      await this.#request(COMMAND.DMA_READ, head, undefined, (reply) => takeData(reply, head, part));
    }
    return into;
  }

  /** @throws as `read`; what was before the failing part is written. */
  async write(iova: bigint, data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length; at += this.#options.maxCount) {
      const part = data.subarray(at, at + this.#options.maxCount);
      const head = { iova: iova + BigInt(at), count: BigInt(part.length) };
      await this.#request(COMMAND.DMA_WRITE, head, part, () => {});
    }
  }

  /** A reply from the client; false when it answers nothing that was asked. */
  settle(reply: Message): boolean | "late" {
    return this.#pending.settle(reply);
  }

  abandon(error: Error): void {
    this.#pending.rejectAll(error);
  }

  #request(
    command: number,
    head: dmaAccess.DmaAccess,
    data: Uint8Array | undefined,
    accept: (reply: Message) => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.#connection.open) {
        reject(new VfioUserError("VFU_CLOSED", ERRNO.ENOTCONN, "the client has left"));
        return;
      }
      const expected = {
        command,
        accept(reply: Message): void {
          for (const fd of reply.fds.splice(0)) closeFd(fd);
          accept(reply);
          resolve();
        },
        reject,
      };
      const id = this.#pending.add(expected, this.#options.timeoutMs);
      const body = new Uint8Array(dmaAccess.SIZE + (data?.length ?? 0));
      dmaAccess.encodeInto(new DataView(body.buffer), 0, head);
      if (data !== undefined) body.set(data, dmaAccess.SIZE);
      if (this.#connection.send(id, command, 0, 0, body)) this.#options.sent();
    });
  }
}

function takeData(reply: Message, asked: dmaAccess.DmaAccess, into: Uint8Array): void {
  const head = dmaAccess.decode(reply.view, reply.at, reply.length);
  if (head === null || head.iova !== asked.iova || reply.length < dmaAccess.SIZE + into.length) {
    throw new VfioUserError(
      "VFU_PROTOCOL",
      ERRNO.EPROTO,
      `a DMA_READ reply of ${reply.length} bytes for ${into.length}`,
    );
  }
  const from = reply.view.byteOffset + reply.at + dmaAccess.SIZE;
  into.set(new Uint8Array(reply.view.buffer, from, into.length));
}
