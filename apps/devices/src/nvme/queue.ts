// Submission and completion queues: rings in the host's memory (NVM Express Base Specification 1.4, 4.1). These classes hold
// the indexes and judge doorbell values; engine.ts moves the entries. A completion slot is reserved before its command is
// fetched, so a completion always finds room, however slowly the host takes them.
import { ENTRY_BYTES } from "./command.ts";

export const COMPLETION_BYTES = 16;

export class CompletionQueue {
  readonly id: number;
  readonly base: number;
  readonly entries: number;
  /** -1: raises no interrupt. */
  readonly vector: number;
  /** Submission queues that complete here. */
  readonly users = new Set<SubmissionQueue>();
  /** Slots promised to commands under way. */
  reserved = 0;
  #head = 0;
  #tail = 0;
  #phase = 1;

  constructor(id: number, base: number, entries: number, vector: number) {
    this.id = id;
    this.base = base;
    this.entries = entries;
    this.vector = vector;
  }

  /** Slots that can still be promised: one of the ring stays empty. */
  get room(): number {
    return this.entries - 1 - this.#used - this.reserved;
  }

  /** Takes the next slot: its address, and the phase bit that makes its entry new. */
  take(): { address: number; phase: number } {
    const slot = { address: this.base + this.#tail * COMPLETION_BYTES, phase: this.#phase };
    this.#tail++;
    if (this.#tail === this.entries) {
      this.#tail = 0;
      this.#phase ^= 1;
    }
    return slot;
  }

  /** The host has taken entries up to `head`. False for a value that cannot be. */
  ring(head: number): boolean {
    if (head >= this.entries) return false;
    const taken = (head - this.#head + this.entries) % this.entries;
    if (taken > this.#used) return false;
    this.#head = head;
    return true;
  }

  get #used(): number {
    return (this.#tail - this.#head + this.entries) % this.entries;
  }
}

export class SubmissionQueue {
  readonly id: number;
  readonly base: number;
  readonly entries: number;
  readonly completions: CompletionQueue;
  /** Commands fetched and not completed; held event requests are not among them. */
  inFlight = 0;
  /** A fetch is under way. */
  busy = false;
  /** Being deleted: nothing more is fetched. */
  closed = false;
  #head = 0;
  #tail = 0;

  constructor(id: number, base: number, entries: number, completions: CompletionQueue) {
    this.id = id;
    this.base = base;
    this.entries = entries;
    this.completions = completions;
  }

  get head(): number {
    return this.#head;
  }

  /** Entries that can be fetched in one piece: up to the tail or the ring's end. */
  get ready(): number {
    return (this.#tail >= this.#head ? this.#tail : this.entries) - this.#head;
  }

  get address(): number {
    return this.base + this.#head * ENTRY_BYTES;
  }

  advance(count: number): void {
    this.#head = (this.#head + count) % this.entries;
  }

  /** The host has added entries up to `tail`. False for a value outside the ring. */
  ring(tail: number): boolean {
    if (tail >= this.entries) return false;
    this.#tail = tail;
    return true;
  }
}
