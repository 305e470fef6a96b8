// The server's half of VERSION: what a client's first message must be, and the answer. QEMU takes no answer without
// JSON and none longer than its own message, so the JSON is always there and always short.

import { refusal } from "../errors.ts";
import type { Message } from "../transport/connection.ts";
import {
  COMMAND,
  commandName,
  ERRNO,
  MAX_DATA_XFER_SIZE,
  MAX_MSG_FDS,
  PAGE_SIZE,
  VERSION_MAJOR,
  VERSION_MINOR,
} from "../wire/constants.ts";
import { header, version } from "../wire/index.ts";
import { check, parsed } from "./commands/command.ts";

export interface Greeting {
  /** Of the message to answer. */
  id: number;
  minor: number;
  /** The client's, with max_data_xfer_size held to our own. */
  capabilities: version.Capabilities;
}

/** @throws a refusal, after which the connection is to be closed. */
export function parseVersion(message: Message): Greeting {
  const { id, command, size } = message.header;
  check(message.fault === null ? header.invalid(message.header) : `a message of ${size} bytes`);
  if (header.isReply(message.header)) throw refusal(ERRNO.EINVAL, "a reply before VERSION");
  if (command !== COMMAND.VERSION) throw refusal(ERRNO.EINVAL, `${commandName(command)} before VERSION`);
  check(message.fds.length === 0 ? null : "VERSION takes no fds");
  const msg = parsed(version.decode(message.view, message.at, message.length));
  check(version.invalid(msg));
  const capabilities = version.capabilitiesOf(msg);
  capabilities.maxDataXferSize = Math.min(capabilities.maxDataXferSize, MAX_DATA_XFER_SIZE);
  return { id, minor: Math.min(msg.minor, VERSION_MINOR), capabilities };
}

export function answerVersion(greeting: Greeting, maxDmaMaps: number): { id: number; body: Uint8Array } {
  const json = version.capabilitiesJson({
    maxMsgFds: MAX_MSG_FDS,
    maxDataXferSize: MAX_DATA_XFER_SIZE,
    maxDmaMaps,
    pgsizes: PAGE_SIZE,
  });
  const body = new Uint8Array(version.SIZE + json.length);
  version.encodeInto(new DataView(body.buffer), 0, { major: VERSION_MAJOR, minor: greeting.minor, json });
  return { id: greeting.id, body };
}
