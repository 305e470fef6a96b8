// The controller as a PCI Express function behind a vfio-user socket: configuration space, BAR0 with registers and doorbells,
// MSI-X, the client's memory. A command may wait for messages to the client, because no write of a register waits for a
// command. Made by main.ts and by tests.
import {
  type DmaRegion,
  IRQ_FLAG,
  type Log,
  PCI_IRQ,
  PCI_REGION,
  PciConfig,
  type ResetReason,
  SILENT,
  type VfioUserDevice,
  VfioUserServer,
} from "@emudev/vfio-user";
import { NvmeController } from "./controller.ts";
import { DmaError, guarded } from "./dma.ts";
import { GuestMemory } from "./guest-memory.ts";
import { Health } from "./health.ts";
import type { Store } from "./store.ts";

const VENDOR_ID = 0x1234;
const DEVICE_ID = 0x4e76;
/** Mass storage, non-volatile memory, NVM Express. */
const CLASS_CODE = 0x010802;

const BAR0_BYTES = 0x4000;
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

export class NvmeDevice implements VfioUserDevice {
  readonly info = { resettable: true };
  readonly server: VfioUserServer;
  readonly health = new Health();
  readonly regions;
  readonly irqs;
  readonly #config: PciConfig;
  readonly #memory: GuestMemory;
  readonly #controller: NvmeController;

  constructor(path: string, options: NvmeOptions) {
    const { store, blockBytes = 512, queues = 8, serial = "EMUDEV0001", log = SILENT } = options;
    const vectors = queues + 1;
    this.server = new VfioUserServer(path, this, { log });
    this.#memory = new GuestMemory(this.server);
    this.#config = new PciConfig({
      vendorId: VENDOR_ID,
      deviceId: DEVICE_ID,
      classCode: CLASS_CODE,
      subsystemVendorId: VENDOR_ID,
      subsystemId: DEVICE_ID,
      bars: [{ index: 0, bytes: BAR0_BYTES, kind: "mem64" }],
      pm: {},
      pcie: { flr: true },
      msix: { vectors, table: { bar: 0, offset: MSIX_TABLE }, pba: { bar: 0, offset: MSIX_PBA } },
      onFlr: () => this.#controller.reset(),
    });
    this.regions = [{ ...this.#config.region, index: 0, size: BAR0_BYTES }, this.#config.region];
    this.irqs = [{ index: PCI_IRQ.MSIX, count: vectors, flags: IRQ_FLAG.EVENTFD | IRQ_FLAG.NORESIZE }];
    this.#controller = new NvmeController({
      dma: guarded(this.#memory, () => this.#checkMaster()),
      log,
      health: this.health,
      identity: { vendorId: VENDOR_ID, subsystemVendorId: VENDOR_ID, serial, model: "emudev NVMe controller" },
      namespace: { store, blockShift: Math.log2(blockBytes), blocks: Math.floor(store.bytes / blockBytes) },
      maxQueues: queues,
      vectors,
      raise: (vector) => void this.server.irqTrigger(PCI_IRQ.MSIX, vector),
    });
  }

  regionRead(index: number, offset: number, into: Uint8Array): void {
    if (index === PCI_REGION.CONFIG) this.#config.read(offset, into);
    else if (offset < MSIX_TABLE) this.#controller.read(offset, into);
  }

  regionWrite(index: number, offset: number, data: Uint8Array): void | Promise<void> {
    if (index === PCI_REGION.CONFIG) return this.#config.write(offset, data);
    // the vectors' addresses are the client's business: it binds an eventfd to each
    if (offset < MSIX_TABLE) this.#controller.write(offset, data);
  }

  dmaMap(region: DmaRegion): void {
    this.#memory.map(region);
  }

  dmaUnmap(iova: bigint): void {
    this.#memory.unmap(iova);
  }

  dmaUnmapAll(): void {
    this.#memory.unmapAll();
  }

  reset(_reason: ResetReason): void {
    this.#config.reset();
    this.#controller.reset();
  }

  #checkMaster(): void {
    if (!this.#config.busMaster) throw new DmaError("the driver has not made the function a bus master");
  }
}
