// A queue of the guest whose ring or buffers lie in memory that is not mapped in the arena. The lcore goes on with the same
// kernel, on a shadow ring and buffers in the arena with a memory table of their own; here, on the main thread, descriptors
// and packets are carried between them and the guest by EmuDevMemTable.read and write. Every answer may come after the
// queue is gone: nothing is touched after an await before #gone was looked at. bounce-tx.ts and bounce-rx.ts are the two
// directions; guest-queues.ts makes and ends them.
import { type EmuDevMemTable, type EmuDevQueueInfo, MEM_TABLE_LAYOUT, type Vector } from "@emudev/emudev";
import type { Arena } from "@emudev/shm";
import { GQ_BOUNCE_FAULT, GQ_DOORBELL, GQ_HEAD, GQ_MEM_WORD, GQ_VECTOR } from "../layout/guest-queue.ts";
import type { GuestQueue } from "./guest-queue.ts";

export interface BounceOptions {
  arena: Arena;
  memory: EmuDevMemTable;
  queue: GuestQueue;
  /** What the guest configured. */
  info: EmuDevQueueInfo;
  /** Arena offset of the guest's tail. */
  doorbellOff: number;
  /** The guest's descriptor to begin with. */
  head: number;
  vector: Vector | null;
  warn(message: string): void;
}

/** What a turn of a bounce did. */
export type Progress = boolean;

const TABLE_BYTES = MEM_TABLE_LAYOUT.MEM_TABLE_REGIONS + MEM_TABLE_LAYOUT.MEM_REGION_BYTES;
const WORDS_BYTES = 64; // the word of the table, then the shadow's tail, then its position
const POSITION_AT = 16;
const BUSY_TURNS = 64; // turns without progress before the first pause
const PAUSE_FIRST_MS = 1;
const PAUSE_LAST_MS = 10;

export abstract class Bounce {
  protected readonly arena: Arena;
  protected readonly memory: EmuDevMemTable;
  protected readonly queue: GuestQueue;
  protected readonly info: EmuDevQueueInfo;
  /** Descriptors of the shadow ring. */
  protected readonly slots: number;
  /** Arena offset of the shadow ring, which is its address in the private memory table too. */
  protected readonly ringOff: number;
  protected readonly buffersOff: number;
  /** Next descriptor of the guest to fetch. */
  protected guestHead: number;
  /** Next slot of the shadow ring to fill, and to give back. */
  protected slotTail = 0;
  protected slotHead = 0;
  readonly #options: BounceOptions;
  readonly #zone: string;
  readonly #wordOff: number;
  readonly #descBytes: number;
  #gone = false;
  #ending = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: BounceOptions, slots: number, descBytes: number, bufferBytes: number) {
    const { arena, memory, queue, info, head } = options;
    this.#options = options;
    this.arena = arena;
    this.memory = memory;
    this.queue = queue;
    this.info = info;
    this.slots = slots;
    this.guestHead = head;
    this.#descBytes = descBytes;
    this.#zone = `${queue.zonePrefix}.bounce`;
    const ringBytes = slots * descBytes;
    const { off } = arena.memzoneReserve(this.#zone, WORDS_BYTES + TABLE_BYTES + 64 + ringBytes + bufferBytes, 4096);
    this.#wordOff = off;
    this.ringOff = off + WORDS_BYTES + TABLE_BYTES + 64 - ((WORDS_BYTES + TABLE_BYTES) % 64);
    this.buffersOff = this.ringOff + ringBytes;
    this.#writeTable(off + WORDS_BYTES, this.ringOff, ringBytes + bufferBytes);
  }

