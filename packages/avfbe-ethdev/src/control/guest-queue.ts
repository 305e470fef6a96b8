// One queue of the guest, from the control side: its state in the arena (layout/guest-queue.ts) is filled here when the guest
// enables it, while no lcore knows it. What the guest configured is checked again, since it decides loops in the kernels; the
// provider's checks are not relied on. Used by guest-queues.ts.
import { type AvfQueuePriv, RX_DESC_BYTES, TX_DESC_BYTES } from "@emudev/avf";
import type { EmuDevQueueInfo, EmuDevQueuePosition } from "@emudev/emudev";
import {
  EMU_DEV_DB_FD,
  emuGetDbInfo,
  emuGetIrqInfo,
  emuGetMemTable,
  loadPlace,
  QPOS_INDEX,
  storeIntent,
  storePlace,
} from "@emudev/emudev";
import { type Arena, ShmError } from "@emudev/shm";
import {
  FRAME_MAX,
  GQ_BASE,
  GQ_DOORBELL,
  GQ_HEAD,
  GQ_LOCK,
  GQ_MEM_WORD,
  GQ_SIZE,
  GQ_VECTOR,
  GQ_WANT_BOUNCE,
  GRX_BUF_SIZE,
  GRX_BYTES,
  GRX_CRC,
  GRX_FILTER_WORD,
  GRX_HELD_LOST,
  GRX_HOLD,
  GRX_MAX_PKT,
  GRX_POSITION,
  GTX_BYTES,
  GTX_CRC32C,
  GTX_DONE,
  GTX_DRAIN,
  GTX_POSITION,
  GTX_SCRATCH,
  GTX_SCRATCH_BYTES,
  GTX_SKIP,
  GTX_TSO_DESC,
  GTX_TSO_LEFT,
  POSITION_SKIP,
} from "../layout/guest-queue.ts";
import { HOLD_BYTES, HOLD_COUNT } from "../layout/hold.ts";
import type { Bounce } from "./bounce.ts";
import { completeTx, type GuestRing, recover } from "./position.ts";

/** What all queues of a guest share. */
export interface GuestContext {
  arena: Arena;
  /** The port's name, for memzones and log lines. */
  name: string;
  devId: number;
  /** Arena offset of the word with the device's memory table. */
  memWordOff: number;
  filterWordOff: number;
  crc32cOff: number;
  crc32Off: number;
}

const RING_MIN = 8;
const RING_MAX = 8160;
const BUF_MIN = 64;
const BUF_MAX = 16383;

export class GuestQueue {
  readonly kind: "rx" | "tx";
  /** Number of the queue pair. */
  readonly pair: number;
  /** Arena offset of the state. */
  readonly off: number;
  /** The guest has enabled it and what it configured is usable. */
  enabled = false;
  /** lcores may know it: enabled, and not just changing hands. */
  published = false;
  /** eventfd of a trapped doorbell, the provider's; -1 = mapped. */
  doorbellFd = -1;
  /** Carries for it while its memory is not mapped. */
  bounce: Bounce | null = null;
  /** Ends what keeps the ring's window mapped. */
  unpin: (() => void) | null = null;
  /** How often in a row it met memory without a window at the same descriptor. */
  #stuck = 0;
  #stuckAt = -1;
  /** Up to this descriptor windows were asked for ahead. */
  #ahead = 0;
  readonly #context: GuestContext;
  #scratch: string | null = null;
  #hold: string | null = null;
  /** Where the provider keeps how far the queue is. */
  #position: EmuDevQueuePosition | null = null;
  #ring: GuestRing | null = null;

  constructor(context: GuestContext, kind: "rx" | "tx", pair: number, off: number) {
    this.#context = context;
    this.kind = kind;
    this.pair = pair;
    this.off = off;
  }

  /** What memzones of this queue are called. */
  get zonePrefix(): string {
    return `${this.#context.name}.${this.kind}${this.pair}`;
  }

  get name(): string {
    return `${this.#context.name}: guest ${this.kind} queue ${this.pair}`;
  }

  /** Bytes of a ring of this kind. */
  ringBytes(size: number): number {
    return size * (this.kind === "rx" ? RX_DESC_BYTES : TX_DESC_BYTES);
  }

