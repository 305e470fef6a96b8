// What is left when a trace ends: messages by command, errors, and how long replies took. Latencies go into buckets of 1/32 of a
// power of two, so that a trace of any length needs the same memory; a percentile is right within 3 %.
import { table } from "../output.ts";
import type { Entry } from "./entry.ts";

const STEPS = 32;
const BUCKETS = 64 * STEPS;

export interface SummaryRow {
  name: string;
  direction: "c>s" | "s>c";
  commands: number;
  posted: number;
  errors: number;
  malformed: number;
  /** Of replies, in microseconds; null without any. */
  p50: number | null;
  p99: number | null;
}

export class Histogram {
  readonly #counts = new Uint32Array(BUCKETS);
  #total = 0;

  add(ns: number): void {
    const bucket = ns <= 1 ? 0 : Math.min(Math.floor(Math.log2(ns) * STEPS), BUCKETS - 1);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#total++;
  }

  /** Nanoseconds below which a share of all lies; null when there are none. */
  quantile(share: number): number | null {
    if (this.#total === 0) return null;
    let left = Math.ceil(share * this.#total);
    const bucket = this.#counts.findIndex((count) => {
      left -= count;
      return left <= 0;
    });
    return 2 ** ((bucket + 0.5) / STEPS);
  }
}

interface Row {
  commands: number;
  posted: number;
  errors: number;
  malformed: number;
  latencies: Histogram;
}

export class Summary {
  /** By direction of the command and its name. */
  readonly #rows = new Map<string, Row>();
  #messages = 0;

  get messages(): number {
    return this.#messages;
  }

  add({ message, name, type, fault, latencyNs }: Entry): void {
    this.#messages++;
    const answer = type === "reply" || type === "error";
    const asked = answer === (message.direction === "s>c") ? "c>s" : "s>c";
    const row = this.#row(`${asked} ${name}`);
    if (type === "command") row.commands++;
    if (type === "posted") row.posted++;
    if (type === "error") row.errors++;
    if (fault !== null) row.malformed++;
    if (latencyNs !== null) row.latencies.add(Number(latencyNs));
  }

  rows(): SummaryRow[] {
    const us = (ns: number | null): number | null => (ns === null ? null : Math.round(ns / 100) / 10);
    return [...this.#rows].map(([key, { latencies, ...counts }]) => ({
      name: key.slice(4),
      direction: key.slice(0, 3) as SummaryRow["direction"],
      ...counts,
      p50: us(latencies.quantile(0.5)),
      p99: us(latencies.quantile(0.99)),
    }));
  }

  lines(): string[] {
    const head = ["command", "from", "count", "posted", "errors", "malformed", "p50 us", "p99 us"];
    const number = (value: number | null): string => (value === null ? "-" : String(value));
    const rows = this.rows().map((row) => [
      row.name,
      row.direction,
      ...[row.commands + row.posted, row.posted, row.errors, row.malformed, row.p50, row.p99].map(number),
    ]);
    return this.#messages === 0 ? ["no messages"] : table([head, ...rows]);
  }

  #row(key: string): Row {
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { commands: 0, posted: 0, errors: 0, malformed: 0, latencies: new Histogram() };
      this.#rows.set(key, row);
    }
    return row;
  }
}
