// A guest of 64 GiB whose buffers jump all over its memory: it sends numbered packets, posts buffers for them, and checks what
// comes back, byte for byte and in order. For tests of windows on demand.
import { pread, pwrite } from "@emudev/linux";
import { dataWord } from "./rings.ts";
import { type FakeGuest, GUEST_BASE } from "./world.ts";

const GIB = 2 ** 30;
export const LARGE = 64 * GIB;
const SIZE = 256;
const CHUNK = 2 * 2 ** 20;
const OTHERS = 5_000; // numbers of places that receive buffers begin with

/** Packet n, of 14 bytes and more. */
export const packet = (n: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1][i] ?? (n * 7 + i * 13 + (n >>> 8)) & 255);

/** Where buffer n lies: all over the memory, every tenth across the end of a window. */
const place = (n: number): number =>
  n % 10 === 0 ? (1 + ((n * 2617) % 32_000)) * CHUNK - 300 : GIB + ((n * 2654435761) % (LARGE - 2 * GIB));

export interface Traffic {
  packets: number;
  /** Bytes of each. */
  length: number;
  /** Packets that may be under way. */
  window?: number;
  /** Places that buffers lie at, each used again and again; default: as many as there are packets. */
  places?: number;
}

export class JumpingGuest {
  readonly guest: FakeGuest;
  readonly #traffic: Required<Traffic>;
  readonly #tx: bigint;
  readonly #rx: bigint;
  readonly #got: Uint8Array;
  #posted = 0;
  sent = 0;
  received = 0;

  constructor(guest: FakeGuest, traffic: Traffic) {
    this.guest = guest;
    this.#traffic = { window: 100, places: traffic.packets, ...traffic };
    this.#tx = guest.alloc(16 * SIZE);
    this.#rx = guest.alloc(32 * SIZE);
    this.#got = new Uint8Array(traffic.length);
  }

  async enable(): Promise<void> {
    const { guest } = this;
    guest.u64.fill(0n, guest.word(this.#tx), guest.word(this.#tx) + 2 * SIZE);
    guest.u64.fill(0n, guest.word(this.#rx), guest.word(this.#rx) + 4 * SIZE);
    guest.configure(0, this.#rx, SIZE);
    guest.configure(1, this.#tx, SIZE);
    guest.tail(0, 0);
    guest.tail(1, 0);
    await guest.enable(0);
    await guest.enable(1);
  }

  get done(): boolean {
    return this.received === this.#traffic.packets;
  }

  /** Posts, sends and checks what can be. @throws Error when a packet is not the next, or not whole */
  turn(): void {
    const { guest } = this;
    const { u64 } = guest;
    const { packets, length, window } = this.#traffic;
    const [txAt, rxAt] = [guest.word(this.#tx), guest.word(this.#rx)];
    for (; this.#posted < this.received + SIZE - 1; this.#posted++)
      u64.set([GUEST_BASE + BigInt(this.#rxPlace(this.#posted)), 0n, 0n, 0n], rxAt + 4 * (this.#posted % SIZE));
    guest.tail(0, this.#posted % SIZE);
    for (; this.sent < Math.min(packets, this.received + window); this.sent++) {
      const from = this.#txPlace(this.sent);
      pwrite(guest.fd, packet(this.sent, length), BigInt(from));
      u64[txAt + 2 * (this.sent % SIZE)] = GUEST_BASE + BigInt(from);
      u64[txAt + 2 * (this.sent % SIZE) + 1] = dataWord({ length, cmd: 3 });
    }
    guest.tail(1, this.sent % SIZE);
    for (;;) {
      const at = rxAt + 4 * (this.received % SIZE);
      if (this.done || this.received === this.#posted || (Atomics.load(u64, at + 1) & 1n) === 0n) return;
      pread(guest.fd, this.#got, BigInt(this.#rxPlace(this.received)));
      const expected = packet(this.received, length);
      const swapped = [...expected.subarray(6, 12), ...expected.subarray(0, 6), ...expected.subarray(12)];
      if (Buffer.compare(this.#got, Uint8Array.from(swapped)) !== 0) throw new Error(`packet ${this.received} differs`);
      this.received++;
    }
  }

  #txPlace(n: number): number {
    return place(n % Math.max(this.#traffic.places, 2 * SIZE));
  }

  #rxPlace(n: number): number {
    return place(OTHERS + (n % Math.max(this.#traffic.places, 2 * SIZE)));
  }
}