  /** Points the queue's state to the shadow. No lcore may know the queue. */
  install(): void {
    this.queue.put(GQ_MEM_WORD, this.#wordOff);
    this.queue.put(GQ_DOORBELL, this.#wordOff + 4);
    this.queue.put(GQ_VECTOR, 0); // interrupts follow what reaches the guest: raised here
    this.queue.setRing(BigInt(this.ringOff), this.slots);
    this.queue.shadowPosition(this.#wordOff + POSITION_AT);
  }

  start(): void {
    this.#running = this.#run();
  }

  /**
   * Ends it; no lcore may know the queue any longer. What the lcore is done with is carried over first.
   * @param patienceMs how long to wait for messages to the guest's memory
   * @returns the guest's descriptor at which the queue goes on
   */
  async stop(patienceMs: number): Promise<number> {
    this.#ending = true;
    this.lcoreLeft();
    this.#gone = patienceMs === 0;
    let timer: NodeJS.Timeout | undefined;
    const enough = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, patienceMs);
    });
    const settled = this.#running.then(() => this.#settle());
    if (patienceMs > 0) await Promise.race([settled, enough]);
    clearTimeout(timer);
    this.#gone = true;
    this.arena.memzoneFree(this.#zone);
    const { size } = this.info;
    return (((this.guestHead - this.distance(this.slotHead, this.slotTail)) % size) + size) % size;
  }

  /** True when the queue went away while something was awaited. */
  protected get gone(): boolean {
    return this.#gone;
  }

  /** Takes up to `max` descriptors that the guest has posted; they end where its ring does. null = the queue went away. */
  protected async fetch(max: number): Promise<Uint8Array | null> {
    const tail = Atomics.load(this.arena.u32, this.#options.doorbellOff >>> 2);
    if (tail >= this.info.size) return new Uint8Array(0);
    const end = tail >= this.guestHead ? tail : this.info.size;
    const count = Math.min(max, end - this.guestHead);
    if (count === 0) return new Uint8Array(0);
    const bytes = await this.memory.read(this.guestAddress(this.guestHead), count * this.#descBytes);
    return this.#gone ? null : bytes;
  }

  /** Guest address of a descriptor. */
  protected guestAddress(index: number): bigint {
    return this.info.base + BigInt(index * this.#descBytes);
  }

  protected slotOff(slot: number): number {
    return this.ringOff + slot * this.#descBytes;
  }

  /** Slots between `from` and `to`. */
  protected distance(from: number, to: number): number {
    return (to - from + this.slots) % this.slots;
  }

  /** Slots that can be filled; one stays empty. */
  protected freeSlots(): number {
    return this.slots - 1 - this.distance(this.slotHead, this.slotTail);
  }

  /** Shows the lcore all slots filled so far. */
  protected kick(): void {
    Atomics.store(this.arena.u32, (this.#wordOff + 4) >>> 2, this.slotTail);
  }

  /** The slot up to which the lcore is done. */
  protected lcoreHead(): number {
    return this.queue.get(GQ_HEAD);
  }

  /** No lcore has the queue any more: it is done with all that it has taken. */
  protected lcoreLeft(): void {}

  protected raise(): void {
    this.#options.vector?.raise();
  }

  protected countFault(): void {
    this.arena.u64[(this.queue.off + GQ_BOUNCE_FAULT) >>> 3]! += 1n;
  }

  /** Carries what there is to carry, once. */
  protected abstract turn(): Promise<Progress>;

  /** Gives the guest what the lcore is done with. */
  protected abstract giveBack(): Promise<Progress>;

  async #settle(): Promise<void> {
    try {
      while (!this.#gone && (await this.giveBack()));
    } catch (error) {
      if (!this.#gone) this.#options.warn(`${this.queue.name}: ${error instanceof Error ? error.message : error}`);
    }
  }

  async #run(): Promise<void> {
    try {
      for (let idle = 0, pause = PAUSE_FIRST_MS; !this.#ending; ) {
        if (await this.turn()) {
          idle = 0;
          pause = PAUSE_FIRST_MS;
        } else if (++idle > BUSY_TURNS) {
          await new Promise((resolve) => setTimeout(resolve, pause));
          if (idle > BUSY_TURNS + 50) pause = PAUSE_LAST_MS;
        }
        await new Promise(setImmediate);
      }
    } catch (error) {
      if (this.#gone) return; // what was awaited failed because the queue went away
      const why = error instanceof Error ? error.message : String(error);
      this.#options.warn(`${this.queue.name} stops: its memory cannot be reached (${why})`);
    }
  }

  #writeTable(off: number, from: number, bytes: number): void {
    const { MEM_TABLE_COUNT, MEM_TABLE_REGIONS, MEM_REGION_IOVA, MEM_REGION_SIZE, MEM_REGION_OFF, MEM_REGION_PROT } =
      MEM_TABLE_LAYOUT;
    const { u32, u64 } = this.arena;
    const region = off + MEM_TABLE_REGIONS;
    u32[(off + MEM_TABLE_COUNT) >>> 2] = 1;
    u64[(region + MEM_REGION_IOVA) >>> 3] = BigInt(from);
    u64[(region + MEM_REGION_SIZE) >>> 3] = BigInt(bytes);
    u32[(region + MEM_REGION_OFF) >>> 2] = from;
    u32[(region + MEM_REGION_PROT) >>> 2] = MEM_TABLE_LAYOUT.MEM_PROT_READ | MEM_TABLE_LAYOUT.MEM_PROT_WRITE;
    Atomics.store(u32, this.#wordOff >>> 2, off);
  }
}

/** An address in no private memory table: the kernel counts a buffer there as bad. */
export const NOWHERE = 0n;

/** True for guest addresses the device may not access: the guest's fault, not the transport's. */
export function isFault(error: unknown): boolean {
  return error instanceof Error && (error as { code?: unknown }).code === "EFAULT";
}
