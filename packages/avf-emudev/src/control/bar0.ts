// BAR0, the register file: every register of the table in package avf, dispatched by `switch` to who keeps it. Accesses of
// other than 4 aligned bytes and unknown offsets are counted; they read as 0xdeadbeef, as on the hardware of this family,
// and writes to them do nothing. Called by device.ts for trapped accesses; mapped doorbells never come here.
import { AQ_INDEX_MASK, AQ_LEN_CRIT, AQ_LEN_OVFL, AQ_LEN_VFE, findRegister, ITR_INTERVAL_MASK, REG } from "@emudev/avf";
import type { AdminQueues } from "./admin-queue.ts";
import type { Counters } from "./counters.ts";
import type { Doorbells } from "./doorbells.ts";
import type { Interrupts } from "./interrupts.ts";

const NOTHING = 0xdeadbeef;
const LEN_BITS = AQ_INDEX_MASK | AQ_LEN_VFE | AQ_LEN_OVFL | AQ_LEN_CRIT | (1 << 31);

export interface Bar0Parts {
  admin: AdminQueues;
  interrupts: Interrupts;
  doorbells: Doorbells;
  counters: Counters;
  /** What VFGEN_RSTAT reads now. */
  rstat(): number;
}

export class Bar0 {
  readonly #parts: Bar0Parts;
  /** Registers without effect, kept so that they read back: HENA, HKEY, HLUT, STAT_CTL01. */
  readonly #plain: number[] = [];

  constructor(parts: Bar0Parts) {
    this.#parts = parts;
  }

  read(offset: number): number {
    const { admin, interrupts, doorbells, counters, rstat } = this.#parts;
    if (doorbells.covers(offset)) return doorbells.read(offset);
    const { atq, arq } = admin;
    const found = findRegister(offset);
    if (found === null) {
      counters.unknownReads++;
      return NOTHING;
    }
    switch (found.reg.offset) {
      case REG.VFINT_DYN_CTLN1.offset:
        return interrupts.readDynCtl(found.index + 1);
      case REG.VFINT_DYN_CTL01.offset:
        return interrupts.readDynCtl(0);
      case REG.VFINT_ICR01.offset:
        return interrupts.readIcr0();
      case REG.VFINT_ICR0_ENA1.offset:
        return interrupts.icr0Ena >>> 0;
      case REG.VFINT_ITR01.offset:
        return interrupts.itr0[found.index]!;
      case REG.VF_ATQH1.offset:
        return atq.head;
      case REG.VF_ATQT1.offset:
        return atq.tail;
      case REG.VF_ATQLEN1.offset:
        return atq.len >>> 0;
      case REG.VF_ATQBAL1.offset:
        return atq.bal >>> 0;
      case REG.VF_ATQBAH1.offset:
        return atq.bah >>> 0;
      case REG.VF_ARQH1.offset:
        return arq.head;
      case REG.VF_ARQT1.offset:
        return arq.tail;
      case REG.VF_ARQLEN1.offset:
        return arq.len >>> 0;
      case REG.VF_ARQBAL1.offset:
        return arq.bal >>> 0;
      case REG.VF_ARQBAH1.offset:
        return arq.bah >>> 0;
      case REG.VFGEN_RSTAT.offset:
        return rstat();
      default:
        return this.#plain[offset >>> 2] ?? 0;
    }
  }

