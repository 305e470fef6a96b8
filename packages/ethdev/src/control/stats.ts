// A port's statistics, read from the counters at the start of each queue's state in the arena. The polling lcore is the only
// writer of a counter, so a reset remembers what was there and subtracts it; a queue set up anew keeps its history. Names
// and order of the extended statistics are rte_ethdev's: generic ones, per queue, then the driver's. Called by eth-dev.ts.
import type { Arena } from "@emudev/shm";
import { QSTATS_BYTES, QSTATS_ERRORS, QSTATS_MISSED, QSTATS_NOMBUF, QSTATS_PACKETS } from "../layout/queue-stats.ts";
import type { EthDevOps, EthStats } from "./types.ts";

interface Counts {
  packets: number;
  bytes: number;
  errors: number;
  missed: number;
  nombuf: number;
}
const FIELDS = ["packets", "bytes", "errors", "missed", "nombuf"] as const;
const ZERO: Counts = { packets: 0, bytes: 0, errors: 0, missed: 0, nombuf: 0 };

/** One queue: what its counters say since the last reset, whatever became of its state in the meantime. */
class QueueCounts {
  readonly #arena: Arena;
  #off = 0;
  #before: Counts = ZERO; // to be added: what earlier states of this queue counted, minus what resets took away

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** The queue has a new state: what the old one counted is kept, what the new one brings along is not counted. */
  moveTo(off: number): void {
    const kept = this.read();
    this.#off = off;
    this.#before = minus(kept, this.#raw());
  }

  read(): Counts {
    return plus(this.#before, this.#raw());
  }

  reset(): void {
    this.#before = minus(ZERO, this.#raw());
  }

  #raw(): Counts {
    if (this.#off === 0) return ZERO;
    const at = (field: number): number => this.#arena.counter(this.#off + field);
    return {
      packets: at(QSTATS_PACKETS),
      bytes: at(QSTATS_BYTES),
      errors: at(QSTATS_ERRORS),
      missed: at(QSTATS_MISSED),
      nombuf: at(QSTATS_NOMBUF),
    };
  }
}

export class PortStats {
  readonly #arena: Arena;
  readonly #ops: EthDevOps;
  readonly #rx: QueueCounts[] = [];
  readonly #tx: QueueCounts[] = [];
  #extraBase: Partial<EthStats> = {};
  #xstatsBase = new Map<string, number>();

  constructor(arena: Arena, ops: EthDevOps) {
    this.#arena = arena;
    this.#ops = ops;
  }

  /** A queue was set up: its state lies at `off` from now on. */
  rxQueue(queue: number, off: number): void {
    this.#rx[queue] ??= new QueueCounts(this.#arena);
    this.#rx[queue].moveTo(off);
  }

  txQueue(queue: number, off: number): void {
    this.#tx[queue] ??= new QueueCounts(this.#arena);
    this.#tx[queue].moveTo(off);
  }

  /** The queues' states are about to go (reset, close, another configuration); their counts stay. */
  detach(): void {
    for (const queue of [...this.#rx, ...this.#tx]) queue?.moveTo(0);
  }

  get(): EthStats {
    const rx = this.#rx.reduce((sum, queue) => plus(sum, queue.read()), ZERO);
    const tx = this.#tx.reduce((sum, queue) => plus(sum, queue.read()), ZERO);
    const stats: EthStats = {
      ipackets: rx.packets,
      opackets: tx.packets,
      ibytes: rx.bytes,
      obytes: tx.bytes,
      imissed: rx.missed,
      ierrors: rx.errors,
      oerrors: tx.errors + tx.missed,
      rx_nombuf: rx.nombuf,
    };
    const extra = this.#ops.statsExtra?.() ?? {};
    for (const key of Object.keys(extra) as (keyof EthStats)[])
      stats[key] += (extra[key] ?? 0) - (this.#extraBase[key] ?? 0);
    return stats;
  }

  reset(): void {
    for (const queue of [...this.#rx, ...this.#tx]) queue.reset();
    this.#ops.statsReset?.();
    this.#extraBase = { ...this.#ops.statsExtra?.() };
  }

  xstats(): { name: string; value: number }[] {
    const s = this.get();
    const list = [
      { name: "rx_good_packets", value: s.ipackets },
      { name: "tx_good_packets", value: s.opackets },
      { name: "rx_good_bytes", value: s.ibytes },
      { name: "tx_good_bytes", value: s.obytes },
      { name: "rx_missed_errors", value: s.imissed },
      { name: "rx_errors", value: s.ierrors },
      { name: "tx_errors", value: s.oerrors },
      { name: "rx_mbuf_allocation_errors", value: s.rx_nombuf },
    ];
    this.#rx.forEach((queue, q) => {
      const { packets, bytes, errors, missed } = queue.read();
      list.push({ name: `rx_q${q}_packets`, value: packets }, { name: `rx_q${q}_bytes`, value: bytes });
      list.push({ name: `rx_q${q}_errors`, value: errors }, { name: `rx_q${q}_missed`, value: missed });
    });
    this.#tx.forEach((queue, q) => {
      const { packets, bytes, errors, missed } = queue.read();
      list.push({ name: `tx_q${q}_packets`, value: packets }, { name: `tx_q${q}_bytes`, value: bytes });
      list.push({ name: `tx_q${q}_errors`, value: errors }, { name: `tx_q${q}_dropped`, value: missed });
    });
    for (const [name, value] of this.#ops.xstats?.() ?? [])
      list.push({ name, value: value - (this.#xstatsBase.get(name) ?? 0) });
    return list;
  }

  xstatsReset(): void {
    this.reset();
    this.#xstatsBase = new Map(this.#ops.xstats?.() ?? []);
  }
}

function plus(a: Counts, b: Counts): Counts {
  const sum = { ...a };
  for (const field of FIELDS) sum[field] += b[field];
  return sum;
}

function minus(a: Counts, b: Counts): Counts {
  const difference = { ...a };
  for (const field of FIELDS) difference[field] -= b[field];
  return difference;
}
