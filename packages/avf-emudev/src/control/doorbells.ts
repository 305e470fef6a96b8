// The doorbell pages of BAR0: QTX_TAIL1 in page 0x0000, QRX_TAIL1 and the ITR registers in page 0x2000. They are words of the
// arena, so lcores read them as memory whatever the mode: a memfd, new for each client and sealed. With doorbell=mem the
// client may map the two pages, and a doorbell costs it no trap. With doorbell=fd each queue has an eventfd, which trapped
// writes signal; a client that asks for ioeventfds gets these, with the memfd as shadow memory for the values, and traps
// no more. When the arena has no room for the file, the words are private memory that trapped writes land in.
import {
  AVF_QUEUE_PAIRS_MAX,
  BAR0_ITRN,
  BAR0_ITRN_STRIDE,
  BAR0_PAGE_BYTES,
  BAR0_QRX_PAGE,
  BAR0_QTX_PAGE,
  ITR_INDEX_NONE,
} from "@emudev/avf";
import { EMU_DEV_DB_FD, EMU_DEV_DB_MEM, type EmuDevDbInfo } from "@emudev/emudev";
import { addSeals, closeFd, eventfd, memfdCreate, PROT, SEAL, signalEventfd } from "@emudev/linux";
import type { Arena } from "@emudev/shm";
import type { IoFd } from "@emudev/vfio-user";

const BYTES = BAR0_QRX_PAGE + BAR0_PAGE_BYTES;
const AREAS = [
  { offset: BAR0_QTX_PAGE, size: BAR0_PAGE_BYTES },
  { offset: BAR0_QRX_PAGE, size: BAR0_PAGE_BYTES },
];

export type DoorbellMode = "mem" | "fd";

export class Doorbells {
  readonly #arena: Arena;
  readonly #name: string;
  readonly #mode: DoorbellMode;
  /** Private words, for an arena without room and for the time without a client. */
  readonly #private: number;
  readonly #eventfds: number[] = [];
  #off: number;
  #fd = -1;
  /** The client has the eventfds, too. */
  #lent = false;

  /** @param pairs queue pairs; each queue has a doorbell of its number */
  constructor(arena: Arena, name: string, mode: DoorbellMode, pairs: number) {
    this.#arena = arena;
    this.#name = name;
    this.#mode = mode;
    this.#private = arena.memzoneReserve(`${name}.db`, BYTES, BAR0_PAGE_BYTES).off;
    this.#off = this.#private;
    for (let queue = 0; queue < 2 * pairs; queue++) this.#eventfds.push(mode === "fd" ? eventfd() : -1);
  }

  /** True for offsets of BAR0 that lie in one of the two pages. */
  covers(offset: number): boolean {
    return AREAS.some((area) => offset >= area.offset && offset < area.offset + area.size);
  }

