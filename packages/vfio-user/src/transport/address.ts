// The socket file of a server: made, taken over when it is stale, refused when somebody listens on it, and removed at
// the end only if it is still the same file. A file that is no socket is never touched.

import { lstatSync, unlinkSync } from "node:fs";
import { closeFd, type SocketFile, setNonBlocking, unixConnect, unixListen, unixSocketState } from "@emudev/linux";
import { VfioUserError } from "../errors.ts";
import { ERRNO } from "../wire/constants.ts";

export interface Listening {
  fd: number;
  /** An inherited socket that has its one client already: `fd` is the connection, and whoever serves it closes it. */
  connected: boolean;
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
    connected: false,
    close() {
      closeFd(fd);
      if (file !== null && inode(path) === file) unlinkSync(path);
    },
  };
}

/**
 * Takes over a socket that the process inherited: one that listens, or one that is connected to a client. Throws
 * VfioUserError VFU_ADDRESS (EBADF, ENOTSOCK, EINVAL); the fd is then still the caller's.
 */
export function inherited(fd: number): Listening {
  const state = call(() => unixSocketState(fd), `fd ${fd} cannot be served`);
  if (state === "other" || state === "idle") {
    const what = state === "idle" ? "neither listens nor is connected" : "is no unix stream socket";
    throw new VfioUserError("VFU_ADDRESS", ERRNO.EINVAL, `fd ${fd} cannot be served: it ${what}`);
  }
  setNonBlocking(fd);
  const connected = state === "connected";
  return { fd, connected, close: () => connected || closeFd(fd) };
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
