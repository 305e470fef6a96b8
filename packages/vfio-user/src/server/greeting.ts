// The server's half of VERSION: what a client's first message must be, what both sides then hold to, and the answer.
// QEMU takes no answer without JSON and none longer than its own message, so the JSON is always there and always short.

import { refusal } from "../errors.ts";
import type { Message } from "../transport/connection.ts";
import {
  COMMAND,
  commandName,
  ERRNO,
  MAX_MSG_FDS,
  PAGE_SIZE,
  VERSION_MAJOR,
  VERSION_MINOR,
} from "../wire/constants.ts";
import { header, version } from "../wire/index.ts";
import { check, parsed } from "./commands/command.ts";

/** What this server is ready to agree to. */
export interface Limits {
  maxDataXferSize: number;
  maxDmaMaps: number;
}

export interface Greeting {
  /** Of the message to answer. */
  id: number;
  minor: number;
  /** What is agreed on: the client's wishes held to our own limits. maxMsgFds is what the client takes. */
  capabilities: version.Capabilities;
}

/** @throws a refusal, after which the connection is to be closed. */
export function parseVersion(message: Message, limits: Limits): Greeting {
  const { id, command, size } = message.header;
  check(message.fault === null ? header.invalid(message.header) : `a message of ${size} bytes`);
  if (header.isReply(message.header)) throw refusal(ERRNO.EINVAL, "a reply before VERSION");
  if (command !== COMMAND.VERSION) throw refusal(ERRNO.EINVAL, `${commandName(command)} before VERSION`);
  check(message.fds.length === 0 ? null : "VERSION takes no fds");
  const msg = parsed(version.decode(message.view, message.at, message.length));
  check(version.invalid(msg));
  const asked = version.capabilitiesOf(msg);
  const minor = Math.min(msg.minor, VERSION_MINOR);
  return {
    id,
    minor,
    capabilities: {
      maxMsgFds: asked.maxMsgFds,
      maxDataXferSize: Math.min(asked.maxDataXferSize, limits.maxDataXferSize),
      maxDmaMaps: Math.min(asked.maxDmaMaps, limits.maxDmaMaps),
      pgsizes: PAGE_SIZE,
      // QEMU asks for it with version 0.0, and then queues all that it sends; it has always done without.
      writeMultiple: asked.writeMultiple && minor > 0,
      twinSocket: asked.twinSocket && asked.maxMsgFds > 0,
      twinFdIndex: -1,
    },
  };
}

/** With `twin`, the twin socket is the one fd that goes with the message. */
export function answerVersion(
  { id, minor, capabilities }: Greeting,
  twin: boolean,
  migration: boolean,
): { id: number; body: Uint8Array } {
  const offer = { ...capabilities, maxMsgFds: MAX_MSG_FDS, twinSocket: twin, twinFdIndex: 0 };
  const json = version.capabilitiesJson(offer, migration);
  const body = new Uint8Array(version.SIZE + json.length);
  version.encodeInto(new DataView(body.buffer), 0, { major: VERSION_MAJOR, minor, json });
  return { id, body };
}
