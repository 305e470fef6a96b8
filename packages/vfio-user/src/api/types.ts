// The data of the original library's server interface (librte_vfio_user, DPDK RFC of 2020), in camelCase. Guest
// addresses and sizes are bigint; failures are thrown as VfioUserError instead of -1 or NULL. What its successors
// added (rw callbacks, lockDp, resetDevice) is here, too.

import type { Clock } from "../environment.ts";

/**
 * What the application is told about a device. Each may return a promise; the client's command is answered after it.
 */
export interface NotifyOps {
  /** A client is there, with memory and (if the device has any) interrupts: the data path may start. */
  newDevice?(devId: number): void | Promise<void>;
  /** The client has left. Its memory and interrupts go when this resolves. */
  destroyDevice?(devId: number): void | Promise<void>;
  /** Memory or interrupts of a running device have changed. */
  updateStatus?(devId: number): void | Promise<void>;
  /** true: the data path must let go of memory and interrupts before this resolves; false: it may go on. */
  lockDp?(devId: number, lock: boolean): void | Promise<void>;
  /** DEVICE_RESET. */
  resetDevice?(devId: number): void | Promise<void>;
}

export interface DevInfo {
  /** DEVICE_FLAG bits. */
  flags: number;
  numRegions: number;
  numIrqs: number;
}

export interface RegInfo {
  index: number;
  size: number;
  /** REGION_FLAG.READ and REGION_FLAG.WRITE. */
  flags: number;
  /**
   * Serves accesses; takes precedence over a resource. For a write `buf` holds the data, for a read it is to be
   * filled.
   */
  rw?(reg: RegInfo, buf: Uint8Array, count: number, pos: number, isWrite: boolean): void | Promise<void>;
}

export interface IrqInfo {
  index: number;
  /** IRQ_FLAG bits. */
  flags: number;
  count: number;
}

/** Memory behind a region: with an fd the client may map it. */
export interface Resource {
  /** Region index. */
  index: number;
  /** The memory itself, or null to have `fd` mapped here. */
  base: Uint8Array | null;
  size: number;
  /** Stays the application's; -1: accesses are served from `base` alone. */
  fd: number;
}

/** mem region flag: the region came with an fd and is mapped. */
export const VFIO_USER_MEM_MAPPABLE = 0x1;

export interface MemTableEntry {
  region: { gpa: bigint; size: bigint; fdOffset: bigint; protection: number; flags: number };
  /** Absolute address of the region's first byte, 0 when it is not mapped. */
  hostUserAddr: number;
  /** The region's bytes; gone as soon as lockDp(true) has resolved. */
  bytes: Uint8Array | null;
  /** The library's. Without VFIO_USER_MEM_MAPPABLE: for pread and pwrite at fdOffset, or -1 for DMA messages. */
  fd: number;
}

export interface MemTable {
  entryNum: number;
  entry: readonly MemTableEntry[];
}

/** The eventfds of one interrupt index, by vector; -1 where none is bound. They belong to the library. */
export interface IrqSet {
  index: number;
  fds: readonly number[];
}

/** How files are mapped: @emudev/linux's mapAnywhere unless the process wants it otherwise. */
export interface MemoryMapper {
  map(bytes: number, prot: number, fd: number, fileOffset: bigint): Mapped;
}

export interface Mapped {
  address: number;
  buffer: ArrayBuffer;
  unmap(): void;
}

export interface RegisterOptions {
  clock?: Clock;
  mapper?: MemoryMapper;
}
