// The counters of all queues of one guest, read for three readers: the guest itself (region "eth_stats", virtchnl's
// GET_STATS, from its point of view and since its last reset), the port's statistics, and its extended ones. The counters in
// the arena have the lcores as their only writers, so a reset is a base to subtract.
import { ETH_STATS, ETH_STATS_BYTES } from "@emudev/emudev";
import type { Arena } from "@emudev/shm";
import {
  GQ_BAD_TAIL,
  GQ_BOUNCE_FAULT,
  GQ_RING_FAULT,
  GRX_BAD_ADDRESS,
  GRX_BROADCAST,
  GRX_BUSY,
  GRX_BYTES_SENT,
  GRX_FILTERED,
  GRX_HELD,
  GRX_HELD_LOST,
  GRX_MULTICAST,
  GRX_NO_DESC,
  GRX_OVERSIZE,
  GRX_PACKETS,
  GTX_BAD_ADDRESS,
  GTX_BAD_CONTEXT,
  GTX_BAD_LENGTH,
  GTX_BAD_OFFLOAD,
  GTX_BAD_TSO,
  GTX_BAD_TYPE,
  GTX_BROADCAST,
  GTX_BYTES_SENT,
  GTX_CHECKSUM,
  GTX_ERRORS_FIRST,
  GTX_ERRORS_LAST,
  GTX_MULTICAST,
  GTX_NO_EOP,
  GTX_PACKETS,
  GTX_TSO,
} from "../layout/guest-queue.ts";

/** Extended statistics of what the port receives, by name. */
const RX_XSTATS: readonly (readonly [string, number])[] = [
  ["rx_tso_packets", GTX_TSO],
  ["rx_checksum_packets", GTX_CHECKSUM],
  ["rx_bad_descriptor_type", GTX_BAD_TYPE],
  ["rx_bad_length", GTX_BAD_LENGTH],
  ["rx_no_end_of_packet", GTX_NO_EOP],
  ["rx_bad_address", GTX_BAD_ADDRESS],
  ["rx_bad_context", GTX_BAD_CONTEXT],
  ["rx_bad_offload", GTX_BAD_OFFLOAD],
  ["rx_bad_tso", GTX_BAD_TSO],
  ["rx_bad_tail", GQ_BAD_TAIL],
  ["rx_ring_fault", GQ_RING_FAULT],
  ["rx_bounce_fault", GQ_BOUNCE_FAULT],
];
/** And of what it transmits. */
const TX_XSTATS: readonly (readonly [string, number])[] = [
  ["tx_filtered", GRX_FILTERED],
  ["tx_oversize", GRX_OVERSIZE],
  ["tx_bad_address", GRX_BAD_ADDRESS],
  ["tx_no_descriptor_bursts", GRX_NO_DESC],
  ["tx_queue_busy_bursts", GRX_BUSY],
  ["tx_held_packets", GRX_HELD],
  ["tx_held_lost", GRX_HELD_LOST],
  ["tx_bad_tail", GQ_BAD_TAIL],
  ["tx_ring_fault", GQ_RING_FAULT],
  ["tx_bounce_fault", GQ_BOUNCE_FAULT],
];

export class GuestStats {
  /** Region "eth_stats". */
  readonly off: number;
  readonly #arena: Arena;
  readonly #zone: string;
  readonly #rx: readonly number[];
  readonly #tx: readonly number[];
  #base: number[] = [];

  /** @param rx arena offsets of the guest's receive queues; tx: of its transmit queues */
  constructor(arena: Arena, name: string, rx: readonly number[], tx: readonly number[]) {
    this.#arena = arena;
    const zone = arena.memzoneReserve(`${name}.stats`, ETH_STATS_BYTES);
    this.off = zone.off;
    this.#zone = zone.name;
    this.#rx = rx;
    this.#tx = tx;
  }

  /** Writes the region anew. */
  update(): void {
    this.#now().forEach((value, i) => {
      this.#arena.u64[(this.off >>> 3) + i] = BigInt(value - (this.#base[i] ?? 0));
    });
  }

  /** The guest was reset: its counters begin anew. */
  rebase(): void {
    this.#base = this.#now();
    this.update();
  }

  /** Malformed packets of the guest. */
  malformed(): number {
    let sum = 0;
    for (let counter = GTX_ERRORS_FIRST; counter <= GTX_ERRORS_LAST; counter += 8) sum += this.#sum(this.#tx, counter);
    return sum;
  }

  xstats(): [string, number][] {
    return [
      ...RX_XSTATS.map(([name, counter]): [string, number] => [name, this.#sum(this.#tx, counter)]),
      ...TX_XSTATS.map(([name, counter]): [string, number] => [name, this.#sum(this.#rx, counter)]),
    ];
  }

  free(): void {
    this.#arena.memzoneFree(this.#zone);
  }

  /** The counters in the order of the region. */
  #now(): number[] {
    const rx = (counter: number): number => this.#sum(this.#rx, counter);
    const tx = (counter: number): number => this.#sum(this.#tx, counter);
    const values = new Array<number>(ETH_STATS_BYTES / 8).fill(0);
    const put = (at: number, value: number): void => {
      values[at / 8] = value;
    };
    put(ETH_STATS.rxBytes, rx(GRX_BYTES_SENT));
    put(ETH_STATS.rxMulticast, rx(GRX_MULTICAST));
    put(ETH_STATS.rxBroadcast, rx(GRX_BROADCAST));
    put(ETH_STATS.rxUnicast, rx(GRX_PACKETS) - rx(GRX_MULTICAST) - rx(GRX_BROADCAST));
    put(ETH_STATS.rxDiscards, rx(GRX_OVERSIZE));
    put(ETH_STATS.txBytes, tx(GTX_BYTES_SENT));
    put(ETH_STATS.txMulticast, tx(GTX_MULTICAST));
    put(ETH_STATS.txBroadcast, tx(GTX_BROADCAST));
    put(ETH_STATS.txUnicast, tx(GTX_PACKETS) - tx(GTX_MULTICAST) - tx(GTX_BROADCAST));
    put(ETH_STATS.txErrors, this.malformed());
    return values;
  }

  #sum(queues: readonly number[], counter: number): number {
    return queues.reduce((sum, off) => sum + this.#arena.counter(off + counter), 0);
  }
}
