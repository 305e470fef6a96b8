// All queues of one guest, and which queue of the port serves which: transmit queue i of the guest is received by port queue
// i modulo their number, so none is left unserved; receive queue i is fed by port queue i, and port queues beyond those the
// guest enabled feed the others in turn (the kernel's lock keeps two lcores apart). Unpublish, wait for lcores, then let go.
// Called by port.ts, one call at a time.
import { type EmuDevQueueInfo, emuGetQueueInfo } from "@emudev/emudev";
import { RXQ_ACTIVE, TXQ_GUEST } from "../layout/port-queue.ts";
import { type GuestContext, GuestQueue, stateBytes } from "./guest-queue.ts";

export interface QueuesEnvironment extends GuestContext {
  pairs: number;
  /** Resolves when no lcore can use what was unpublished before. */
  synchronize(): Promise<void>;
  warn(message: string): void;
}

export class GuestQueues {
  /** By queue pair. */
  readonly rx: readonly GuestQueue[];
  readonly tx: readonly GuestQueue[];
  /** Arena offset of the array of transmit queues' states. */
  readonly txStatesOff: number;
  readonly #env: QueuesEnvironment;
  readonly #zones: string[] = [];
  #portRx: readonly number[] = [];
  #portTx: readonly number[] = [];

  constructor(env: QueuesEnvironment) {
    this.#env = env;
    const make = (kind: "rx" | "tx"): GuestQueue[] => {
      const zone = env.arena.memzoneReserve(`${env.name}.guest-${kind}`, env.pairs * stateBytes(kind));
      this.#zones.push(zone.name);
      return Array.from({ length: env.pairs }, (_, i) => new GuestQueue(env, kind, i, zone.off + i * stateBytes(kind)));
    };
    this.rx = make("rx");
    this.tx = make("tx");
    this.txStatesOff = this.tx[0]!.off;
  }

  /** The guest can send and receive. */
  get running(): boolean {
    return this.rx.some((queue) => queue.enabled) && this.tx.some((queue) => queue.enabled);
  }

  /** Some queue is enabled. */
  get active(): boolean {
    return [...this.rx, ...this.tx].some((queue) => queue.enabled);
  }

  /** By emudev's number: 2i = receive queue i, 2i+1 = transmit queue i. */
  queue(number: number): GuestQueue | undefined {
    return (number & 1 ? this.tx : this.rx)[number >>> 1];
  }

  /**
   * The port's queues, by arena offsets, that serve the guest from now on; none while the port is stopped. Resolves when lcores
   * have let go of what they served before.
   */
  async serve(portRx: readonly number[], portTx: readonly number[]): Promise<void> {
    for (const off of this.#portRx) this.#store(off + RXQ_ACTIVE, 0);
    for (const off of this.#portTx) this.#store(off + TXQ_GUEST, 0);
    await this.#env.synchronize();
    this.#portRx = portRx;
    this.#portTx = portTx;
    this.publish();
  }

  /** Takes up a queue as the guest configured it; a configuration that cannot work is named in the log and left alone. */
  async enable(number: number): Promise<EmuDevQueueInfo | null> {
    const queue = this.queue(number);
    if (queue === undefined) return null;
    if (queue.enabled) await this.disable(number);
    const info = emuGetQueueInfo(this.#env.devId, number);
    if (info === null) return null;
    const wrong = queue.fill(info);
    if (wrong !== null) {
      this.#env.warn(`${queue.name} is not usable: ${wrong}`);
      return null;
    }
    queue.enabled = true;
    this.publish();
    return info;
  }

  /** Lets go of a queue; resolves when no lcore can touch it. */
  async disable(number: number): Promise<void> {
    const queue = this.queue(number);
    if (!queue?.enabled) return;
    queue.enabled = false;
    this.publish();
    await this.#env.synchronize();
  }

  /** Lets go of all queues. */
  async disableAll(): Promise<void> {
    if (!this.active) return;
    for (const queue of [...this.rx, ...this.tx]) queue.enabled = false;
    this.publish();
    await this.#env.synchronize();
  }

  /** Tells the port's queues whom they serve. */
  publish(): void {
    const active = this.#portRx.map(() => 0);
    for (const queue of this.tx)
      if (queue.enabled && active.length > 0) active[queue.pair % active.length]! |= 1 << queue.pair;
    for (const [i, off] of this.#portRx.entries()) this.#store(off + RXQ_ACTIVE, active[i]!);
    const enabled = this.rx.filter((queue) => queue.enabled);
    for (const [i, off] of this.#portTx.entries()) {
      const own = this.rx[i];
      const fed = own?.enabled ? own : enabled[i % enabled.length];
      this.#store(off + TXQ_GUEST, fed?.off ?? 0);
    }
  }

  /** Frees the states; no lcore may know them any longer. */
  free(): void {
    for (const queue of [...this.rx, ...this.tx]) queue.free();
    for (const zone of this.#zones) this.#env.arena.memzoneFree(zone);
  }

  #store(off: number, value: number): void {
    Atomics.store(this.#env.arena.i32, off >>> 2, value);
  }
}
