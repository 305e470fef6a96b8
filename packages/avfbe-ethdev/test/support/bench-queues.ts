// Queues of port and guest put together without a port: for tests that call the kernels themselves.
import { Arena, type Mempool, mbufBytes, mbufFree, mbufFrom, Qsbr } from "@emudev/shm";
import { CRC_TABLE_BYTES, CRC32_ETHERNET, CRC32C, writeCrcTable } from "../../src/control/crc-tables.ts";
import { type FilterAttrs, writeFilter } from "../../src/control/filters.ts";
import { GuestQueues } from "../../src/control/guest-queues.ts";
import { avfbeKernels } from "../../src/data/kernels.ts";
import { FILTER_BYTES } from "../../src/layout/filter.ts";
import { RXQ_BYTES, RXQ_GUESTS, RXQ_POOL, RXQ_PORT, RXQ_ROOM, TXQ_BYTES } from "../../src/layout/port-queue.ts";
import { FakeGuest, type GuestOptions } from "./world.ts";

export const arena = Arena.create({ ownBytes: 128 * 2 ** 20 });
export const qsbr = Qsbr.create(arena, "test");
export const kernels = avfbeKernels(arena);
export const LCORE = 1;
export const PORT = 3;
const pkts = arena.memzoneReserve("pkts", 4096).off;
const crcs = arena.memzoneReserve("crcs", 2 * CRC_TABLE_BYTES).off;
writeCrcTable(arena, crcs, CRC32C);
writeCrcTable(arena, crcs + CRC_TABLE_BYTES, CRC32_ETHERNET);

/** Frames as text, which is compared faster than arrays. */
export const hex = (frames: readonly Uint8Array[]): string[] =>
  frames.map((frame) => Buffer.from(frame).toString("hex"));

let benches = 0;

/** One guest and the port's queues in front of it. */
export class Bench {
  readonly guest: FakeGuest;
  readonly queues: GuestQueues;
  readonly pool: Mempool;
  readonly filterOff: number;
  readonly #filterWord: number;
  readonly #rxqs: number[];
  readonly #txqs: number[];

  static async make(
    pool: Mempool,
    options: GuestOptions & { rxQueues?: number; txQueues?: number } = {},
  ): Promise<Bench> {
    const bench = new Bench(pool, options);
    if (options.mapped !== false) await bench.guest.map();
    await bench.queues.serve(bench.#rxqs, bench.#txqs);
    return bench;
  }

  private constructor(pool: Mempool, options: GuestOptions & { rxQueues?: number; txQueues?: number }) {
    const name = `bench${benches++}`;
    this.pool = pool;
    this.guest = new FakeGuest(arena, qsbr, options);
    this.filterOff = arena.memzoneReserve(`${name}.f`, FILTER_BYTES).off;
    this.#filterWord = arena.memzoneReserve(`${name}.fw`, 64).off;
    arena.u32[this.#filterWord >>> 2] = this.filterOff;
    this.filter({ promisc_unicast: true, promisc_multicast: true });
    this.queues = new GuestQueues({
      arena,
      qsbr,
      name,
      devId: this.guest.dev.id,
      pairs: 16,
      memWordOff: this.guest.table.wordOff,
      filterWordOff: this.#filterWord,
      crc32cOff: crcs,
      crc32Off: crcs + CRC_TABLE_BYTES,
      synchronize: () => qsbr.synchronize(),
      warn: (message) => {
        throw new Error(message);
      },
    });
    const { rxQueues = 1, txQueues = 1 } = options;
    const rxqs = arena.memzoneReserve(`${name}.rxq`, RXQ_BYTES * rxQueues).off;
    const txqs = arena.memzoneReserve(`${name}.txq`, TXQ_BYTES * txQueues).off;
    this.#rxqs = Array.from({ length: rxQueues }, (_, i) => rxqs + i * RXQ_BYTES);
    this.#txqs = Array.from({ length: txQueues }, (_, i) => txqs + i * TXQ_BYTES);
    for (const off of this.#rxqs) {
      arena.u32[(off + RXQ_POOL) >>> 2] = pool.off;
      arena.u32[(off + RXQ_ROOM) >>> 2] = pool.dataRoom - 128;
      arena.u32[(off + RXQ_PORT) >>> 2] = PORT;
      arena.u32[(off + RXQ_GUESTS) >>> 2] = this.queues.txStatesOff;
    }
  }

  enable(queue: number): Promise<unknown> {
    return this.queues.enable(queue);
  }

  rxq(i = 0): number {
    return this.#rxqs[i]!;
  }

  txq(i = 0): number {
    return this.#txqs[i]!;
  }

  filter(attrs: Partial<FilterAttrs>): void {
    arena.u8.fill(0, this.filterOff, this.filterOff + FILTER_BYTES);
    const none = {
      promisc_unicast: false,
      promisc_multicast: false,
      mac_filters: [],
      vlan_filters: [],
      vlan_strip: false,
    };
    writeFilter(arena, this.filterOff, { mac: Uint8Array.from([2, 0, 0, 0, 0, 1]), ...none, ...attrs });
  }

  /** One receive burst; the mbufs stay the caller's. */
  receiveMbufs(n: number, queue = 0): number[] {
    const got = kernels.avfbe_rx_burst(this.rxq(queue), pkts, n, LCORE);
    return Array.from(arena.u32.subarray(pkts >>> 2, (pkts >>> 2) + got));
  }

  /** One receive burst; packets as bytes, mbufs freed. */
  receive(n: number, queue = 0): Uint8Array[] {
    return this.receiveMbufs(n, queue).map((mbuf) => {
      const bytes = mbufBytes(arena, mbuf);
      mbufFree(arena, LCORE, mbuf);
      return bytes;
    });
  }

  /** One transmit burst of these mbufs; those not taken are freed. Returns how many were taken. */
  transmitMbufs(mbufs: readonly number[], queue = 0): number {
    arena.u32.set(mbufs, pkts >>> 2);
    const sent = kernels.avfbe_tx_burst(this.txq(queue), pkts, mbufs.length, LCORE);
    for (const mbuf of arena.u32.slice((pkts >>> 2) + sent, (pkts >>> 2) + mbufs.length)) mbufFree(arena, LCORE, mbuf);
    return sent;
  }

  transmit(frames: readonly Uint8Array[], queue = 0): number {
    return this.transmitMbufs(
      frames.map((frame) => mbufFrom(this.pool, LCORE, frame)),
      queue,
    );
  }

  async close(): Promise<void> {
    await this.queues.disableAll();
    this.queues.free();
    await this.guest.close();
  }
}