  /**
   * Fills the state from what the guest configured. No lcore may know the queue.
   * @returns null, or what is wrong with the configuration
   */
  fill(info: EmuDevQueueInfo): string | null {
    const { arena, devId, memWordOff } = this.#context;
    const priv = info.priv as AvfQueuePriv;
    if (!Number.isInteger(info.size) || info.size < RING_MIN || info.size > RING_MAX)
      return `a ring of ${info.size} descriptors; ${RING_MIN} to ${RING_MAX} are possible`;
    const doorbell = emuGetDbInfo(devId, info.doorbellId);
    if (doorbell === null) return `doorbell ${info.doorbellId} is not there`;
    this.doorbellFd = doorbell.flag === EMU_DEV_DB_FD ? (doorbell.fd ?? -1) : -1;
    const vector = info.irqVector < 0 ? null : emuGetIrqInfo(devId, info.irqVector);
    this.put(GQ_MEM_WORD, memWordOff);
    this.put(GQ_DOORBELL, doorbell.priv.off);
    this.put(GQ_VECTOR, vector?.priv.off ?? 0);
    this.setRing(info.base, info.size);
    const wrong = this.kind === "rx" ? this.#fillRx(info.size, priv) : this.#fillTx();
    if (wrong !== null) return wrong;
    arena.u32[(this.off + GQ_LOCK) >>> 2] = 0;
    if (emuGetMemTable(devId).hasDemand) this.hold();
    this.#ring = { arena, memory: emuGetMemTable(devId), base: info.base, size: info.size };
    this.#takeUp(info.position ?? null, this.get(doorbell.priv.off - this.off));
    return null;
  }

  /** Something is begun that needs no more of the guest: the segments of a TSO packet. */
  get unfinished(): boolean {
    return this.kind === "tx" && this.bounce === null && this.get(GTX_TSO_LEFT) !== 0;
  }

  /** Has the lcore take nothing new from a transmit queue. */
  drain(): void {
    if (this.kind === "tx") this.put(GTX_DRAIN, 1);
  }

