// A whole PCI device of one declaration (spec.ts): configuration space, BARs, interrupts, the client's memory, and the server
// that gives it to QEMU or any other vfio-user client. `pciDevice({...})` makes it, `listen` offers it. docs/tutorial.md
// shows how; the device model's own code is in the declaration's handlers.

import type { Log } from "../environment.ts";
import { VfioUserError } from "../errors.ts";
import { PciConfig } from "../pci/config.ts";
import type { DmaRegion, RegionSpec, ResetReason, VfioUserDevice } from "../server/device.ts";
import { type ServerOptions, VfioUserServer } from "../server/server.ts";
import { ERRNO, PCI_REGION, REGION_FLAG } from "../wire/constants.ts";
import { DmaMemory } from "./dma.ts";
import { Interrupts } from "./interrupts.ts";
import { layout } from "./layout.ts";
import { BarMemory } from "./memory.ts";
import type { PciDeviceSpec } from "./spec.ts";
import { Bar, handlers, type Window } from "./window.ts";

/** @throws VfioUserError VFU_ARGUMENT for a declaration that no hardware could be. */
export function pciDevice(spec: PciDeviceSpec): PciDevice {
  return new PciDevice(spec);
}

export class PciDevice {
  readonly config: PciConfig;
  readonly irq: Interrupts;
  /** The client's memory. */
  readonly dma: DmaMemory;
  /** What a VfioUserServer is given; `listen` does that. */
  readonly model: VfioUserDevice;
  #spec: PciDeviceSpec;
  #bars: (Bar | undefined)[] = [];
  #memories: (BarMemory | undefined)[] = [];
  #regions: RegionSpec[] = [];
  #server: VfioUserServer | null = null;

  constructor(spec: PciDeviceSpec) {
    const { config, msixBar, counts, bars } = layout(spec);
    this.#spec = spec;
    this.config = new PciConfig({
      ...config,
      onCommand: (command) => {
        this.irq.update();
        spec.onCommand?.(command);
      },
      onMsix: () => this.irq.update(),
      onMsi: () => this.irq.update(),
      onFlr: () => this.#reset("flr"),
    });
    this.irq = new Interrupts(this.config, counts, () => this.#server?.irqMasked(0, 0));
    this.dma = new DmaMemory(
      {
        dmaRead: (iova, bytes) => this.#connected.dmaRead(iova, bytes),
        dmaWrite: (iova, data) => this.#connected.dmaWrite(iova, data),
      },
      () => this.config.busMaster,
    );
    for (const [index, bar] of bars) {
      const isMsix = index === msixBar?.bar;
      this.#addBar(index, bar, isMsix ? (this.irq.msixTable?.windows(msixBar.table, msixBar.pba) ?? []) : []);
    }
    if (spec.rom !== undefined) this.#addRom(spec.rom, config.romBytes as number);
    this.model = this.#makeModel();
  }

  /** Memory of a BAR declared with `memory` or `areas`, by offset in the BAR. It outlives resets and clients. */
  memory(bar: number): BarMemory {
    const memory = this.#memories[bar];
    if (memory === undefined) throw new VfioUserError("VFU_ARGUMENT", ERRNO.EINVAL, `BAR${bar} has no memory`);
    return memory;
  }

  /** Where the declaration says that it logs. */
  get log(): Log | undefined {
    return this.#spec.log;
  }

  /** The server, while the device is offered. */
  get server(): VfioUserServer | null {
    return this.#server;
  }

  /**
   * Offers the device at a socket. @throws VfioUserError VFU_ADDRESS with a sentence for the user when the path is taken or
   * cannot be used, VFU_STATE when the device is offered already
   */
  async listen(path: string, options: ServerOptions = {}): Promise<void> {
    if (this.#server !== null) {
      throw new VfioUserError("VFU_STATE", ERRNO.EBUSY, `the device is offered at ${this.#server.sockAddr} already`);
    }
    const { log } = this;
    const server = new VfioUserServer(path, this.model, log === undefined ? options : { log, ...options });
    server.start();
    this.#server = server;
  }

  /** Resolves when the client is gone and cleaned up after. The device may listen again. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    await server?.stop();
  }

  get #connected(): VfioUserServer {
    if (this.#server !== null) return this.#server;
    throw new VfioUserError("VFU_CLOSED", ERRNO.ENOTCONN, "the device is not offered to anybody");
  }

  #addBar(index: number, bar: NonNullable<PciDeviceSpec["bars"]>[number], windows: Window[]): void {
    const areas = bar.memory === true ? [{ offset: 0, size: bar.size }] : bar.areas;
    const memory = areas === undefined ? undefined : new BarMemory(`BAR${index}`, bar.size, areas);
    this.#memories[index] = memory;
    this.#bars[index] = new Bar(bar.size, [...windows, ...(memory?.windows() ?? [])], handlers(bar));
    const region: RegionSpec = { index, size: bar.size, flags: REGION_FLAG.READ | REGION_FLAG.WRITE };
    if (memory !== undefined) region.mmap = () => memory.mmap;
    this.#regions.push(region);
  }

  #addRom(image: Uint8Array, size: number): void {
    const read = (offset: number, into: Uint8Array): void => {
      into.set(image.subarray(offset, offset + into.length));
    };
    this.#bars[PCI_REGION.ROM] = new Bar(size, [], { read, write() {} });
    this.#regions.push({ index: PCI_REGION.ROM, size, flags: REGION_FLAG.READ });
  }

  #reset(reason: ResetReason): void | Promise<void> {
    this.config.reset();
    this.irq.reset();
    for (const bar of Object.values(this.#spec.bars ?? {})) bar.registers?.reset();
    return this.#spec.reset?.(reason);
  }

  #makeModel(): VfioUserDevice {
    const { connected, disconnected } = this.#spec;
    return {
      info: { resettable: true },
      regions: [...this.#regions, this.config.region],
      irqs: this.irq.specs,
      regionRead: (index, offset, into) =>
        index === PCI_REGION.CONFIG ? this.config.read(offset, into) : this.#bars[index]?.read(offset, into),
      regionWrite: (index, offset, data, posted) =>
        index === PCI_REGION.CONFIG ? this.config.write(offset, data) : this.#bars[index]?.write(offset, data, posted),
      dmaMap: (region: DmaRegion) => this.dma.map(region),
      dmaUnmap: (iova) => this.dma.unmap(iova),
      dmaUnmapAll: () => this.dma.unmapAll(),
      setIrqs: (index, start, fds) => this.irq.bind(index, start, fds),
      maskIrqs: (index, _start, _count, masked) => this.irq.mask(index, masked),
      trigger: (index, vector) => this.irq.trigger(index, vector),
      reset: (reason) => this.#reset(reason),
      ...(connected === undefined ? {} : { connected: (client) => connected.call(this.#spec, client) }),
      ...(disconnected === undefined ? {} : { disconnected: () => disconnected.call(this.#spec) }),
    };
  }
}
