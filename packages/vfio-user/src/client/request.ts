// Small parts that every command of a client is made of: the request's payload, and complaints about a reply. Used by
// client.ts and its parts.

import { VfioUserError } from "../errors.ts";
import { commandName, ERRNO } from "../wire/constants.ts";
import type { Answer, ClientChannel, RequestOptions } from "./channel.ts";

/** Sends `bytes` bytes of payload that `encode` fills. */
export function request(
  channel: ClientChannel,
  command: number,
  bytes: number,
  encode: (view: DataView) => number,
  options: RequestOptions = {},
): Promise<Answer> {
  const body = new Uint8Array(bytes);
  encode(new DataView(body.buffer));
  return channel.request(command, body, options);
}

/** A codec's null becomes VFU_PROTOCOL. */
export function complete<T>(command: number, message: T | null): T {
  if (message === null) throw malformed(command, "it is cut short");
  return message;
}

export function malformed(command: number, what: string): VfioUserError {
  return new VfioUserError("VFU_PROTOCOL", ERRNO.EPROTO, `the reply to ${commandName(command)} is of no use: ${what}`);
}
