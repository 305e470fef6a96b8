// The twin socket: when a client supports it, the server's own commands (DMA_READ, DMA_WRITE) and their replies have a
// second socket, whose client end goes out with the reply to VERSION (specification, VFIO_USER_VERSION). A reply can
// then never wait behind a command, so commands keep strictly to their order. The session closes both sockets when
// either ends. Used by server/session.ts alone.

import { closeFd, socketPair } from "@emudev/linux";
import type { Log } from "../environment.ts";
import { Connection, type Message } from "../transport/connection.ts";
import { ERRNO, FLAG, MAX_MESSAGE_SIZE, MAX_MSG_FDS } from "../wire/constants.ts";
import * as header from "../wire/header.ts";
import { closeAll } from "./commands/command.ts";

export interface Twin {
  connection: Connection;
  /** The end for the client; the session closes its copy once it is sent. */
  clientFd: number;
}

/** null when there are no fds left: the client then goes on without, as the specification allows. */
export function openTwin(
  onReply: (message: Message) => boolean | "late",
  onClose: (reason: Error | null) => void,
  log: Log,
): Twin | null {
  let pair: [number, number];
  try {
    pair = socketPair();
  } catch (error) {
    log.warning(`no twin socket for a client that asks for one: ${(error as Error).message}`);
    return null;
  }
  const [ours, theirs] = pair;
  try {
    const connection: Connection = new Connection(ours, {
      maxMessageSize: MAX_MESSAGE_SIZE,
      maxFds: MAX_MSG_FDS,
      onMessage: (message) => onMessage(connection, message, onReply),
      onClose,
    });
    return { connection, clientFd: theirs };
  } catch (error) {
    closeFd(ours);
    closeFd(theirs);
    throw error;
  }
}

/** Replies are settled; a command has no business here. */
function onMessage(connection: Connection, message: Message, onReply: (message: Message) => boolean | "late"): void {
  const { id, command } = message.header;
  const answers = header.isReply(message.header) && message.fault === null;
  const known = answers && onReply(message) !== false;
  closeAll(message.fds);
  if (known || (!answers && !header.wantsReply(message.header))) return;
  connection.send(id, command, FLAG.REPLY | FLAG.ERROR, ERRNO.EINVAL);
}
