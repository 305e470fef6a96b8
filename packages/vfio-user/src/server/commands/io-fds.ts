// DEVICE_GET_REGION_IO_FDS: which parts of a region the client may access through fds (device.ioFds). An fd that several
// entries name is sent once. Entries whose fds are more than the client takes with one message are left out: it then
// goes on writing those registers by messages. The entries have the specification's 40 bytes, or libvfio-user's 48 when
// one of them has shadow memory.

import { regionIoFds } from "../../wire/index.ts";
import type { IoFd, RegionSpec } from "../device.ts";
import { type Command, check, parsed, type Reply } from "./command.ts";

const { IO_FD_TYPE, NO_FD } = regionIoFds;
const TYPES = {
  ioeventfd: IO_FD_TYPE.IOEVENTFD,
  ioregionfd: IO_FD_TYPE.IOREGIONFD,
  shadow: IO_FD_TYPE.IOEVENTFD_SHADOW,
} as const;

export const getRegionIoFdsCommand: Command<regionIoFds.RegionIoFds> = {
  control: () => false,
  maxFds: 0,

  parse(message, { regions }) {
    const msg = parsed(regionIoFds.decode(message.view, message.at, message.length));
    check(regionIoFds.invalid(msg));
    check(msg.index < regions.length ? null : `region ${msg.index} of ${regions.length}`);
    check(regions.get(msg.index).size > 0 ? null : `there is no region ${msg.index}`);
    return msg;
  },

  run({ argsz, index }, { device, regions, client }) {
    const ioFds = device.ioFds?.(index) ?? [];
    const { entries, fds } = entriesOf(ioFds, regions.get(index), client.capabilities.maxMsgFds);
    return replyOf(index, argsz, entries, fds);
  },
};

function replyOf(index: number, room: number, entries: regionIoFds.Entry[], fds: number[]): Reply {
  const shadowed = entries.some((entry) => entry.type === IO_FD_TYPE.IOEVENTFD_SHADOW);
  const entrySize = shadowed ? regionIoFds.SHADOW_ENTRY_SIZE : regionIoFds.ENTRY_SIZE;
  const argsz = regionIoFds.SIZE + entries.length * entrySize;
  const full = argsz <= room;
  const body = new Uint8Array(full ? argsz : regionIoFds.SIZE);
  const view = new DataView(body.buffer);
  let at = regionIoFds.encodeInto(view, 0, { argsz, flags: 0, index, count: entries.length });
  if (!full) return { body };
  for (const entry of entries) at += regionIoFds.encodeEntryInto(view, at, entry, entrySize);
  return { body, fds };
}

function entriesOf(ioFds: readonly IoFd[], region: RegionSpec, maxFds: number) {
  const fds: number[] = [];
  const entries: regionIoFds.Entry[] = [];
  for (const ioFd of ioFds) {
    checkEntry(ioFd, region);
    const wanted = [ioFd.fd, ioFd.shadow?.fd ?? -1].filter((fd) => fd >= 0 && !fds.includes(fd));
    if (fds.length + new Set(wanted).size > maxFds) continue;
    for (const fd of wanted) if (!fds.includes(fd)) fds.push(fd);
    entries.push(entryOf(ioFd, fds));
  }
  return { entries, fds };
}

function entryOf({ offset, size, fd, type, flags = 0, datamatch = 0n, shadow }: IoFd, fds: number[]) {
  const indexOf = (wanted: number): number => (wanted < 0 ? NO_FD : fds.indexOf(wanted));
  return {
    offset: BigInt(offset),
    size: BigInt(size),
    fdIndex: indexOf(fd),
    type: TYPES[type],
    flags,
    datamatch,
    shadowFdIndex: indexOf(shadow?.fd ?? -1),
    shadowOffset: BigInt(shadow?.offset ?? 0),
  };
}

/** What is wrong here is the device's bug: the client is told EIO, the log why. */
function checkEntry({ offset, size, type, shadow }: IoFd, region: RegionSpec): void {
  if (offset < 0 || size < 0 || offset + size > region.size)
    throw new RangeError(`ioFds: ${offset}+${size} of region ${region.index} with ${region.size} bytes`);
  if ((type === "shadow") !== (shadow !== undefined))
    throw new TypeError(`ioFds: shadow memory goes with type "shadow" (region ${region.index}, ${offset})`);
}
