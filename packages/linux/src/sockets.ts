// Unix sockets, streams or (SOCK_SEQPACKET) messages, always non-blocking and close-on-exec (unix(7), accept4(2)). A call that would have to wait says
// so by its result and the caller comes back when `watch` reports the fd; nothing here waits. vfio-user's server and
// client and the telemetry socket are built on these.
import { chmodSync, chownSync, closeSync, constants, openSync, unlinkSync } from "node:fs";
import { ERRNO, LinuxError } from "./errors.ts";
import { fromNode } from "./files.ts";
import {
  accept4,
  bindSocket,
  check,
  close,
  connect,
  errno,
  getsockopt,
  listen,
  shutdown,
  socket,
  socketpair,
} from "./libc.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_SEQPACKET = 5;
const FLAGS = SOCK_NONBLOCK | SOCK_CLOEXEC;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_PEERCRED = 17;
const SO_ACCEPTCONN = 30;
const SO_DOMAIN = 39;
const SO_PEERGROUPS = 59;
const SHUT_WR = 1;
const SHUT_RDWR = 2;
const O_PATH = 0o10000000;
/** Supplementary groups that a process may have (NGROUPS_MAX). */
const GROUPS_MAX = 65536;
/** Bytes of sun_path, its final NUL included (unix(7)). */
const SUN_PATH_BYTES = 108;

/** A stream of bytes, or messages that arrive whole: what is longer than the reader's buffer is cut off. */
export type SocketType = "stream" | "seqpacket";
const TYPES: Record<SocketType, number> = { stream: SOCK_STREAM, seqpacket: SOCK_SEQPACKET };

/** Who may connect: whoever may write the socket's file (unix(7)). What is left out stays as bind(2) makes it. */
export interface SocketFile {
  /** Permission bits, 0o660 for instance; by default 0o777 without the process's umask. */
  mode?: number | undefined;
  /** Owner and group by number. */
  uid?: number | undefined;
  gid?: number | undefined;
}

/**
 * Makes a listening socket at `path`.
 * @param file of the socket file; it holds before anybody can connect, since a socket that is bound only refuses
 * @returns its fd, which the caller owns; the file is the caller's to unlink
 * @throws LinuxError EADDRINUSE where the file exists, ENAMETOOLONG where the path exceeds 107 bytes, EPERM where `file`
 * needs rights that this process has not
 */
export function unixListen(path: string, backlog = 16, file: SocketFile = {}, type: SocketType = "stream"): number {
  const address = unixAddress(path, "bind");
  const fd = check(socket(AF_UNIX, TYPES[type] | FLAGS, 0), "socket", path);
  if (bindSocket(fd, address, address.length) < 0) throw failed(fd, "bind", path);
  try {
    setOwnership(path, file);
  } catch (error) {
    close(fd);
    unlinkSync(path);
    throw error;
  }
  if (listen(fd, backlog) < 0) throw failed(fd, "listen", path);
  return fd;
}

/**
 * Connects to the socket at `path`; on a unix socket this is done at once or not at all.
 * @returns the fd, which the caller owns
 * @throws LinuxError ENOENT no file, ECONNREFUSED nobody listens there, EAGAIN the listener's backlog is full
 */
export function unixConnect(path: string, type: SocketType = "stream"): number {
  const address = unixAddress(path, "connect");
  const fd = check(socket(AF_UNIX, TYPES[type] | FLAGS, 0), "socket", path);
  if (connect(fd, address, address.length) < 0) throw failed(fd, "connect", path);
  return fd;
}

/**
 * Takes one waiting connection.
 * @returns its fd, which the caller owns, or -1 when none waits (or the one that waited has left again)
 */
export function unixAccept(fd: number): number {
  const accepted = accept4(fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (accepted >= 0) return accepted;
  const error = errno();
  if (error === ERRNO.EAGAIN || error === ERRNO.ECONNABORTED || error === ERRNO.EINTR) return -1;
  throw new LinuxError(error, "accept4", fd);
}

/** Two sockets connected to each other; the caller owns both. */
export function socketPair(): [number, number] {
  const pair = new Int32Array(2);
  check(socketpair(AF_UNIX, SOCK_STREAM | FLAGS, 0, new Uint8Array(pair.buffer)), "socketpair", "unix stream");
  return [pair[0], pair[1]];
}

/** Who connected, as the kernel saw it at connect time (SO_PEERCRED, unix(7)). */
export function peerCredentials(fd: number): { pid: number; uid: number; gid: number } {
  const words = new Uint32Array(3);
  const bytes = new Uint32Array([words.byteLength]);
  const value = new Uint8Array(words.buffer);
  check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, new Uint8Array(bytes.buffer)), "getsockopt SO_PEERCRED", fd);
  return { pid: words[0] | 0, uid: words[1], gid: words[2] };
}

