// The controller as a PCI Express function, made with vfio-user's device kit: configuration space, BAR0 with registers and
// doorbells, MSI-X, the client's memory. A command may wait for messages to the client, because no write of a register waits
// for a command. Made by main.ts and by tests.
import { type Log, type PciDevice, pciDevice, SILENT } from "@emudev/vfio-user";
import { NvmeController } from "./controller.ts";
import { guestMemory } from "./guest-memory.ts";
import { Health } from "./health.ts";
import type { Store } from "./store.ts";

const VENDOR_ID = 0x1234;
const DEVICE_ID = 0x4e76;
/** Mass storage, non-volatile memory, NVM Express. */
const CLASS_CODE = 0x010802;

const BAR0_BYTES = 0x4000;
/** Where the doorbells end. */
const MSIX_TABLE = 0x2000;
const MSIX_PBA = 0x3000;
/** I/O queue pairs, for which the doorbells and the MSI-X table have room. */
export const MAX_QUEUES = 64;

export interface NvmeOptions {
  store: Store;
  /** 512 (default) or 4096. */
  blockBytes?: number;
  /** I/O queue pairs, 1 to MAX_QUEUES. Default 8. Each has an interrupt vector, and the admin queue one more. */
  queues?: number;
  /** Up to 20 printable characters. */
  serial?: string;
  log?: Log;
}

export interface NvmeDevice extends PciDevice {
  /** What the controller has counted. */
  readonly health: Health;
}

/** `listen` of the result offers it at a socket. */
export function nvmeDevice(options: NvmeOptions): NvmeDevice {
  const { store, blockBytes = 512, queues = 8, serial = "EMUDEV0001", log = SILENT } = options;
  const vectors = queues + 1;
  const device = pciDevice({
    vendor: VENDOR_ID,
    device: DEVICE_ID,
    class: CLASS_CODE,
    subsystem: { vendor: VENDOR_ID, device: DEVICE_ID },
    bars: {
      0: {
        size: BAR0_BYTES,
        kind: "mem64",
        readBytes: (offset, into) => controller.read(offset, into),
        writeBytes: (offset, data) => controller.write(offset, data),
      },
    },
    interrupts: { msix: { vectors, bar: 0, table: MSIX_TABLE, pba: MSIX_PBA } },
    capabilities: [{ kind: "pm" }],
    reset: () => controller.reset(),
    log,
  });
  const health = new Health();
  const controller = new NvmeController({
    dma: guestMemory(device.dma),
    log,
    health,
    identity: { vendorId: VENDOR_ID, subsystemVendorId: VENDOR_ID, serial, model: "emudev NVMe controller" },
    namespace: { store, blockShift: Math.log2(blockBytes), blocks: Math.floor(store.bytes / blockBytes) },
    maxQueues: queues,
    vectors,
    raise: (vector) => void device.irq.raise(vector),
  });
  return Object.assign(device, { health });
}
