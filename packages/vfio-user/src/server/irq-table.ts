// The eventfds of one client's interrupts, by index and vector. Who closes them depends on the device: with a setIrqs
// callback they are its own and this table only remembers the numbers, without it the table owns them.

import { closeFd, signalEventfd } from "@emudev/linux";
import { PCI_IRQ } from "../wire/constants.ts";
import type { IrqSpec } from "./device.ts";
import { MaskFds } from "./mask-fds.ts";

export class IrqTable {
  /** Indexes: those of any PCI device, and more where the device has more. */
  readonly length: number;
  /** Eventfds of SET_IRQS with MASK or UNMASK; always the server's. */
  readonly masks = new MaskFds();
  #specs: IrqSpec[];
  #vectors: Int32Array[];
  #owns: boolean;

  constructor(irqs: readonly IrqSpec[], owns: boolean) {
    this.length = Math.max(PCI_IRQ.COUNT, ...irqs.map((irq) => irq.index + 1));
    this.#specs = Array.from({ length: this.length }, (_, index) => ({ index, count: 0, flags: 0 }));
    for (const irq of irqs) this.#specs[irq.index] = irq;
    this.#vectors = this.#specs.map((spec) => new Int32Array(spec.count).fill(-1));
    this.#owns = owns;
  }

  /** Of an index below `length`. */
  spec(index: number): IrqSpec {
    return this.#specs[index] as IrqSpec;
  }

  /** The eventfd of a vector, -1 when none is bound. */
  fd(index: number, vector: number): number {
    return this.#vectors[index]?.[vector] ?? -1;
  }

  set(index: number, start: number, fds: readonly number[]): void {
    const vectors = this.#vectors[index];
    if (vectors === undefined) return;
    fds.forEach((fd, i) => {
      const old = vectors[start + i] ?? -1;
      if (this.#owns && old >= 0) closeFd(old);
      vectors[start + i] = fd;
    });
  }

  /** Indexes that have at least one eventfd, with all their vectors. */
  bound(): { index: number; count: number }[] {
    return this.#specs.filter(({ index }) => this.#vectors[index]?.some((fd) => fd >= 0));
  }

  /** Writes the vector's eventfd; false when there is none. */
  trigger(index: number, vector: number): boolean {
    const fd = this.fd(index, vector);
    if (fd < 0) return false;
    signalEventfd(fd);
    return true;
  }
}
