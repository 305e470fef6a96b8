// The guest driver's side of its rings: posts descriptors, moves the tail, reads what was written back.
import { TX_CMD_EOP, TX_CTX_CMD_TSO } from "@emudev/avf";
import type { FakeGuest } from "./world.ts";

/** Who has a guest and can enable its queues: a GuestHost, or a test of the whole port. */
export interface GuestHost {
  guest: FakeGuest;
  enable(queue: number): Promise<unknown>;
}

export interface DataDesc {
  address: bigint;
  length: number;
  cmd?: number;
  offsets?: number;
  tag?: number;
}

export const dataWord = ({ length, cmd = 0, offsets = 0, tag = 0 }: Omit<DataDesc, "address">): bigint =>
  (BigInt(cmd) << 4n) | (BigInt(offsets) << 16n) | (BigInt(length) << 34n) | (BigInt(tag) << 48n);

export const tsoWord = (payload: number, mss: number): bigint =>
  1n | (BigInt(TX_CTX_CMD_TSO) << 4n) | (BigInt(payload) << 30n) | (BigInt(mss) << 50n);

/** A transmit ring of the guest, set up on queue pair `pair` and enabled. */
export class TxRing {
  readonly base: bigint;
  readonly size: number;
  next = 0;
  readonly #host: GuestHost;
  readonly #pair: number;

  private constructor(host: GuestHost, pair: number, size: number) {
    this.#host = host;
    this.#pair = pair;
    this.size = size;
    this.base = host.guest.alloc(16 * size);
  }

  static async make(host: GuestHost, size = 64, pair = 0): Promise<TxRing> {
    const ring = new TxRing(host, pair, size);
    host.guest.configure(2 * pair + 1, ring.base, size);
    host.guest.tail(2 * pair + 1, 0);
    await host.enable(2 * pair + 1);
    return ring;
  }

  /** Writes a descriptor at the next place, without moving the tail. */
  put(address: bigint, word: bigint): void {
    const { u64 } = this.#host.guest;
    const at = this.#host.guest.word(this.base) + 2 * this.next;
    u64[at] = address;
    u64[at + 1] = word;
    this.next = (this.next + 1) % this.size;
  }

  /** Gives all descriptors written so far. */
  kick(): void {
    this.#host.guest.tail(2 * this.#pair + 1, this.next);
  }

  /** Puts `bytes` into guest memory, in buffers of the given lengths, and posts them as one packet. */
  send(bytes: Uint8Array, desc: Partial<DataDesc> = {}, lengths: readonly number[] = [bytes.length]): void {
    const { guest } = this.#host;
    let at = 0;
    lengths.forEach((length, i) => {
      const address = guest.alloc(Math.max(length, 1), 2);
      guest.view(address, length).set(bytes.subarray(at, at + length));
      at += length;
      const last = i === lengths.length - 1 ? TX_CMD_EOP | 2 : 0;
      this.put(address, dataWord({ ...desc, length, cmd: (desc.cmd ?? 0) | last }));
    });
  }

  /** The second words, as they are now. */
  words(): bigint[] {
    const at = this.#host.guest.word(this.base);
    return Array.from({ length: this.size }, (_, i) => this.#host.guest.u64[at + 2 * i + 1]!);
  }
}

export interface Received {
  bytes: Uint8Array;
  status: number;
  error: number;
  ptype: number;
  tag: number;
  /** The RSS hash, null where the status says that there is none. */
  hash: number | null;
  /** Buffers the packet lay in. */
  buffers: number;
}

/** A receive ring of the guest on queue pair `pair`, with buffers posted in all but one descriptor. */
export class RxRing {
  readonly base: bigint;
  readonly size: number;
  readonly bufSize: number;
  readonly buffers: bigint[];
  /** Next descriptor to look at. */
  next = 0;
  /** One past the last posted. */
  posted = 0;
  readonly #host: GuestHost;
  readonly #number: number;

  private constructor(host: GuestHost, pair: number, size: number, bufSize: number) {
    this.#host = host;
    this.#number = 2 * pair;
    this.size = size;
    this.bufSize = bufSize;
    this.base = host.guest.alloc(32 * size);
    this.buffers = Array.from({ length: size }, () => host.guest.alloc(bufSize, 2));
  }

  static async make(
    host: GuestHost,
    {
      size = 32,
      bufSize = 2048,
      pair = 0,
      maxPkt = 9724,
      crc = false,
      post = size - 1,
    }: Partial<Record<"size" | "bufSize" | "pair" | "maxPkt" | "post", number>> & { crc?: boolean } = {},
  ): Promise<RxRing> {
    const ring = new RxRing(host, pair, size, bufSize);
    host.guest.configure(2 * pair, ring.base, size, { bufSize, maxPkt, crc });
    ring.post(post);
    await host.enable(2 * pair);
    return ring;
  }

  /** Posts the next `count` buffers. */
  post(count: number): void {
    for (let i = 0; i < count; i++) {
      this.write(this.posted, this.buffers[this.posted]!);
      this.posted = (this.posted + 1) % this.size;
    }
    this.#host.guest.tail(this.#number, this.posted);
  }

  /** Writes a descriptor in read format. */
  write(index: number, address: bigint): void {
    this.#host.guest.u64.set([address, 0n, 0xaaaan, 0xbbbbn], this.#host.guest.word(this.base) + 4 * index);
  }

  /** Takes the packets that were written back and posts their buffers again. */
  take(): Received[] {
    const packets: Received[] = [];
    let bytes: number[] = [];
    let buffers = 0;
    for (;;) {
      const { u64 } = this.#host.guest;
      const at = this.#host.guest.word(this.base) + 4 * this.next;
      const word = u64[at + 1]!;
      const status = Number(word & 0x7ffffn);
      if ((status & 1) === 0 || this.next === this.posted) return packets;
      if (u64[at + 2] !== 0n || u64[at + 3] !== 0n) throw new Error("words 2 and 3 were not written");
      const length = Number((word >> 38n) & 0x3fffn);
      bytes = [...bytes, ...this.#host.guest.view(this.buffers[this.next]!, length)];
      buffers++;
      if (status & 2) {
        const error = Number((word >> 19n) & 0xffn);
        const ptype = Number((word >> 30n) & 0xffn);
        const tag = Number((u64[at]! >> 16n) & 0xffffn);
        const hash = ((status >> 12) & 3) === 3 ? Number(u64[at]! >> 32n) : null;
        packets.push({ bytes: Uint8Array.from(bytes), status, error, ptype, tag, hash, buffers });
        bytes = [];
        buffers = 0;
      }
      this.next = (this.next + 1) % this.size;
      this.post(1);
    }
  }
}
