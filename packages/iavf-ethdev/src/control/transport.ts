// The device as VFIO shows it, up to the point where AVF begins: connection, PCI function, memory, doorbells, interrupts, in
// the order in which QEMU and a guest's PCI core do it. The own part of the arena is one DMA region, given by fd, so that
// every mbuf can be used by the device where it lies. Vector 0 signals the admin queue; the queue vector has an eventfd as
// well, which a polling driver never arms.
import type { Eal, Logger } from "@emudev/eal";
import { closeFd, eventfd, eventfdRead, PROT, type Watcher, watch } from "@emudev/linux";
import { DEVICE_FLAG, type IoFd, PCI_IRQ, PCI_REGION, VfioUserClient, VfioUserError } from "@emudev/vfio-user";
import { BAR0_REGION, Bar0 } from "./bar0.ts";
import { type Doorbells, openDoorbells } from "./doorbells.ts";
import { IavfError } from "./errors.ts";
import { IOVA_BASE } from "./iova.ts";
import { enablePciFunction } from "./pci.ts";

/** Vector 0 is the admin queue's, vector 1 all data queues'. */
const VECTORS_USED = 2;

export interface TransportEvents {
  /** The eventfd of vector 0 was signalled. */
  interrupt(): void;
  /** The server closed the connection. */
  lost(): void;
}

export class Transport {
  readonly client: VfioUserClient;
  readonly bar0: Bar0;
  readonly doorbells: Doorbells;
  /** False when vector 0 could not be had: causes have to be read from ICR01. */
  readonly interrupts: boolean;
  /** Eventfds by vector. */
  readonly #fds: number[];
  readonly #watcher: Watcher | null;
  /** Set before the connection is closed by us, which is then no loss. */
  readonly #ours: { closing: boolean };

  /**
   * Connects and prepares the device behind `path`. Aborting `signal` ends that, and the connection that came of it.
   * @throws IavfError DEVICE, VfioUserError, LinuxError, ShmError; nothing is left behind
   */
  static async connect(
    eal: Eal,
    path: string,
    name: string,
    log: Logger,
    events: TransportEvents,
    signal?: AbortSignal,
  ): Promise<Transport> {
    const options = signal === undefined ? {} : { signal };
    const client = await VfioUserClient.connect(path, { log: log.child("lib.vfio-user"), ...options });
    const undo: (() => void)[] = [() => client.close()];
    const ours = { closing: false };
    client.onClose(() => {
      if (!ours.closing) events.lost();
    });
    try {
      const { flags, numRegions, numIrqs } = await client.getInfo();
      if ((flags & DEVICE_FLAG.PCI) === 0 || numRegions <= PCI_REGION.CONFIG || numIrqs <= PCI_IRQ.MSIX)
        throw new IavfError("DEVICE", `${name}: the device behind ${path} is no PCI device`);
      const bar0 = new Bar0(client);
      const bar0Info = await client.getRegionInfo(BAR0_REGION);
      let doorbells: Doorbells;
      try {
        doorbells = await openDoorbells(eal.arena, bar0, bar0Info, () => ioFdsOf(client), name, log);
      } finally {
        if (bar0Info.fd >= 0) closeFd(bar0Info.fd);
      }
      undo.push(() => doorbells.close());
      const { count } = await client.getIrqInfo(PCI_IRQ.MSIX);
      const { msixVectors } = await enablePciFunction(client, name);
      await client.dmaMap({
        iova: IOVA_BASE,
        size: BigInt(eal.arena.ownBytes),
        prot: PROT.READ | PROT.WRITE,
        fd: eal.arena.fd,
        fileOffset: 0n,
      });
      const fds = Array.from({ length: Math.min(count, msixVectors, VECTORS_USED) }, () => eventfd());
      undo.push(() => fds.forEach(closeFd));
      if (fds.length > 0) await client.setIrqs(PCI_IRQ.MSIX, 0, fds);
      else log.notice(`${name}: no MSI-X vector; the admin queue is polled`);
      return new Transport(client, bar0, doorbells, fds, ours, events);
    } catch (error) {
      ours.closing = true;
      for (const step of undo.reverse()) step();
      throw error;
    }
  }

  private constructor(
    client: VfioUserClient,
    bar0: Bar0,
    doorbells: Doorbells,
    fds: number[],
    ours: { closing: boolean },
    events: TransportEvents,
  ) {
    this.client = client;
    this.#ours = ours;
    this.bar0 = bar0;
    this.doorbells = doorbells;
    this.interrupts = fds.length > 0;
    this.#fds = fds;
    const [admin] = fds;
    this.#watcher =
      admin === undefined
        ? null
        : watch(admin, { readable: true }, () => {
            eventfdRead(admin);
            events.interrupt();
          });
  }

  /** DEVICE_RESET, and what a guest's PCI core does again after it. */
  async reset(name: string): Promise<void> {
    await this.client.reset();
    await enablePciFunction(this.client, name);
    if (this.#fds.length > 0) await this.client.setIrqs(PCI_IRQ.MSIX, 0, this.#fds);
  }

  /** Closes the connection, which ends the device's hold on our memory, and gives back fds and doorbells. Idempotent. */
  close(): void {
    if (this.#ours.closing) return;
    this.#ours.closing = true;
    this.client.close();
    this.#watcher?.close();
    this.#fds.forEach(closeFd);
    this.doorbells.close();
  }
}

/** None from a server that does not know the command. */
async function ioFdsOf(client: VfioUserClient): Promise<IoFd[]> {
  try {
    return await client.getRegionIoFds(BAR0_REGION);
  } catch (error) {
    if (error instanceof VfioUserError && error.code === "VFU_REFUSED") return [];
    throw error;
  }
}
