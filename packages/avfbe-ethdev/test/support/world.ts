// What the tests of this package share: an arena, packet pools, and one fake provider, an emulated AVF over plain memfd guest
// memory whose queues the tests set up and drive as the guest's driver would.
import { type AvfQueuePriv, RXDID_LEGACY_32B } from "@emudev/avf";
import {
  AttributeStore,
  type AttrName,
  type AttrValue,
  type DmaTransport,
  EMU_DEV_DB_FD,
  EMU_DEV_DB_MEM,
  EMU_DEV_EVENT_ATTR_CHANGE,
  EMU_DEV_EVENT_QUEUE_DISABLE,
  EMU_DEV_EVENT_QUEUE_ENABLE,
  EMU_DEV_EVENT_RESET,
  type EmuDev,
  EmuDevMemTable,
  type EmuDevOps,
  type EmuDevQueueInfo,
  type EmuDevQueuePosition,
  emuDevAllocate,
  emuDevClose,
  emuDevRelease,
  emuNotify,
  VECTOR_BYTES,
  Vector,
} from "@emudev/emudev";
import { closeFd, dupFd, eventfd, eventfdWrite, type Mapping, mapAnywhere, memfdCreate, PROT } from "@emudev/linux";
import type { Arena, Qsbr } from "@emudev/shm";

export const GUEST_BASE = 0x1_4000_0000n;
export const MIB = 2 ** 20;
const PAIRS = 16;

let devices = 0;

export interface GuestOptions {
  bytes?: number;
  /** false: the memory is known but not mapped in the arena. */
  mapped?: boolean;
  /** Doorbells are trapped and signal an eventfd. */
  trapped?: boolean;
  /** Windows on demand that its memory has at most. */
  windows?: number;
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
  /** Guest memory as its own CPUs see it, whether the device has it mapped or not. */
  readonly u8: Uint8Array;
  readonly u64: BigUint64Array;
  /** How the device reaches the memory when it was given no fd: each message takes a while. */
  readonly transport: DmaTransport;
  /** Where queues stand, of a provider that keeps it. */
  position: ((number: number) => EmuDevQueuePosition) | null = null;
  /** Lent by the backend. */
  statsOff: number | null = null;
  readonly #doorbells: number;
  readonly #doorbellFds: number[];
  readonly #zones: string[] = [];
  readonly #queues = new Map<number, EmuDevQueueInfo>();
  readonly #own: Mapping;
  #next = 4096;
  /** Messages of the transport under way, and so far. */
  messages = 0;

  constructor(arena: Arena, qsbr: Qsbr, { bytes = 8 * MIB, trapped = false, windows }: GuestOptions = {}) {
    this.arena = arena;
    this.bytes = bytes;
    const name = `guest${devices++}`;
    this.table = new EmuDevMemTable(arena, qsbr, name, {
      onDemand: true,
      ...(windows === undefined ? {} : { windows }),
    });
    this.fd = memfdCreate(name, bytes, { seals: true });
    this.#own = mapAnywhere(Math.min(bytes, 64 * MIB), PROT.READ | PROT.WRITE, this.fd, 0);
    this.u8 = new Uint8Array(this.#own.buffer);
    this.u64 = new BigUint64Array(this.#own.buffer);
    this.transport = {
      read: async (iova, n) => {
        await this.#message();
        return this.view(iova, n).slice();
      },
      write: async (iova, data) => {
        await this.#message();
        this.view(iova, data.length).set(data);
      },
    };
    const zone = (what: string, size: number): number => {
      this.#zones.push(`${name}.${what}`);
      return arena.memzoneReserve(`${name}.${what}`, size).off;
    };
    this.#doorbells = zone("db", 4 * 2 * PAIRS);
    const vectors = zone("vec", VECTOR_BYTES * (PAIRS + 1));
    this.vectors = Array.from({ length: PAIRS + 1 }, (_, i) => new Vector(arena, qsbr, vectors + i * VECTOR_BYTES));
    this.#doorbellFds = trapped ? Array.from({ length: 2 * PAIRS }, () => eventfd()) : [];
    this.dev = emuDevAllocate(name, this.#ops());
  }

  /** Maps the guest's memory for the device, or gives it the file to read and write. */
  map(mode: "map" | "file" = "map"): Promise<void> {
    const range = { iova: GUEST_BASE, size: BigInt(this.bytes), prot: 3 };
    return this.table.map({ ...range, fd: dupFd(this.fd), fileOffset: 0n, mode });
  }

  /** The same memory without an fd. */
  mapRemote(): Promise<void> {
    return this.table.map(
      { iova: GUEST_BASE, size: BigInt(this.bytes), prot: 3, fd: -1, fileOffset: 0n },
      this.transport,
    );
  }

  /** Takes `bytes` of guest memory; returns its guest address. */
  alloc(bytes: number, align = 128): bigint {
    this.#next = Math.ceil(this.#next / align) * align;
    const at = this.#next;
    this.#next += bytes;
    if (this.#next > this.bytes) throw new Error("the fake guest has no more memory");
    return GUEST_BASE + BigInt(at);
  }

  view(iova: bigint, bytes: number): Uint8Array {
    const at = Number(iova - GUEST_BASE);
    return this.u8.subarray(at, at + bytes);
  }

  /** Index in u64 of an aligned guest address. */
  word(iova: bigint): number {
    return Number(iova - GUEST_BASE) / 8;
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
    if (this.#doorbellFds.length > 0) eventfdWrite(this.#doorbellFds[number]!);
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
    for (const zone of this.#zones) this.arena.memzoneFree(zone);
    for (const fd of this.#doorbellFds) closeFd(fd);
    this.#own.unmap();
    closeFd(this.fd);
  }

  async #message(): Promise<void> {
    this.messages++;
    await new Promise(setImmediate);
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
      getQueueInfo: (_dev, queue) => {
        const info = this.#queues.get(queue);
        if (info === undefined) return null;
        return this.position === null ? info : { ...info, position: this.position(queue) };
      },
      getIrqInfo: (_dev, vector) => ({
        vector,
        fd: this.vectors[vector]!.fd,
        priv: { off: this.vectors[vector]!.off },
      }),
      getDbInfo: (_dev, id) => {
        const off = this.#doorbells + 4 * id;
        const fd = this.#doorbellFds[id];
        if (fd !== undefined) return { id, flag: EMU_DEV_DB_FD, fd, priv: { off } };
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
