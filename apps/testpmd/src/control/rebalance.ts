// Queues change lcores while they are polled: every so often the load of each stream is taken from what its lcore counted and
// timed (one turn in 64), balance.ts says what is to move, and forwarding.ts moves it. Off until `set lcore-rebalance`.
import type { Arena } from "@emudev/shm";
import { STREAM_RX, STREAM_TIMED_NS, STREAM_TIMED_PACKETS, STREAM_TX } from "../layout/stream.ts";
import { balance } from "./balance.ts";
import type { Forwarding, FwdStream } from "./forwarding.ts";

interface Sample {
  packets: number;
  ns: number;
  timed: number;
  nsPerPacket: number;
  load: number;
}

export class Rebalancer {
  readonly #arena: Arena;
  readonly #forwarding: Forwarding;
  readonly #samples = new Map<number, Sample>();
  #timer: NodeJS.Timeout | undefined;
  #at = 0;
  #looking: Promise<void> | undefined;
  /** Raised by each setting: a look that began before it moves nothing more. */
  #setting = 0;
  /** Streams that have changed their lcore so far. */
  moves = 0;
  /** Milliseconds between two looks, 0 = off. */
  everyMs = 0;

  constructor(arena: Arena, forwarding: Forwarding) {
    this.#arena = arena;
    this.#forwarding = forwarding;
  }

  /** @param ms between two looks, 0 = off. Resolves when no look is under way that began before. */
  async set(ms: number): Promise<void> {
    clearInterval(this.#timer);
    this.#setting++;
    this.everyMs = ms;
    this.#samples.clear();
    this.#forwarding.timeStreams(ms > 0);
    this.#timer = ms === 0 ? undefined : setInterval(() => void this.look(), ms).unref();
    await this.#looking;
  }

  /** Share of its lcore's time that a stream took between the last two looks. */
  load({ off }: FwdStream): number {
    return this.#samples.get(off)?.load ?? 0;
  }

  /** Looks at the loads once and moves what is to move; one look at a time. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { arrangement, running } = this.#forwarding;
    if (!running || arrangement === undefined || arrangement.lcores.length < 2) return;
    const now = performance.now();
    const units = this.#forwarding.units();
    const first = this.#samples.size === 0;
    const loads = units.map((unit) => unit.reduce((sum, stream) => sum + this.#sample(stream, now - this.#at), 0));
    this.#at = now;
    if (first) return;
    const ids = arrangement.lcores.map(({ id }) => id);
    const places = units.map(([stream]) => ids.indexOf(stream!.lcoreId));
    const setting = this.#setting;
    for (const { unit, to } of balance(loads, places, ids.length)) {
      if (this.#setting !== setting) return;
      if (await this.#forwarding.move(units[unit]!, ids[to]!)) this.moves += units[unit]!.length;
    }
  }

  #sample({ off }: FwdStream, ms: number): number {
    const at = (field: number): number => this.#arena.f64[(off + field) >>> 3]!;
    const packets = Math.max(at(STREAM_RX), at(STREAM_TX));
    const [ns, timed] = [at(STREAM_TIMED_NS), at(STREAM_TIMED_PACKETS)];
    const last = this.#samples.get(off) ?? { packets, ns, timed, nsPerPacket: 0, load: 0 };
    const nsPerPacket = timed > last.timed ? (ns - last.ns) / (timed - last.timed) : last.nsPerPacket;
    const load = ms > 0 ? Math.min(1, ((packets - last.packets) * nsPerPacket) / (ms * 1e6)) : 0;
    this.#samples.set(off, { packets, ns, timed, nsPerPacket, load });
    return load;
  }
}