/** The supplementary groups of who connected (SO_PEERGROUPS, Linux 4.13); none where the kernel cannot tell. */
export function peerGroups(fd: number): number[] {
  const groups = new Uint32Array(GROUPS_MAX);
  const bytes = new Uint32Array([groups.byteLength]);
  const result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, new Uint8Array(groups.buffer), new Uint8Array(bytes.buffer));
  return result < 0 ? [] : [...groups.subarray(0, bytes[0] / 4)];
}

/** What an fd that came from elsewhere is: a unix stream socket that listens, one that is connected, or neither. */
export type UnixSocketState = "listening" | "connected" | "idle" | "other";

/** @throws LinuxError EBADF for an fd that is not open, ENOTSOCK for what is no socket */
export function unixSocketState(fd: number): UnixSocketState {
  if (socketOption(fd, SO_DOMAIN) !== AF_UNIX || socketOption(fd, SO_TYPE) !== SOCK_STREAM) return "other";
  if (socketOption(fd, SO_ACCEPTCONN) !== 0) return "listening";
  // Without a peer there is no user; a peer's process may be one that has no number in our pid namespace.
  return peerCredentials(fd).uid === 0xffff_ffff ? "idle" : "connected";
}

function socketOption(fd: number, option: number): number {
  const word = new Int32Array(1);
  const bytes = new Uint32Array([4]);
  const value = new Uint8Array(word.buffer);
  check(getsockopt(fd, SOL_SOCKET, option, value, new Uint8Array(bytes.buffer)), "getsockopt", fd);
  return word[0];
}

/**
 * Ends the connection both ways, so that both sides read its end, or only what is written; the fd stays open. A peer gone
 * already is fine.
 */
export function shutdownFd(fd: number, how: "both" | "write" = "both"): void {
  if (shutdown(fd, how === "both" ? SHUT_RDWR : SHUT_WR) === 0) return;
  const error = errno();
  if (error !== ERRNO.ENOTCONN) throw new LinuxError(error, "shutdown", fd);
}

/** By an fd of the file itself, so that whoever may rename in its folder cannot lead us to another file. */
function setOwnership(path: string, { mode, uid, gid }: SocketFile): void {
  if (mode === undefined && uid === undefined && gid === undefined) return;
  let syscall = "open";
  let fd = -1;
  try {
    fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
    const file = `/proc/self/fd/${fd}`;
    syscall = "chown";
    if (uid !== undefined || gid !== undefined) chownSync(file, uid ?? -1, gid ?? -1);
    syscall = "chmod";
    if (mode !== undefined) chmodSync(file, mode);
  } catch (error) {
    throw fromNode(error, syscall, path);
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

function failed(fd: number, syscall: string, path: string): LinuxError {
  const error = errno();
  close(fd);
  return new LinuxError(error, syscall, path, HINTS[error] ?? "");
}

const HINTS: Record<number, string | undefined> = {
  [ERRNO.EADDRINUSE]: "the socket file exists already",
  [ERRNO.ECONNREFUSED]: "nobody listens on that socket",
  [ERRNO.EAGAIN]: "the listener's backlog is full",
  [ERRNO.ENOENT]: "no such file or folder",
};

/** struct sockaddr_un (unix(7)): family, then the path and a NUL. */
function unixAddress(path: string, syscall: string): Uint8Array {
  const bytes = Buffer.from(path, "utf8");
  if (bytes.length === 0) throw new LinuxError(ERRNO.EINVAL, syscall, path, "the socket's path is empty");
  if (bytes.includes(0)) throw new LinuxError(ERRNO.EINVAL, syscall, path, "the socket's path holds a NUL");
  if (bytes.length >= SUN_PATH_BYTES) {
    const hint = `a socket's path may have ${SUN_PATH_BYTES - 1} bytes, this one has ${bytes.length}`;
    throw new LinuxError(ERRNO.ENAMETOOLONG, syscall, path, hint);
  }
  const address = new Uint8Array(2 + bytes.length + 1);
  address[0] = AF_UNIX;
  address.set(bytes, 2);
  return address;
}
