// DEVICE_GET_REGION_IO_FDS (6): the parts of a region that are accessed through fds instead of messages. The request is
// the 16-byte head with argsz and index; the reply is the head with the number of entries, and the entries when argsz has
// room for all of them. An entry has 40 bytes in the specification and 48 in libvfio-user, which adds shadow memory; a
// reader tells them apart by argsz and count. Fds are named by their place among those that come with the reply.

export const SIZE = 16;
export const ENTRY_SIZE = 40;
export const SHADOW_ENTRY_SIZE = 48;
/** Largest argsz of a request. */
export const ARGSZ_MAX = 1 << 20;
/** fd_index of an entry without an fd. */
export const NO_FD = 0xffffffff;

export const IO_FD_TYPE = { IOEVENTFD: 0, IOREGIONFD: 1, IOEVENTFD_SHADOW: 2 } as const;

export interface RegionIoFds {
  argsz: number;
  flags: number;
  index: number;
  /** Entries; 0 in a request. */
  count: number;
}

export interface Entry {
  offset: bigint;
  size: bigint;
  fdIndex: number;
  /** IO_FD_TYPE. */
  type: number;
  flags: number;
  /** An ioregionfd's user data. */
  datamatch: bigint;
  /** In entries of 48 bytes alone; NO_FD and 0 in others. */
  shadowFdIndex: number;
  shadowOffset: bigint;
}

export function encodeInto(view: DataView, offset: number, msg: RegionIoFds): number {
  view.setUint32(offset, msg.argsz, true);
  view.setUint32(offset + 4, msg.flags, true);
  view.setUint32(offset + 8, msg.index, true);
  view.setUint32(offset + 12, msg.count, true);
  return SIZE;
}

export function decode(view: DataView, offset: number, length: number): RegionIoFds | null {
  if (length < SIZE) return null;
  return {
    argsz: view.getUint32(offset, true),
    flags: view.getUint32(offset + 4, true),
    index: view.getUint32(offset + 8, true),
    count: view.getUint32(offset + 12, true),
  };
}

/** Judges a request. */
export function invalid(msg: RegionIoFds): string | null {
  if (msg.flags !== 0) return `flags 0x${msg.flags.toString(16)}, which must be 0`;
  if (msg.count !== 0) return `count ${msg.count} in a request, which must be 0`;
  if (msg.argsz < SIZE || msg.argsz > ARGSZ_MAX) return `argsz ${msg.argsz} is not in ${SIZE}..${ARGSZ_MAX}`;
  return null;
}

/** `entrySize` says which of the two layouts. */
export function encodeEntryInto(view: DataView, offset: number, entry: Entry, entrySize: number): number {
  view.setBigUint64(offset, entry.offset, true);
  view.setBigUint64(offset + 8, entry.size, true);
  view.setUint32(offset + 16, entry.fdIndex, true);
  view.setUint32(offset + 20, entry.type, true);
  view.setUint32(offset + 24, entry.flags, true);
  if (entrySize === SHADOW_ENTRY_SIZE) {
    view.setUint32(offset + 28, entry.shadowFdIndex, true);
    view.setBigUint64(offset + 32, entry.shadowOffset, true);
    view.setBigUint64(offset + 40, entry.datamatch, true);
  } else {
    view.setUint32(offset + 28, 0, true);
    view.setBigUint64(offset + 32, entry.datamatch, true);
  }
  return entrySize;
}

/** The entries of a full reply of `length` bytes; a string says what is wrong with it. */
export function decodeEntries(view: DataView, offset: number, length: number, msg: RegionIoFds): Entry[] | string {
  if (msg.count === 0) return [];
  const stride = (msg.argsz - SIZE) / msg.count;
  if (stride !== ENTRY_SIZE && stride !== SHADOW_ENTRY_SIZE) return `${msg.count} entries in an argsz of ${msg.argsz}`;
  if (length < msg.argsz) return `${length} bytes of ${msg.argsz}`;
  return Array.from({ length: msg.count }, (_, i) => decodeEntry(view, offset + SIZE + i * stride, stride));
}

function decodeEntry(view: DataView, at: number, stride: number): Entry {
  const long = stride === SHADOW_ENTRY_SIZE;
  return {
    offset: view.getBigUint64(at, true),
    size: view.getBigUint64(at + 8, true),
    fdIndex: view.getUint32(at + 16, true),
    type: view.getUint32(at + 20, true),
    flags: view.getUint32(at + 24, true),
    datamatch: view.getBigUint64(at + (long ? 40 : 32), true),
    shadowFdIndex: long ? view.getUint32(at + 28, true) : NO_FD,
    shadowOffset: long ? view.getBigUint64(at + 32, true) : 0n,
  };
}
