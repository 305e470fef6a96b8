// What a device is to the server: an object with regions, interrupts and callbacks. Nothing here knows PCI beyond the
// region and interrupt numbers; pci/config.ts makes the configuration space (region 7) of those that are PCI.
// Implemented by device models, called by server/commands/.
//
// A callback may return a promise: the reply goes out when it resolves, and commands behind it wait (server/order.ts
// says which do not). It refuses by throwing `refusal(errno, message)`; any other error is logged as a bug and
// answered with EIO. While a client waits for a reply it may be unable to answer DMA messages (QEMU is), so a callback
// whose reply is waited for must not await dmaRead or dmaWrite of the server: start that work and return.

import type { Capabilities } from "../wire/version.ts";

export interface RegionMmap {
  /** Stays the device's; it is sent to the client, once or more, until the client leaves. */
  fd: number;
  /** Offset of the region's first byte in the file. Default 0. */
  offset?: number;
  /** Mappable parts, by offset in the region, page-aligned. At least one. */
  areas: readonly { offset: number; size: number }[];
}

export interface RegionSpec {
  index: number;
  /** Bytes; 0 is a region that is not there. */
  size: number;
  /** REGION_FLAG.READ and REGION_FLAG.WRITE. */
  flags: number;
  /** Asked once per client, when it first asks about the region. null: this client may not map it. */
  mmap?: () => RegionMmap | null;
}

/** A part of a region that is written, or read and written, through an fd instead of a message. */
export interface IoFd {
  /** From the start of the region. */
  offset: number;
  /** Bytes; 0 matches any access at `offset`, as KVM has it. */
  size: number;
  /** Stays the device's; -1: no fd, the entry only describes. */
  fd: number;
  /** "shadow": an ioeventfd whose value goes to `shadow` first (libvfio-user's type 2). */
  type: IoFdType;
  /** KVM_IOEVENTFD_FLAG_* or KVM_IOREGION_* bits. Default 0. */
  flags?: number;
  /** The value that an ioeventfd waits for with flag DATAMATCH; an ioregionfd's user data. Default 0. */
  datamatch?: bigint;
  /** Where the written value is to be stored; the fd stays the device's. */
  shadow?: { fd: number; offset: number };
}

export type IoFdType = "ioeventfd" | "ioregionfd" | "shadow";

export interface IrqSpec {
  index: number;
  /** Vectors. */
  count: number;
  /** IRQ_FLAG bits. */
  flags: number;
}

/** How a region's memory is reached: by mapping its fd, by pread and pwrite on it, or by DMA_READ and DMA_WRITE. */
export type DmaMode = "map" | "file" | "message";

export interface DmaRegion {
  iova: bigint;
  size: bigint;
  /** DMA_FLAG.READ and DMA_FLAG.WRITE, the same numbers as PROT_READ and PROT_WRITE. */
  prot: number;
  /** What the client asks for: "message" without an fd, "file" with DMA_FLAG.FILE_IO, else "map". */
  mode: DmaMode;
  /** To map, or -1: reachable by messages alone. Ownership passes to the callback, also when it throws. */
  fd: number;
  fileOffset: bigint;
}

export interface ClientInfo {
  pid: number;
  uid: number;
  gid: number;
  capabilities: Capabilities;
}

/** VFIO's device states (linux/vfio.h, enum vfio_device_mig_state). "error" is left by a reset alone. */
export type DeviceState =
  | "error"
  | "stop"
  | "running"
  | "stopCopy"
  | "resuming"
  | "runningP2p"
  | "preCopy"
  | "preCopyP2p";

/** A device that can be moved to another process. Its state is one stream of bytes, from `save` to `load`. */
export interface MigrationOps {
  /** MIGRATION_FLAG bits: the states that the device has besides stop, running, resuming and error. */
  flags: number;
  /**
   * One arc at a time; the server walks the shortest path (migration-states.ts). Resolve when the state is in effect: in
   * "stop" the device touches no memory and raises no interrupt. When it throws, the device has stayed where it was;
   * `stateLost` (errors.ts), or an error that is no refusal, says that it is in "error" now. From "resuming" to "stop":
   * the data is complete; refuse what is not valid. After DEVICE_RESET, and for every new client, the state is
   * "running": `reset` sees to that.
   */
  setState(state: DeviceState): void | Promise<void>;
  /** Up to `max` bytes of the state, in "preCopy", "preCopyP2p" and "stopCopy"; empty is the end of the data, for now. */
  save(max: number): Uint8Array | Promise<Uint8Array>;
  /** In "resuming": the next piece, the callback's to keep. */
  load(data: Uint8Array): void | Promise<void>;
}

/** A device that writes to its client's memory by itself and can tell where. */
export interface DirtyLogOps {
  /** Bitmap of the page sizes that it can log by: bit 12 is 4096 bytes. */
  pageSizes: bigint;
  /** No range: all memory. The ranges are page-aligned and ascending. */
  start(ranges: readonly { iova: bigint; size: bigint }[], pageSize: number): Result;
  stop(): Result;
  /**
   * Sets bit n of `bitmap` (zeroed) for each page n from `iova` that was written since the last report, and forgets it.
   * Asked about mapped memory, and once more about a region just after dmaUnmap has resolved, if the client wants that.
   */
  report(iova: bigint, size: bigint, pageSize: number, bitmap: Uint8Array): Result;
}

export type ResetReason = "reset" | "flr" | "disconnect";
type Result = void | Promise<void>;

export interface VfioUserDevice {
  info: { resettable: boolean };
  regions: readonly RegionSpec[];
  irqs: readonly IrqSpec[];
  /** Fills `into` (zeroed, inside the region), which is the callback's until it returns, or its promise resolves. */
  regionRead(index: number, offset: number, into: Uint8Array): Result;
  /** `data` is the callback's to keep. `posted`: nobody waits for the reply. */
  regionWrite(index: number, offset: number, data: Uint8Array, posted: boolean): Result;
  /** The ioeventfds of a region, asked for by DEVICE_GET_REGION_IO_FDS. */
  ioFds?(index: number): readonly IoFd[];
  /** The region overlaps none that is mapped. Without this callback maps are acknowledged and forgotten. */
  dmaMap?(region: DmaRegion): Result;
  /** Exactly as mapped. Resolve when nothing refers to the region any more. */
  dmaUnmap?(iova: bigint, size: bigint): Result;
  /** UNMAP_ALL, and a client that left. Default: dmaUnmap for each. */
  dmaUnmapAll?(): Result;
  /**
   * Vectors start.. of an index get these eventfds; -1 unbinds. Ownership passes to the callback, also when it throws;
   * it closes what it had before. Without this callback the server keeps and closes them, and `irqTrigger` uses them.
   */
  setIrqs?(index: number, start: number, fds: readonly number[]): Result;
  /** The client asks for an interrupt as if the device had raised it. Default: the vector's eventfd is written. */
  trigger?(index: number, vector: number): void;
  maskIrqs?(index: number, start: number, count: number, masked: boolean): Result;
  /** "reset": DEVICE_RESET; "disconnect": the client left, its maps and interrupts are gone already. */
  reset(reason: ResetReason): Result;
  /** Offered to clients as feature MIGRATION. */
  migration?: MigrationOps;
  /** Offered to clients as features DMA_LOGGING_*. */
  dirtyLog?: DirtyLogOps;
  /** A client has been accepted; no command of it has been served yet. */
  connected?(client: ClientInfo): void;
  /** The client has left and nothing of it runs any more; its maps and interrupts are still there. */
  leaving?(): Result;
  /** The client left and everything of it has been cleaned up. */
  disconnected?(): void;
}
