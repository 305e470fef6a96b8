// One registered socket of the original interface, as a device for VfioUserServer: it keeps the memory table and the
// eventfds, and turns what the client does into the application's notifications. A device is "ready", and newDevice is
// called, once a client has mapped memory and, if the device has INTx, MSI or MSI-X vectors, bound one of them.

import { closeFd } from "@emudev/linux";
import type { Log } from "../environment.ts";
import { refusal } from "../errors.ts";
import type { DmaRegion, IrqSpec, RegionMmap, RegionSpec, ResetReason, VfioUserDevice } from "../server/device.ts";
import { DEVICE_FLAG, ERRNO, PCI_IRQ } from "../wire/constants.ts";
import { DeviceMemory } from "./memory.ts";
import type {
  DevInfo,
  IrqInfo,
  IrqSet,
  Mapped,
  MemoryMapper,
  MemTable,
  NotifyOps,
  RegInfo,
  Resource,
} from "./types.ts";

const READ_WRITE = 3;

export interface Information {
  devInfo: DevInfo;
  regInfo: readonly RegInfo[];
  irqInfo: readonly IrqInfo[];
  resources: readonly Resource[];
}

export class RegisteredDevice implements VfioUserDevice {
  readonly info: { resettable: boolean };
  readonly regions: readonly RegionSpec[];
  readonly irqs: readonly IrqSpec[];
  #devId: number;
  #ops: NotifyOps;
  #information: Information;
  #memory: DeviceMemory;
  #irqFds = new Map<number, number[]>();
  #bases = new Map<number, Uint8Array>();
  #mapped: Mapped[] = [];
  #ready = false;
  #log: Log;

  constructor(devId: number, ops: NotifyOps, information: Information, mapper: MemoryMapper, log: Log) {
    this.#log = log;
    this.#devId = devId;
    this.#ops = ops;
    this.#information = information;
    this.#memory = new DeviceMemory(mapper);
    this.info = { resettable: (information.devInfo.flags & DEVICE_FLAG.RESET) !== 0 };
    this.irqs = information.irqInfo;
    for (const { index, count } of this.irqs) this.#irqFds.set(index, new Array<number>(count).fill(-1));
    for (const resource of information.resources) this.#bases.set(resource.index, this.#baseOf(resource, mapper));
    this.regions = information.regInfo.map((reg) => ({ ...reg, mmap: () => this.#mmapOf(reg) }));
  }

  get memTable(): MemTable {
    return this.#memory.table;
  }

  get irqSets(): IrqSet[] {
    return [...this.#irqFds].map(([index, fds]) => ({ index, fds: [...fds] }));
  }

  /** Gives back what the constructor mapped. The server must be stopped. */
  release(): void {
    for (const mapped of this.#mapped) mapped.unmap();
  }

  regionRead(index: number, offset: number, into: Uint8Array): void | Promise<void> {
    const reg = this.#reg(index);
    if (reg.rw !== undefined) return reg.rw(reg, into, into.length, offset, false);
    into.set(this.#base(index, offset, into.length).subarray(offset, offset + into.length));
  }

  regionWrite(index: number, offset: number, data: Uint8Array): void | Promise<void> {
    const reg = this.#reg(index);
    if (reg.rw !== undefined) return reg.rw(reg, data, data.length, offset, true);
    this.#base(index, offset, data.length).set(data, offset);
  }

  dmaMap(region: DmaRegion): Promise<void> {
    return this.#change(() => this.#memory.add(region));
  }

  dmaUnmap(iova: bigint): Promise<void> {
    return this.#change(() => this.#memory.remove(iova));
  }

  dmaUnmapAll(): Promise<void> {
    return this.#change(() => this.#memory.clear());
  }

  setIrqs(index: number, start: number, fds: readonly number[]): Promise<void> {
    return this.#change(() => {
      const bound = this.#irqFds.get(index) as number[];
      fds.forEach((fd, i) => {
        const old = bound[start + i] as number;
        bound[start + i] = fd;
        if (old >= 0) closeFd(old);
      });
    });
  }

  async reset(reason: ResetReason): Promise<void> {
    if (reason !== "disconnect") await this.#tell("resetDevice", () => this.#ops.resetDevice?.(this.#devId));
  }

  /** The client has left, but its memory is still there: the application is told before it goes. */
  async leaving(): Promise<void> {
    if (!this.#ready) return;
    this.#ready = false;
    await this.#tell("destroyDevice", () => this.#ops.destroyDevice?.(this.#devId));
  }

  /** Changes memory or interrupts with the data path held off, and tells the application. */
  async #change(action: () => void): Promise<void> {
    const lock = this.#ready;
    if (lock) await this.#tell("lockDp", () => this.#ops.lockDp?.(this.#devId, true));
    try {
      action();
    } finally {
      if (lock) await this.#tell("lockDp", () => this.#ops.lockDp?.(this.#devId, false));
    }
    if (lock) {
      await this.#tell("updateStatus", () => this.#ops.updateStatus?.(this.#devId));
    } else if (this.#complete()) {
      this.#ready = true;
      await this.#tell("newDevice", () => this.#ops.newDevice?.(this.#devId));
    }
  }

  /** What an application throws in a notification is its own bug: it is logged, and the client's command goes on. */
  async #tell(name: string, action: () => void | Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.#log.error(`${name} of device ${this.#devId} failed: ${(error as Error)?.stack ?? error}`);
    }
  }

  #complete(): boolean {
    if (this.#memory.table.entryNum === 0) return false;
    const vectors = [PCI_IRQ.INTX, PCI_IRQ.MSI, PCI_IRQ.MSIX].map((index) => this.#irqFds.get(index) ?? []);
    return vectors.every((fds) => fds.length === 0) || vectors.some((fds) => fds.some((fd) => fd >= 0));
  }

  #reg(index: number): RegInfo {
    return this.#information.regInfo.find((reg) => reg.index === index) as RegInfo;
  }

  /** The memory of a resource, which may be smaller than its region. */
  #base(index: number, offset: number, bytes: number): Uint8Array {
    const base = this.#bases.get(index);
    if (base !== undefined && offset + bytes <= base.length) return base;
    throw refusal(ERRNO.EINVAL, `region ${index} has neither rw nor a resource at ${offset}`);
  }

  #baseOf({ base, size, fd }: Resource, mapper: MemoryMapper): Uint8Array {
    if (base !== null) return base.subarray(0, size);
    const mapped = mapper.map(size, READ_WRITE, fd, 0n);
    this.#mapped.push(mapped);
    return new Uint8Array(mapped.buffer, 0, size);
  }

  #mmapOf(reg: RegInfo): RegionMmap | null {
    const resource = this.#information.resources.find(({ index, fd }) => index === reg.index && fd >= 0);
    if (resource === undefined) return null;
    return { fd: resource.fd, areas: [{ offset: 0, size: Math.min(resource.size, reg.size) }] };
  }
}
