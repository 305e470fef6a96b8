// MIG_DATA_READ and MIG_DATA_WRITE: the device's state, piece by piece, in the states that have any. A piece is never
// longer than what the two sides have agreed on for all transfers.

import { refusal } from "../../errors.ts";
import { ERRNO } from "../../wire/constants.ts";
import { migData } from "../../wire/index.ts";
import type { Migration } from "../migration.ts";
import { type Command, type Context, check, EMPTY, parsed, type Reply } from "./command.ts";

export const migDataReadCommand: Command<number> = {
  control: () => true,
  maxFds: 0,

  parse(message, context) {
    const msg = parsed(migData.decode(message.view, message.at, message.length));
    check(migData.invalid(msg, context.client.capabilities.maxDataXferSize));
    return msg.size;
  },

  async run(max, context): Promise<Reply> {
    const data = await migrationOf(context).save(max);
    const body = new Uint8Array(migData.SIZE + data.length);
    migData.encodeInto(new DataView(body.buffer), 0, { argsz: body.length, size: data.length });
    body.set(data, migData.SIZE);
    return { body };
  },
};

export const migDataWriteCommand: Command<Uint8Array> = {
  control: () => true,
  maxFds: 0,

  parse(message, context) {
    const msg = parsed(migData.decode(message.view, message.at, message.length));
    check(migData.invalid(msg, context.client.capabilities.maxDataXferSize));
    const length = message.length - migData.SIZE;
    check(length >= msg.size ? null : `${length} bytes of data for a size of ${msg.size}`);
    const from = message.view.byteOffset + message.at + migData.SIZE;
    return new Uint8Array(message.view.buffer as ArrayBuffer, from, msg.size).slice();
  },

  async run(data, context) {
    await migrationOf(context).load(data);
    return EMPTY;
  },
};

function migrationOf({ migration }: Context): Migration {
  if (migration === null) throw refusal(ERRNO.EINVAL, "the device has no migration");
  return migration;
}