  /**
   * Gives back what the lcore has handed on, and leaves the position to the provider. No lcore may have the queue.
   * @param index where the queue goes on, of one that was bounced
   */
  leave(index?: number): void {
    if (index === undefined) this.giveBack();
    else if (this.#position !== null) storePlace(this.#context.arena, this.#position.off, index);
  }

  /**
   * Gives back what the lcore has handed on, as its next burst would. No lcore may have the queue.
   * @returns whether the guest got descriptors back
   */
  giveBack(): boolean {
    const { arena } = this.#context;
    const durable = this.get(this.#positionField) !== 0;
    const tso = durable && this.unfinished; // sent again from its beginning
    const head = this.get(tso ? GTX_TSO_DESC : GQ_HEAD);
    const skip = this.kind === "tx" && !tso && this.get(GTX_SKIP) !== 0;
    const word = head | (skip ? POSITION_SKIP : 0);
    let gave = false;
    if (this.kind === "tx" && this.#ring !== null) {
      const done = this.get(GTX_DONE);
      gave = done !== head;
      if (durable) storeIntent(arena, this.#position!.off, word);
      completeTx(this.#ring, done, head);
      this.put(GTX_DONE, head);
    }
    if (this.#position !== null) storePlace(arena, this.#position.off, word);
    return gave;
  }

  /** A bounce is about to give descriptors back up to an index, ... */
  intend(index: number): void {
    if (this.#position?.durable) storeIntent(this.#context.arena, this.#position.off, index);
  }

  /** ... and has done so. */
  reach(index: number): void {
    if (this.#position?.durable) storePlace(this.#context.arena, this.#position.off, index);
  }

  /** The position is the bounce's from here on: what the kernel counts are the descriptors of a shadow. */
  shadow(): void {
    this.leave();
    this.put(this.#positionField, 0);
  }

  /** Where the shadow stands. Descriptors wait for the next burst there, too, where the guest's position is durable. */
  shadowPosition(off: number): void {
    if (this.#position?.durable) this.put(this.#positionField, off);
  }

  get #positionField(): number {
    return this.kind === "rx" ? GRX_POSITION : GTX_POSITION;
  }

  #takeUp(position: EmuDevQueuePosition | null, tail: number): void {
    const { arena } = this.#context;
    const ring = this.#ring!;
    this.#position = position;
    let head = 0;
    let skip = 0;
    if (position !== null) {
      const words = loadPlace(arena, position.off) ?? { done: 0, next: 0 };
      head = position.durable
        ? recover(ring, this.kind, words, tail, (index) => this.intend(index))
        : words.done & QPOS_INDEX;
      if (head >= ring.size) head = 0;
      skip = words.next & POSITION_SKIP;
      storePlace(arena, position.off, head | skip);
    }
    this.#ahead = head;
    this.put(GQ_HEAD, head);
    this.put(this.#positionField, position?.durable ? position.off : 0);
    if (this.kind === "rx") return;
    this.put(GTX_DONE, head);
    this.put(GTX_DRAIN, 0);
    this.put(GTX_SKIP, skip === 0 ? 0 : 1);
  }

  /** Points the queue to a ring and begins at its first descriptor. */
  setRing(base: bigint, size: number): void {
    this.#context.arena.u64[(this.off + GQ_BASE) >>> 3] = base;
    this.put(GQ_SIZE, size);
    this.put(GQ_HEAD, 0);
    if (this.kind === "tx") this.put(GTX_DONE, 0);
    this.put(GQ_WANT_BOUNCE, 0);
  }

  /** Gives a receive queue an area for packets that wait for a window. Lcores may know the queue. */
  hold(): void {
    if (this.kind !== "rx" || this.#hold !== null) return;
    const zone = `${this.zonePrefix}.hold`;
    try {
      this.put(GRX_HOLD, this.#context.arena.memzoneReserve(zone, HOLD_BYTES).off);
      this.#hold = zone;
    } catch (error) {
      if (!(error instanceof ShmError)) throw error; // no room: what meets such memory stays the caller's
    }
  }

  /** Lets go of what waits. No lcore may know the queue. */
  unhold(): void {
    if (this.#hold === null) return;
    const { arena } = this.#context;
    const lost = arena.u32[(this.get(GRX_HOLD) + HOLD_COUNT) >>> 2]!;
    arena.u64[(this.off + GRX_HELD_LOST) >>> 3]! += BigInt(lost);
    this.put(GRX_HOLD, 0);
    arena.memzoneFree(this.#hold);
    this.#hold = null;
  }

  /** Counts how often the queue has met memory without a window at the descriptor where it is. */
  meet(): number {
    const head = this.get(GQ_HEAD);
    this.#stuck = head === this.#stuckAt ? this.#stuck + 1 : 1;
    this.#stuckAt = head;
    return this.#stuck;
  }

  /** Guest addresses of up to `max` buffers that were posted since the last call, or were too many then. */
  fresh(max: number): bigint[] {
    const ring = this.#ring;
    const tail = Atomics.load(this.#context.arena.u32, this.get(GQ_DOORBELL) >>> 2);
    if (ring === null || tail >= ring.size || tail === this.#ahead) return [];
    const head = this.get(GQ_HEAD);
    const distance = (from: number): number => (tail - from + ring.size) % ring.size;
    const from = distance(this.#ahead) < distance(head) ? this.#ahead : head;
    this.#ahead = (from + Math.min(distance(from), max)) % ring.size;
    return this.#buffers(ring, from, this.#ahead, max);
  }

  /** Guest addresses of the buffers of up to `max` posted descriptors, the next one first, behind that of the ring. */
  posted(max: number): bigint[] {
    const ring = this.#ring;
    if (ring === null) return [];
    const tail = Atomics.load(this.#context.arena.u32, this.get(GQ_DOORBELL) >>> 2);
    return tail >= ring.size ? [ring.base] : [ring.base, ...this.#buffers(ring, this.get(GQ_HEAD), tail, max)];
  }

  #buffers(ring: GuestRing, from: number, to: number, max: number): bigint[] {
    const addresses: bigint[] = [];
    const off = ring.memory.translate(ring.base, this.ringBytes(ring.size), 0);
    if (off === 0) return addresses;
    const { u64 } = this.#context.arena;
    const words = this.ringBytes(1) >>> 3;
    for (let at = from; at !== to && addresses.length < max; at = (at + 1) % ring.size)
      addresses.push(u64[(off >>> 3) + at * words]!);
    return addresses;
  }

  get(field: number): number {
    return Atomics.load(this.#context.arena.u32, (this.off + field) >>> 2);
  }

  put(field: number, value: number): void {
    Atomics.store(this.#context.arena.u32, (this.off + field) >>> 2, value);
  }

  free(): void {
    if (this.#scratch !== null) this.#context.arena.memzoneFree(this.#scratch);
    this.#scratch = null;
    this.unhold();
  }

  #fillRx(size: number, { dataBufferSize = 0, maxPktSize = 0, crcDisable = false }: AvfQueuePriv): string | null {
    if (dataBufferSize < BUF_MIN || dataBufferSize > BUF_MAX)
      return `buffers of ${dataBufferSize} bytes; ${BUF_MIN} to ${BUF_MAX} are possible`;
    this.put(GRX_BUF_SIZE, dataBufferSize);
    this.put(GRX_MAX_PKT, Math.min(maxPktSize, FRAME_MAX, (size - 1) * dataBufferSize - 8));
    this.put(GRX_CRC, crcDisable ? this.#context.crc32Off : 0);
    this.put(GRX_FILTER_WORD, this.#context.filterWordOff);
    return null;
  }

  #fillTx(): string | null {
    if (this.#scratch === null) {
      const zone = `${this.zonePrefix}.scratch`;
      this.put(GTX_SCRATCH, this.#context.arena.memzoneReserve(zone, GTX_SCRATCH_BYTES).off);
      this.#scratch = zone;
    }
    this.put(GTX_CRC32C, this.#context.crc32cOff);
    this.put(GTX_TSO_LEFT, 0);
    return null;
  }
}

/** Bytes of a queue's state. */
export const stateBytes = (kind: "rx" | "tx"): number => (kind === "rx" ? GRX_BYTES : GTX_BYTES);
