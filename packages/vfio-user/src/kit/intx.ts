// INTx of a device: a level. VFIO turns it into events: while the line is asserted and not masked, the client's eventfd is
// written once and the line masks itself; the client unmasks it when the guest has acknowledged the interrupt (QEMU on the
// next access to the device, or KVM by an eventfd), and if the line is still asserted then, it fires again. interrupts.ts
// has one.

/** What the line reaches: the client's eventfd and the status bit of configuration space. */
export interface IntxWires {
  /** False when the driver has set INTX_DISABLE, or uses messages instead. */
  allowed(): boolean;
  /** Writes the client's eventfd; false when there is none. */
  fire(): boolean;
  /** The line has masked itself. */
  masked(): void;
  status(pending: boolean): void;
}

export class Intx {
  #wires: IntxWires;
  #asserted = false;
  #masked = false;

  constructor(wires: IntxWires) {
    this.#wires = wires;
  }

  get asserted(): boolean {
    return this.#asserted;
  }

  get isMasked(): boolean {
    return this.#masked;
  }

  set(asserted: boolean): void {
    this.#asserted = asserted;
    this.#wires.status(asserted);
    this.update();
  }

  mask(masked: boolean): void {
    this.#masked = masked;
    this.update();
  }

  /** Something that `allowed` or `fire` depend on has changed. */
  update(): void {
    if (!this.#asserted || this.#masked || !this.#wires.allowed() || !this.#wires.fire()) return;
    this.#masked = true;
    this.#wires.masked();
  }

  /** Deasserted; what the client has masked stays so. */
  reset(): void {
    this.#asserted = false;
    this.#wires.status(false);
  }
}