  read(offset: number): number {
    return Atomics.load(this.#arena.i32, (this.#off + offset) >>> 2) >>> 0;
  }

  /** A trapped write: stores, and wakes the queue's eventfd when it is a tail. */
  write(offset: number, value: number): void {
    Atomics.store(this.#arena.i32, (this.#off + offset) >>> 2, value | 0);
    const pair = (offset & (BAR0_PAGE_BYTES - 1)) >>> 2;
    if (pair >= AVF_QUEUE_PAIRS_MAX) return;
    const fd = this.#eventfds[2 * pair + (offset < BAR0_PAGE_BYTES ? 1 : 0)] ?? -1;
    if (fd >= 0) signalEventfd(fd); // the client has it too (ioFds)
  }

  /** A queue's tail as the driver has written it. */
  tail(queue: number): number {
    return Atomics.load(this.#arena.i32, (this.#off + tailOffset(queue)) >>> 2);
  }

  /** Forgets a queue's tail; numbers as in emudev (2 i = receive, 2 i + 1 = transmit). */
  clearTail(queue: number): void {
    Atomics.store(this.#arena.i32, (this.#off + tailOffset(queue)) >>> 2, 0);
  }

  /** The tails and ITR registers that are not 0, by offset in BAR0. */
  words(): [number, number][] {
    return REGISTERS.map((offset): [number, number] => [offset, this.read(offset)]).filter(([, value]) => value !== 0);
  }

  /** Takes what words() gave; all others are 0. */
  setWords(words: readonly (readonly [number, number])[]): void {
    this.clear();
    for (const [offset, value] of words)
      if (REGISTERS.includes(offset)) Atomics.store(this.#arena.i32, (this.#off + offset) >>> 2, value | 0);
  }

  /** Every word 0, as after a reset. */
  clear(): void {
    this.#arena.u8.fill(0, this.#off, this.#off + BYTES);
  }

  /** Arena offset of ITR register `index` of queue vector `vector` (1..); 0 without one (ITR_INDEX_NONE). */
  itrOff(vector: number, index: number = ITR_INDEX_NONE): number {
    if (index === ITR_INDEX_NONE) return 0;
    return this.#off + BAR0_ITRN + index * BAR0_ITRN_STRIDE + (vector - 1) * 4;
  }

  /** The doorbell of a queue, null for one that the device has not got. Valid until the client leaves. */
  info(queue: number): EmuDevDbInfo | null {
    const fd = this.#eventfds[queue];
    if (fd === undefined) return null;
    const off = this.#off + tailOffset(queue);
    if (fd >= 0) return { id: queue, flag: EMU_DEV_DB_FD, fd, priv: { off } };
    return { id: queue, flag: EMU_DEV_DB_MEM, mem: { base: off, size: 4 }, priv: { off } };
  }

  /** New pages for a client that comes. */
  connect(): void {
    const words = this.words();
    const fd = memfdCreate(this.#name, BYTES, { seals: true });
    try {
      addSeals(fd, SEAL.SHRINK | SEAL.GROW | SEAL.SEAL);
      const off = this.#arena.mapWindow(fd, 0, BYTES, PROT.READ | PROT.WRITE);
      if (off === null) {
        closeFd(fd);
        return;
      }
      this.#off = off;
      this.#fd = fd;
      this.setWords(words); // of a device that was kept
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  /**
   * The pages of the client that left go; no lcore may hold a queue of it any longer.
   * @param words what the next client finds in its own
   */
  disconnect(words: readonly (readonly [number, number])[] = []): void {
    if (this.#fd < 0) return;
    this.#arena.unmapWindow(this.#off);
    closeFd(this.#fd);
    this.#fd = -1;
    this.#off = this.#private;
    this.setWords(words);
    if (!this.#lent) return;
    // A client that has left must not ring any longer.
    this.#lent = false;
    this.#eventfds.forEach((fd, queue) => {
      closeFd(fd);
      this.#eventfds[queue] = eventfd();
    });
  }

  /** What the client may map, or null. */
  mmap(): { fd: number; offset: number; areas: { offset: number; size: number }[] } | null {
    return this.#fd < 0 || this.#mode !== "mem" ? null : { fd: this.#fd, offset: 0, areas: AREAS };
  }

  /** One ioeventfd for each tail register, with its word as shadow memory; none with doorbell=mem. */
  ioFds(): IoFd[] {
    const shadow = this.#fd;
    if (shadow < 0 || this.#mode !== "fd") return [];
    this.#lent = true;
    return this.#eventfds.map((fd, queue) => {
      const offset = tailOffset(queue);
      return { offset, size: 4, fd, type: "shadow", shadow: { fd: shadow, offset } };
    });
  }

  close(): void {
    this.disconnect();
    for (const fd of this.#eventfds) if (fd >= 0) closeFd(fd);
    this.#arena.memzoneFree(`${this.#name}.db`);
  }
}

const tailOffset = (queue: number): number => ((queue & 1) === 1 ? BAR0_QTX_PAGE : BAR0_QRX_PAGE) + (queue >> 1) * 4;

/** Offsets of all tails and of the ITR registers of queue vectors. */
const REGISTERS: readonly number[] = [
  ...Array.from({ length: 2 * AVF_QUEUE_PAIRS_MAX }, (_, queue) => tailOffset(queue)),
  ...[0, 1, 2].flatMap((index) =>
    Array.from({ length: AVF_QUEUE_PAIRS_MAX }, (_, i) => BAR0_ITRN + index * BAR0_ITRN_STRIDE + 4 * i),
  ),
];
