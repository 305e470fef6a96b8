// The numbers of the vfio-user protocol, version 0 (QEMU docs/interop/vfio-user.rst), under the specification's names.
// Sizes are bytes. All integers on the wire are in host byte order, which is little-endian on every supported machine.

/** Header field `command`. 14 (DIRTY_PAGES) is retired. */
export const COMMAND = {
  VERSION: 1,
  DMA_MAP: 2,
  DMA_UNMAP: 3,
  DEVICE_GET_INFO: 4,
  DEVICE_GET_REGION_INFO: 5,
  DEVICE_GET_REGION_IO_FDS: 6,
  DEVICE_GET_IRQ_INFO: 7,
  DEVICE_SET_IRQS: 8,
  REGION_READ: 9,
  REGION_WRITE: 10,
  DMA_READ: 11,
  DMA_WRITE: 12,
  DEVICE_RESET: 13,
  REGION_WRITE_MULTI: 15,
  DEVICE_FEATURE: 16,
  MIG_DATA_READ: 17,
  MIG_DATA_WRITE: 18,
} as const;

const names = new Map<number, string>(Object.entries(COMMAND).map(([name, number]) => [number, name]));

export function commandName(command: number): string {
  return names.get(command) ?? `command ${command}`;
}

/** Header field `flags`: bits 0-3 are the type. */
export const FLAG = { TYPE_MASK: 0xf, COMMAND: 0, REPLY: 1, NO_REPLY: 0x10, ERROR: 0x20 } as const;

export const VERSION_MAJOR = 0;
/**
 * 2 is today's text. What differs between minors is negotiated by capabilities, so a lower one needs no special case.
 */
export const VERSION_MINOR = 2;

/** Largest count of one REGION or DMA access that we accept, and the protocol's default (max_data_xfer_size). */
export const MAX_DATA_XFER_SIZE = 1 << 20;
/** Header, access head and data: nothing longer is ever legal towards us. */
export const MAX_MESSAGE_SIZE = 16 + 16 + MAX_DATA_XFER_SIZE;
/** Before VERSION is agreed on, a peer is nobody: enough for any capabilities, too little to cost us anything. */
export const MAX_VERSION_MESSAGE_SIZE = 65536;
/** QEMU refuses a server that offers more than 16. */
export const MAX_MSG_FDS = 16;
/** fds that our client takes with one message: enough for the ioeventfds of any device of ours. */
export const MAX_CLIENT_MSG_FDS = 64;
/** The protocol's default when a peer names no max_msg_fds. */
export const DEFAULT_MAX_MSG_FDS = 1;
/** Simultaneous DMA regions that one client may have. */
export const MAX_DMA_MAPS = 4096;
export const DEFAULT_MAX_DMA_MAPS = 65535;
export const PAGE_SIZE = 4096;
/** The largest region that the reference implementation takes on x86-64; beyond it ENOSPC. */
export const MAX_DMA_REGION_SIZE = 8n << 40n;

export const DEVICE_FLAG = { RESET: 1, PCI: 2 } as const;
export const REGION_FLAG = { READ: 1, WRITE: 2, MMAP: 4, CAPS: 8 } as const;
export const REGION_CAP = { SPARSE_MMAP: 1, TYPE: 2 } as const;
/** MMAP and FILE_IO (libvfio-user) say how the fd is to be used; without either it is mapped. */
export const DMA_FLAG = { READ: 1, WRITE: 2, MMAP: 4, FILE_IO: 8 } as const;
export const UNMAP_FLAG = { GET_DIRTY_BITMAP: 1, ALL: 2 } as const;
export const IRQ_FLAG = { EVENTFD: 1, MASKABLE: 2, AUTOMASKED: 4, NORESIZE: 8 } as const;
export const IRQ_SET = { DATA_NONE: 1, DATA_BOOL: 2, DATA_EVENTFD: 4, MASK: 8, UNMASK: 16, TRIGGER: 32 } as const;

/** What a device's migration can do (VFIO_MIGRATION_*). */
export const MIGRATION_FLAG = { STOP_COPY: 1, P2P: 2, PRE_COPY: 4 } as const;

/** Region indexes of a PCI device. */
export const PCI_REGION = { BAR0: 0, BAR5: 5, ROM: 6, CONFIG: 7, VGA: 8, COUNT: 9 } as const;
/** Interrupt indexes of a PCI device. */
export const PCI_IRQ = { INTX: 0, MSI: 1, MSIX: 2, ERR: 3, REQ: 4, COUNT: 5 } as const;

/** Linux errno values are the wire's. */
export { ERRNO } from "@emudev/linux";
