// Getting a client connected: the socket, waiting for a server that is not up yet if that is wanted, and the exchange
// of VERSION.

import { unixConnect } from "@emudev/linux";
import type { Clock } from "../environment.ts";
import { VfioUserError } from "../errors.ts";
import { COMMAND, ERRNO, MAX_DATA_XFER_SIZE, MAX_MSG_FDS, PAGE_SIZE, VERSION_MINOR } from "../wire/constants.ts";
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

/**
 * Exchanges VERSION. @throws VfioUserError: EBUSY when another client has the device, VFU_PROTOCOL for a bad answer.
 */
export async function greet(
  channel: ClientChannel,
  own: { maxDataXferSize: number },
): Promise<{ minor: number; capabilities: version.Capabilities }> {
  const json = version.capabilitiesJson({
    maxMsgFds: MAX_MSG_FDS,
    maxDataXferSize: own.maxDataXferSize,
    pgsizes: PAGE_SIZE,
  });
  const body = new Uint8Array(version.SIZE + json.length);
  version.encodeInto(new DataView(body.buffer), 0, { major: 0, minor: VERSION_MINOR, json });
  const answer = await channel.request(COMMAND.VERSION, body);
  const msg = version.decode(answer.view, 0, answer.body.length);
  const fault = msg === null ? "it is cut short" : version.invalid(msg);
  if (msg === null || fault !== null || msg.minor > VERSION_MINOR) {
    throw new VfioUserError(
      "VFU_PROTOCOL",
      ERRNO.EPROTO,
      `the server's VERSION is of no use: ${fault ?? "newer than ours"}`,
    );
  }
  const capabilities = version.capabilitiesOf(msg);
  capabilities.maxDataXferSize = Math.min(capabilities.maxDataXferSize, MAX_DATA_XFER_SIZE);
  return { minor: msg.minor, capabilities };
}
