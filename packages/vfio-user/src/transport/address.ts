// The socket file of a server: made, taken over when it is stale, refused when somebody listens on it, and removed at
// the end only if it is still the same file. A file that is no socket is never touched.

import { lstatSync, unlinkSync } from "node:fs";
import { closeFd, type SocketFile, unixConnect, unixListen } from "@emudev/linux";
import { VfioUserError } from "../errors.ts";
import { ERRNO } from "../wire/constants.ts";

export interface Listening {
  fd: number;
  /** Closes the listening socket and removes its file. */
  close(): void;
}

/** Connections that the kernel holds while the event loop is busy. */
const BACKLOG = 64;

/**
 * Listens at `path`; `permissions` say whose the socket file is and who may write it, that is connect. Throws VfioUserError VFU_ADDRESS: EADDRINUSE when someone is there, else the errno of the call.
 */
export function listenAt(path: string, permissions: SocketFile = {}): Listening {
  removeStale(path);
  const fd = call(() => unixListen(path, BACKLOG, permissions), `cannot listen at ${path}`);
  const file = inode(path);
  return {
    fd,
    close() {
      closeFd(fd);
      if (file !== null && inode(path) === file) unlinkSync(path);
    },
  };
}

/** A socket file whose server is gone refuses connections: only such a file is removed. */
function removeStale(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw inUse(`${path} exists and is not a socket: choose another path, or remove it`);
  try {
    closeFd(unixConnect(path));
  } catch (error) {
    const { errno } = error as { errno?: number };
    if (errno === ERRNO.ENOENT) return;
    if (errno !== ERRNO.ECONNREFUSED) throw inUse(`${path} is in use: ${(error as Error).message}`);
    unlinkSync(path);
    return;
  }
  throw inUse(`somebody listens at ${path} already, this process or another: stop it, or choose another path`);
}

function inUse(message: string): VfioUserError {
  return new VfioUserError("VFU_ADDRESS", ERRNO.EADDRINUSE, message);
}

/** Device and inode of a file, or null where there is none. */
function inode(path: string): string | null {
  const stat = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? null : `${stat.dev}:${stat.ino}`;
}

function call<T>(action: () => T, what: string): T {
  try {
    return action();
  } catch (error) {
    const { errno } = error as { errno?: number };
    throw new VfioUserError("VFU_ADDRESS", errno ?? ERRNO.EIO, `${what}: ${(error as Error).message}`);
  }
}