  write(offset: number, value: number): void {
    const { admin, interrupts, doorbells, counters } = this.#parts;
    if (doorbells.covers(offset)) {
      doorbells.write(offset, value);
      return;
    }
    const { atq, arq } = admin;
    const found = findRegister(offset);
    if (found === null || found.reg.access === "ro") {
      counters.unknownWrites++;
      return;
    }
    switch (found.reg.offset) {
      case REG.VFINT_DYN_CTLN1.offset:
        interrupts.writeDynCtl(found.index + 1, value);
        return;
      case REG.VFINT_DYN_CTL01.offset:
        interrupts.writeDynCtl(0, value);
        return;
      case REG.VFINT_ICR01.offset:
        return;
      case REG.VFINT_ICR0_ENA1.offset:
        interrupts.writeIcr0Ena(value);
        return;
      case REG.VFINT_ITR01.offset:
        interrupts.setItr0(found.index, value & ITR_INTERVAL_MASK);
        return;
      case REG.VF_ATQH1.offset:
        atq.head = value & AQ_INDEX_MASK;
        return;
      case REG.VF_ATQT1.offset:
        admin.writeTail(atq, value & AQ_INDEX_MASK);
        return;
      case REG.VF_ATQLEN1.offset:
        admin.writeLen(atq, value & LEN_BITS);
        return;
      case REG.VF_ATQBAL1.offset:
        atq.bal = value;
        return;
      case REG.VF_ATQBAH1.offset:
        atq.bah = value;
        return;
      case REG.VF_ARQH1.offset:
        arq.head = value & AQ_INDEX_MASK;
        return;
      case REG.VF_ARQT1.offset:
        admin.writeTail(arq, value & AQ_INDEX_MASK);
        return;
      case REG.VF_ARQLEN1.offset:
        admin.writeLen(arq, value & LEN_BITS);
        return;
      case REG.VF_ARQBAL1.offset:
        arq.bal = value;
        return;
      case REG.VF_ARQBAH1.offset:
        arq.bah = value;
        return;
      default:
        this.#plain[offset >>> 2] = value;
    }
  }

  /** An access of any size; all but 4 aligned bytes (or a run of them) is counted and has no effect. */
  readBytes(offset: number, into: Uint8Array): void {
    if (!this.#aligned(offset, into.length)) {
      into.fill(0xff);
      return;
    }
    const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
    for (let at = 0; at < into.length; at += 4) view.setUint32(at, this.read(offset + at), true);
  }

  writeBytes(offset: number, data: Uint8Array): void {
    if (!this.#aligned(offset, data.length)) return;
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    for (let at = 0; at < data.length; at += 4) this.write(offset + at, view.getUint32(at, true));
  }

  /**
   * What a register is to a driver that comes back, to see whether a write has changed it: heads and tails of the admin queues
   * and whether a vector is armed are made anew then. NaN where that is not worth finding out.
   */
  kept(offset: number): number {
    const { admin, interrupts, doorbells } = this.#parts;
    const found = doorbells.covers(offset) ? null : findRegister(offset);
    switch (found?.reg.offset) {
      case undefined:
      case REG.VF_ATQH1.offset:
      case REG.VF_ATQT1.offset:
      case REG.VF_ARQH1.offset:
      case REG.VF_ARQT1.offset:
      case REG.VFINT_ICR01.offset:
        return 0;
      case REG.VFINT_DYN_CTLN1.offset:
        return interrupts.keptOf(found!.index + 1);
      case REG.VFINT_ICR0_ENA1.offset:
        return interrupts.icr0Ena;
      case REG.VF_ATQLEN1.offset:
        return admin.atq.len;
      case REG.VF_ARQLEN1.offset:
        return admin.arq.len;
      default:
        return Number.NaN;
    }
  }

  /** Registers without effect that were written, as offset and value. */
  plain(): [number, number][] {
    return this.#plain.flatMap((value, index) => [[4 * index, value >>> 0] as [number, number]]); // holes are passed over
  }

  /** Takes what plain() gave, as far as they are such registers. */
  setPlain(registers: readonly (readonly [number, number])[]): void {
    this.#plain.length = 0;
    for (const [offset, value] of registers) {
      const found = findRegister(offset);
      if (found !== null && found.reg.access !== "ro") this.#plain[offset >>> 2] = value;
    }
  }

  /** Registers without effect read 0 again; the rest is reset by who keeps it. */
  reset(): void {
    this.#plain.length = 0;
  }

  #aligned(offset: number, bytes: number): boolean {
    if (bytes > 0 && (offset & 3) === 0 && (bytes & 3) === 0) return true;
    this.#parts.counters.badAccesses++;
    return false;
  }
}
