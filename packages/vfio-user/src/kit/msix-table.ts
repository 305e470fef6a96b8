// The MSI-X table and pending bits of a device, as a client reads and writes them in a BAR (PCI Local Bus 3.0 section
// 6.8.2). QEMU keeps the table to itself and forwards reads of the pending bits alone: it binds eventfds instead of
// telling masks. So a vector counts as masked only when a client has written its entry and left the mask bit set.

import { MSIX } from "../pci/registers.ts";
import type { Window } from "./window.ts";

const CONTROL = 12;
const MASK = 1;

export class MsixTable {
  #entries: Uint8Array;
  #written: Uint8Array;
  #pending: Uint8Array;
  #onUnmask: (vector: number) => void;

  constructor(vectors: number, onUnmask: (vector: number) => void) {
    this.#entries = new Uint8Array(vectors * MSIX.ENTRY_SIZE);
    this.#written = new Uint8Array(vectors);
    this.#pending = new Uint8Array(Math.ceil(vectors / 64) * 8);
    this.#onUnmask = onUnmask;
    this.reset();
  }

  get vectors(): number {
    return this.#written.length;
  }

  masked(vector: number): boolean {
    return this.#written[vector] === 1 && this.#maskBit(vector);
  }

  pending(vector: number): boolean {
    return ((this.#pending[vector >> 3] as number) & (1 << (vector & 7))) !== 0;
  }

  setPending(vector: number, pending: boolean): void {
    const bit = 1 << (vector & 7);
    const byte = this.#pending[vector >> 3] as number;
    this.#pending[vector >> 3] = pending ? byte | bit : byte & ~bit;
  }

  /** All entries masked, nothing pending. */
  reset(): void {
    this.#entries.fill(0);
    this.#written.fill(0);
    this.#pending.fill(0);
    for (let vector = 0; vector < this.vectors; vector++) this.#entries[vector * MSIX.ENTRY_SIZE + CONTROL] = MASK;
  }

  /** Where they lie in a BAR. */
  windows(table: number, pba: number): Window[] {
    return [
      {
        from: table,
        to: table + this.#entries.length,
        read: (offset, into) => into.set(this.#entries.subarray(offset - table, offset - table + into.length)),
        write: (offset, data) => this.#write(offset - table, data),
      },
      {
        from: pba,
        to: pba + this.#pending.length,
        read: (offset, into) => into.set(this.#pending.subarray(offset - pba, offset - pba + into.length)),
        write() {},
      },
    ];
  }

  #maskBit(vector: number): boolean {
    return ((this.#entries[vector * MSIX.ENTRY_SIZE + CONTROL] as number) & MASK) !== 0;
  }

  #write(offset: number, data: Uint8Array): void {
    this.#entries.set(data, offset);
    const last = Math.floor((offset + data.length - 1) / MSIX.ENTRY_SIZE);
    for (let vector = Math.floor(offset / MSIX.ENTRY_SIZE); vector <= last; vector++) {
      this.#written[vector] = 1;
      const control = vector * MSIX.ENTRY_SIZE + CONTROL;
      // only the mask bit can be written
      this.#entries[control] = (this.#entries[control] as number) & MASK;
      this.#entries.fill(0, control + 1, control + 4);
      if (!this.#maskBit(vector)) this.#onUnmask(vector);
    }
  }
}
