// What the tests of this package share: an arena, packet pools, and one fake provider, an emulated AVF over plain memfd guest
// memory whose queues the tests set up and drive as the guest's driver would.
import { type AvfQueuePriv, RXDID_LEGACY_32B } from "@emudev/avf";
import {
  AttributeStore,
  type AttrName,
  type AttrValue,
  EMU_DEV_DB_MEM,
  EMU_DEV_EVENT_ATTR_CHANGE,
  EMU_DEV_EVENT_QUEUE_DISABLE,
  EMU_DEV_EVENT_QUEUE_ENABLE,
  EMU_DEV_EVENT_RESET,
  type EmuDev,
  EmuDevMemTable,
  type EmuDevOps,
  type EmuDevQueueInfo,
  emuDevAllocate,
  emuDevClose,
  emuDevRelease,
  emuNotify,
  VECTOR_BYTES,
  Vector,
} from "@emudev/emudev";
import { dupFd, memfdCreate } from "@emudev/linux";
import type { Arena, Qsbr } from "@emudev/shm";

export const GUEST_BASE = 0x1_4000_0000n;
export const MIB = 2 ** 20;
const PAIRS = 16;

let devices = 0;

export interface GuestOptions {
  bytes?: number;
  /** false: the memory is known but not mapped in the arena. */
  mapped?: boolean;
}

/** A provider with guest memory of one region at GUEST_BASE. */
export class FakeGuest {
  readonly arena: Arena;
  readonly table: EmuDevMemTable;
  readonly dev: EmuDev;
  readonly attrs = new AttributeStore({ mac: Uint8Array.from([2, 0, 0, 0, 0, 1]) });
  readonly vectors: Vector[];
  readonly fd: number;
  readonly bytes: number;
  /** Lent by the backend. */
  statsOff: number | null = null;
  readonly #doorbells: number;
  readonly #queues = new Map<number, EmuDevQueueInfo>();
  #next = 4096;

  constructor(arena: Arena, qsbr: Qsbr, { bytes = 8 * MIB }: GuestOptions = {}) {
    this.arena = arena;
    this.bytes = bytes;
    const name = `guest${devices++}`;
    this.table = new EmuDevMemTable(arena, qsbr, name);
    this.fd = memfdCreate(name, bytes, { seals: true });
    this.#doorbells = arena.memzoneReserve(`${name}.db`, 4 * 2 * PAIRS).off;
    const vectors = arena.memzoneReserve(`${name}.vec`, VECTOR_BYTES * (PAIRS + 1)).off;
    this.vectors = Array.from({ length: PAIRS + 1 }, (_, i) => new Vector(arena, qsbr, vectors + i * VECTOR_BYTES));
    this.dev = emuDevAllocate(name, this.#ops());
  }

  /** Maps the guest's memory. */
  map(): Promise<void> {
    return this.table.map({ iova: GUEST_BASE, size: BigInt(this.bytes), prot: 3, fd: dupFd(this.fd), fileOffset: 0n });
  }

  /** Takes `bytes` of guest memory; returns its guest address. */
  alloc(bytes: number, align = 128): bigint {
    this.#next = Math.ceil(this.#next / align) * align;
    const at = this.#next;
    this.#next += bytes;
    if (this.#next > this.bytes) throw new Error("the fake guest has no more memory");
    return GUEST_BASE + BigInt(at);
  }

  /** Arena offset of mapped guest memory. */
  at(iova: bigint): number {
    const off = this.table.translate(iova, 1, 1);
    if (off === 0) throw new Error(`0x${iova.toString(16)} is not mapped`);
    return off;
  }

  view(iova: bigint, bytes: number): Uint8Array {
    return this.arena.u8.subarray(this.at(iova), this.at(iova) + bytes);
  }

  /** Configures a queue; number 2i = receive queue i, 2i+1 = transmit queue i. */
  configure(
    number: number,
    base: bigint,
    size: number,
    rx: { bufSize?: number; maxPkt?: number; crc?: boolean } = {},
  ): void {
    const kind = number & 1 ? "tx" : "rx";
    const { bufSize = 2048, maxPkt = 9724, crc = false } = rx;
    const extra = { dataBufferSize: bufSize, maxPktSize: maxPkt, crcDisable: crc, rxdid: RXDID_LEGACY_32B };
    const priv: AvfQueuePriv = { kind, queue: number >>> 1, ringLen: size, ...(kind === "rx" ? extra : {}) };
    this.#queues.set(number, { base, size, doorbellId: number, irqVector: 1 + (number >>> 1), priv });
  }

  tail(number: number, value: number): void {
    Atomics.store(this.arena.u32, (this.#doorbells >>> 2) + number, value);
  }

  enable(number: number): Promise<void> {
    return emuNotify(this.dev, EMU_DEV_EVENT_QUEUE_ENABLE, number);
  }

  disable(number: number): Promise<void> {
    return emuNotify(this.dev, EMU_DEV_EVENT_QUEUE_DISABLE, number);
  }

  async reset(): Promise<void> {
    this.#queues.clear();
    await emuNotify(this.dev, EMU_DEV_EVENT_RESET);
  }

  set(name: AttrName, value: AttrValue): Promise<void> {
    return emuNotify(this.dev, EMU_DEV_EVENT_ATTR_CHANGE, this.attrs.set(name, value));
  }

  async close(): Promise<void> {
    await emuDevClose(this.dev.id);
    emuDevRelease(this.dev);
    await this.table.close();
  }

  #ops(): EmuDevOps {
    const nothing = (): void => {};
    return {
      devStart: nothing,
      devStop: nothing,
      devConfigure: nothing,
      devClose: nothing,
      getDevInfo: () => ({ devType: "avf", maxQpNum: PAIRS, maxEventNum: PAIRS + 1 }),
      subscribeEvent: nothing,
      unsubscribeEvent: nothing,
      getMemTable: () => this.table,
      getQueueInfo: (_dev, queue) => this.#queues.get(queue) ?? null,
      getIrqInfo: (_dev, vector) => ({
        vector,
        fd: this.vectors[vector]!.fd,
        priv: { off: this.vectors[vector]!.off },
      }),
      getDbInfo: (_dev, id) => {
        const off = this.#doorbells + 4 * id;
        return { id, flag: EMU_DEV_DB_MEM, mem: { base: off, size: 4 }, priv: { off } };
      },
      getAttr: (_dev, name) => this.attrs.get(name),
      setAttr: (_dev, name, value) => void this.attrs.set(name, value, "backend"),
      regionMap: (_dev, _name, _bytes, base) => {
        this.statsOff = base;
      },
    };
  }
}
