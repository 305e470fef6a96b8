// The interrupts of a device: INTx as a level, MSI and MSI-X as messages with masks and pending bits, and VFIO's error and
// request notifiers. Messages go to the eventfds that the client has bound; a client that binds them has enabled the
// vectors, whether or not it writes the enable bit (the kernel's VFIO does that for its users). device.ts has one.

import { closeFd, signalEventfd } from "@emudev/linux";
import { refusal } from "../errors.ts";
import type { PciConfig } from "../pci/config.ts";
import type { IrqSpec } from "../server/device.ts";
import { ERRNO, IRQ_FLAG, PCI_IRQ } from "../wire/constants.ts";
import { Intx } from "./intx.ts";
import { MsixTable } from "./msix-table.ts";

export class Interrupts {
  /** For VfioUserDevice.irqs. */
  readonly specs: readonly IrqSpec[];
  readonly msixTable: MsixTable | null;
  #config: PciConfig;
  #counts: number[];
  #fds: Int32Array[];
  #intx: Intx;
  /** Bit n: MSI vector n waits. */
  #msiPending = 0;

  /** `masked` is called when INTx has masked itself. */
  constructor(config: PciConfig, counts: { intx: boolean; msi: number; msix: number }, masked: () => void) {
    this.#config = config;
    this.#counts = [counts.intx ? 1 : 0, counts.msi, counts.msix, 1, 1];
    const { EVENTFD, MASKABLE, AUTOMASKED } = IRQ_FLAG;
    this.specs = this.#counts.flatMap((count, index) => {
      const flags = index === PCI_IRQ.INTX ? EVENTFD | MASKABLE | AUTOMASKED : EVENTFD;
      return count > 0 ? [{ index, count, flags }] : [];
    });
    this.#fds = this.#counts.map((count) => new Int32Array(count).fill(-1));
    this.msixTable = counts.msix > 0 ? new MsixTable(counts.msix, (vector) => this.#deliver(vector)) : null;
    this.#intx = new Intx({
      allowed: () => !config.intxDisabled && !config.msiEnabled && !config.msixEnabled,
      fire: () => this.#write(PCI_IRQ.INTX, 0),
      masked,
      status: (pending) => {
        config.interruptStatus = pending;
      },
    });
  }

  /**
   * Raises a message: MSI-X when the client has bound or enabled it, else MSI (vectors beyond those that the driver has
   * given share them). A masked one is pending until it is unmasked.
   * @returns false when there is nobody to tell, and nothing is pending either
   */
  raise(vector: number): boolean {
    if (this.#inUse(PCI_IRQ.MSIX)) return this.#raiseMsix(vector);
    if (this.#inUse(PCI_IRQ.MSI)) return this.#raiseMsi(vector % this.#msiVectors);
    return false;
  }

  /** INTx: the device wants service, until `deassert`. */
  assert(): void {
    this.#intx.set(true);
  }

  deassert(): void {
    this.#intx.set(false);
  }

  /** What the driver uses. */
  get mode(): "none" | "intx" | "msi" | "msix" {
    if (this.#inUse(PCI_IRQ.MSIX)) return "msix";
    if (this.#inUse(PCI_IRQ.MSI)) return "msi";
    return this.#isBound(PCI_IRQ.INTX) ? "intx" : "none";
  }

  /** VFIO's error notifier: the device cannot go on. QEMU stops the guest. False: nobody listens. */
  error(): boolean {
    return this.#write(PCI_IRQ.ERR, 0);
  }

  /** VFIO's request notifier: the device asks to be released. False: nobody listens. */
  request(): boolean {
    return this.#write(PCI_IRQ.REQ, 0);
  }

  /** Takes over the eventfds; what was pending for a vector is delivered. For VfioUserDevice.setIrqs. */
  bind(index: number, start: number, fds: readonly number[]): void {
    const bound = this.#fds[index] as Int32Array;
    fds.forEach((fd, i) => {
      const old = bound[start + i] as number;
      bound[start + i] = fd;
      if (old >= 0) closeFd(old);
      if (fd < 0) return;
      if (index === PCI_IRQ.MSIX) this.#deliver(start + i);
    });
    if (index === PCI_IRQ.MSI) this.#deliverMsi();
    // a line that is bound anew, or not any more, is not masked
    if (index === PCI_IRQ.INTX) this.#intx.mask(false);
  }

  /** @throws a refusal (ENOTSUP) for messages, which have masks of their own. */
  mask(index: number, masked: boolean): void {
    if (index !== PCI_IRQ.INTX) throw refusal(ERRNO.ENOTSUP, "MSI and MSI-X are masked in their capability and table");
    this.#intx.mask(masked);
  }

  /** A client's test: what it bound is written, whatever is masked. */
  trigger(index: number, vector: number): void {
    this.#write(index, vector);
  }

  /** Command register, enable bits or masks in configuration space have changed. */
  update(): void {
    this.#deliverMsi();
    for (let vector = 0; vector < (this.msixTable?.vectors ?? 0); vector++) this.#deliver(vector);
    this.#intx.update();
  }

  /** Nothing is pending or asserted; eventfds stay bound. */
  reset(): void {
    this.#intx.reset();
    this.msixTable?.reset();
    this.#setMsiPending(0);
  }

  #inUse(index: number): boolean {
    const enabled = index === PCI_IRQ.MSIX ? this.#config.msixEnabled : this.#config.msiEnabled;
    return (this.#counts[index] as number) > 0 && (enabled || this.#isBound(index));
  }

  /** What the driver has given; of a client that only binds eventfds, as many as reach up to the last of them. */
  get #msiVectors(): number {
    if (this.#config.msiEnabled) return this.#config.msiVectors;
    return (this.#fds[PCI_IRQ.MSI] as Int32Array).findLastIndex((fd) => fd >= 0) + 1;
  }

  #isBound(index: number): boolean {
    return (this.#fds[index] as Int32Array).some((fd) => fd >= 0);
  }

  #write(index: number, vector: number): boolean {
    const fd = this.#fds[index]?.[vector] ?? -1;
    if (fd >= 0) signalEventfd(fd); // the client has it too, and must not make us wait
    return fd >= 0;
  }

  #raiseMsix(vector: number): boolean {
    const table = this.msixTable as MsixTable;
    if (!(vector >= 0 && vector < table.vectors)) return false;
    const isMasked = table.masked(vector) || this.#config.msixMasked;
    if (!isMasked && this.#write(PCI_IRQ.MSIX, vector)) return true;
    if (isMasked || this.#config.msixEnabled) table.setPending(vector, true);
    return table.pending(vector);
  }

  #raiseMsi(vector: number): boolean {
    const isMasked = (this.#config.msiMask & (1 << vector)) !== 0;
    if (!isMasked) return this.#write(PCI_IRQ.MSI, vector);
    this.#setMsiPending(this.#msiPending | (1 << vector));
    return true;
  }

  /** A pending MSI-X message whose vector may have been unmasked. */
  #deliver(vector: number): void {
    const table = this.msixTable;
    if (!table?.pending(vector) || table.masked(vector) || this.#config.msixMasked) return;
    if (this.#write(PCI_IRQ.MSIX, vector)) table.setPending(vector, false);
  }

  #deliverMsi(): void {
    for (let vector = 0; this.#msiPending !== 0 && vector < 32; vector++) {
      const bit = 1 << vector;
      if (!(this.#msiPending & bit) || this.#config.msiMask & bit) continue;
      if (this.#write(PCI_IRQ.MSI, vector)) this.#setMsiPending(this.#msiPending & ~bit);
    }
  }

  #setMsiPending(bits: number): void {
    this.#msiPending = bits;
    this.#config.msiPending = bits >>> 0;
  }
}
