// What one command of the protocol is to the session: how to read its payload and how to carry it out.
// commands/index.ts has the table. `parse` sees only the message and what never changes about the device; whatever
// depends on what earlier commands did is judged in `run`, which the session calls in order.

import { closeFd } from "@emudev/linux";
import { refusal } from "../../errors.ts";
import type { Message } from "../../transport/connection.ts";
import { ERRNO } from "../../wire/constants.ts";
import type { ClientInfo, VfioUserDevice } from "../device.ts";
import type { DirtyLog } from "../dirty-log.ts";
import type { DmaTable } from "../dma-table.ts";
import type { IrqTable } from "../irq-table.ts";
import type { Migration } from "../migration.ts";
import type { RegionTable } from "../region-table.ts";

/** What commands work on: the device, and what one client has made of it. */
export interface Context {
  readonly device: VfioUserDevice;
  readonly client: ClientInfo;
  readonly regions: RegionTable;
  readonly irqs: IrqTable;
  readonly dma: DmaTable;
  /** null for a device that cannot be migrated. */
  readonly migration: Migration | null;
  readonly dirtyLog: DirtyLog | null;
}

/** The payload of a success reply; fds stay their owner's. */
export interface Reply {
  body?: Uint8Array;
  fds?: readonly number[];
}

export interface Command<Request = unknown> {
  /** Changes memory, interrupts or the whole device: see order.ts. */
  control(request: Request): boolean;
  /** fds that a message may carry. */
  maxFds: number;
  /** Throws a refusal. The request may refer to the message's fds and nothing else of it. */
  parse(message: Message, context: Context): Request;
  /** Throws or rejects what becomes an errno. From here on the request's fds are the command's. */
  run(request: Request, context: Context, posted: boolean): Reply | Promise<Reply>;
}

export const EMPTY: Reply = {};

/** A codec's null (cut short) or sentence becomes EINVAL. */
export function parsed<T>(message: T | null): T {
  if (message === null) throw refusal(ERRNO.EINVAL, "the message is cut short");
  return message;
}

export function check(fault: string | null): void {
  if (fault !== null) throw refusal(ERRNO.EINVAL, fault);
}

/** Goes on with `next` now, or when a callback's promise has resolved. What else a callback returns means nothing. */
export function after<T>(result: unknown, next: () => T | Promise<T>): T | Promise<T> {
  return isPromise(result) ? Promise.resolve(result).then(next) : next();
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
}

export function closeAll(fds: readonly number[]): void {
  for (const fd of fds) if (fd >= 0) closeFd(fd);
}
