// What a client makes of the reply to DEVICE_GET_REGION_IO_FDS: entries with fds of its own instead of places in a list.
// Nothing in the reply is trusted: an fd that is to be signalled must be an eventfd, or writing it could block or send
// bytes somewhere.

import { adoptEventfd, closeFd } from "@emudev/linux";
import type { IoFd, IoFdType } from "../server/device.ts";
import { regionIoFds } from "../wire/index.ts";

const TYPES: Record<number, IoFdType | undefined> = {
  [regionIoFds.IO_FD_TYPE.IOEVENTFD]: "ioeventfd",
  [regionIoFds.IO_FD_TYPE.IOREGIONFD]: "ioregionfd",
  [regionIoFds.IO_FD_TYPE.IOEVENTFD_SHADOW]: "shadow",
};

/** Closes the fds of a list, each once. */
export function closeIoFds(list: readonly IoFd[]): void {
  const fds = new Set(list.flatMap(({ fd, shadow }) => [fd, shadow?.fd ?? -1]));
  for (const fd of fds) if (fd >= 0) closeFd(fd);
}

/**
 * Takes over `fds`: those that no entry names are closed, all of them when the reply is of no use, which a string then
 * says why.
 */
export function ioFdsOf(entries: readonly regionIoFds.Entry[], fds: number[]): IoFd[] | string {
  try {
    const list = entries.map((entry) => ioFdOf(entry, fds));
    const named = new Set(list.flatMap(({ fd, shadow }) => [fd, shadow?.fd ?? -1]));
    for (const fd of fds) if (!named.has(fd)) closeFd(fd);
    return list;
  } catch (error) {
    for (const fd of fds) closeFd(fd);
    return (error as Error).message;
  }
}

function ioFdOf(entry: regionIoFds.Entry, fds: readonly number[]): IoFd {
  const type = TYPES[entry.type];
  if (type === undefined) throw new Error(`entry type ${entry.type}`);
  const fd = fdAt(entry.fdIndex, fds);
  if (fd >= 0 && type !== "ioregionfd") adoptEventfd(fd);
  const ioFd: IoFd = {
    offset: Number(entry.offset),
    size: Number(entry.size),
    fd,
    type,
    flags: entry.flags,
    datamatch: entry.datamatch,
  };
  if (type === "shadow") ioFd.shadow = { fd: fdAt(entry.shadowFdIndex, fds), offset: Number(entry.shadowOffset) };
  return ioFd;
}

function fdAt(index: number, fds: readonly number[]): number {
  if (index === regionIoFds.NO_FD) return -1;
  const fd = fds[index];
  if (fd === undefined) throw new Error(`fd ${index} of ${fds.length}`);
  return fd;
}
