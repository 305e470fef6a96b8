// Getting a client connected: the socket, waiting for a server that is not up yet if that is wanted, and the exchange
// of VERSION.

import { closeFd, fileStat, unixConnect } from "@emudev/linux";
import type { Clock } from "../environment.ts";
import { VfioUserError } from "../errors.ts";
import { COMMAND, ERRNO, MAX_CLIENT_MSG_FDS, PAGE_SIZE, VERSION_MINOR } from "../wire/constants.ts";
import { version } from "../wire/index.ts";
import type { ClientChannel } from "./channel.ts";

const RETRY_MS = 20;

/** A connected socket. @throws VfioUserError VFU_ADDRESS after `waitMs` without anybody listening. */
export async function connectTo(path: string, waitMs: number, clock: Clock): Promise<number> {
  const until = clock.now() + waitMs;
  for (;;) {
    try {
      return unixConnect(path);
    } catch (error) {
      const { errno = ERRNO.EIO, message } = error as { errno?: number; message: string };
      const mayCome = errno === ERRNO.ENOENT || errno === ERRNO.ECONNREFUSED || errno === ERRNO.EAGAIN;
      if (!mayCome || clock.now() >= until) {
        throw new VfioUserError("VFU_ADDRESS", errno, `cannot connect to a vfio-user server: ${message}`);
      }
    }
    await pause();
  }
}

/** Unlike the clock's, this timer keeps the process alive: nothing else does while there is no socket. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, RETRY_MS));
}

export interface Wishes {
  maxDataXferSize: number;
  twinSocket: boolean;
  writeMultiple: boolean;
}

/**
 * Exchanges VERSION, and opens the twin socket when there is to be one. What is returned is agreed on: both sides' limits
 * at once, maxMsgFds is what the server takes.
 * @throws VfioUserError: EBUSY when another client has the device, VFU_PROTOCOL for a bad answer; the caller closes
 */
export async function greet(
  channel: ClientChannel,
  wishes: Wishes,
): Promise<{ minor: number; capabilities: version.Capabilities }> {
  const body = versionBody(wishes);
  const answer = await channel.request(COMMAND.VERSION, body, { takesFds: true });
  try {
    const msg = version.decode(answer.view, 0, answer.body.length);
    const fault = msg === null ? "it is cut short" : version.invalid(msg);
    if (msg === null || fault !== null) throw useless(fault ?? "");
    if (msg.minor > VERSION_MINOR) throw useless("newer than ours");
    const capabilities = version.capabilitiesOf(msg);
    capabilities.maxDataXferSize = Math.min(capabilities.maxDataXferSize, wishes.maxDataXferSize);
    capabilities.writeMultiple &&= wishes.writeMultiple;
    if (capabilities.twinSocket) channel.openTwin(takeTwin(capabilities, wishes, answer.fds));
    return { minor: msg.minor, capabilities };
  } finally {
    for (const fd of answer.fds) closeFd(fd);
  }
}

function versionBody(wishes: Wishes): Uint8Array {
  const capabilities: Record<string, unknown> = {
    max_msg_fds: MAX_CLIENT_MSG_FDS,
    max_data_xfer_size: wishes.maxDataXferSize,
    pgsizes: PAGE_SIZE,
  };
  if (wishes.twinSocket) capabilities.twin_socket = { supported: true };
  if (wishes.writeMultiple) capabilities.write_multiple = true;
  const json = new TextEncoder().encode(`${JSON.stringify({ capabilities })}\0`);
  const body = new Uint8Array(version.SIZE + json.length);
  version.encodeInto(new DataView(body.buffer), 0, { major: 0, minor: VERSION_MINOR, json });
  return body;
}

/** Without that socket the server's commands could not be received, so whatever is wrong with it ends the connection. */
function takeTwin(capabilities: version.Capabilities, wishes: Wishes, fds: number[]): number {
  if (!wishes.twinSocket) throw useless("it has a twin socket that nobody asked for");
  const fd = fds[capabilities.twinFdIndex];
  if (fd === undefined) throw useless("its twin socket is not among the fds that came with it");
  if (fileStat(fd).type !== "socket") throw useless("its twin socket is no socket");
  fds.splice(capabilities.twinFdIndex, 1);
  return fd;
}

function useless(why: string): VfioUserError {
  return new VfioUserError("VFU_PROTOCOL", ERRNO.EPROTO, `the server's VERSION is of no use: ${why}`);
}
