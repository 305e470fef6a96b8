// All queues of one guest, and which queue of the port serves which: transmit queue i of the guest is received by port queue
// i modulo their number, so none is left unserved; receive queue i is fed by port queue i, and port queues beyond those the
// guest enabled feed the others in turn (the kernel's lock keeps two lcores apart); with RSS, every port queue feeds all. Unpublish, wait for lcores, then let go.
// Called by port.ts, one call at a time.
import { emuGetDbInfo, emuGetMemTable, emuGetQueueInfo, Vector } from "@emudev/emudev";
import type { Qsbr } from "@emudev/shm";
import { GQ_HEAD, GQ_VECTOR, GQ_WANT_BOUNCE } from "../layout/guest-queue.ts";
import { RXQ_ACTIVE, RXQ_POLLED, TXQ_GUEST, TXQ_OWN, TXQ_RSS, TXQ_STATES } from "../layout/port-queue.ts";
import { RxBounce } from "./bounce-rx.ts";
import { TxBounce } from "./bounce-tx.ts";
import { type GuestContext, GuestQueue, stateBytes } from "./guest-queue.ts";
import { RssTable } from "./rss.ts";

/** Descriptors whose buffers a queue is given at once, which is more than any packet has, and that are looked at before one goes. */
const WANTED_MAX = 300;
const POSTED_MAX = 1024;
/** Buffers that are looked at ahead at a time, of all queues: a bound to what a guest can have us do. */
const AHEAD_MAX = 1024;
/** Fruitless times, at one descriptor, after which a queue is carried for: a packet may need several rounds of windows. */
const STUCK_MAX = 16;
/** How long a disabled queue's messages to the guest's memory are waited for. */
const MESSAGES_MS = 100;
/** How long the segments of a packet that is being sent are waited for, and how often they are looked at. */
const DRAIN_MS = 100;
const DRAIN_STEP_MS = 1;

export interface QueuesEnvironment extends GuestContext {
  qsbr: Qsbr;
  pairs: number;
  /** false: no RSS, whatever the guest has configured. */
  rss?: boolean;
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
  readonly #rss: RssTable;
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
    this.#rss = new RssTable(env);
  }

  /** The guest can send and receive. */
  get running(): boolean {
    return this.rx.some((queue) => queue.enabled) && this.tx.some((queue) => queue.enabled);
  }

  /** Some queue is enabled. */
  get active(): boolean {
    return [...this.rx, ...this.tx].some((queue) => queue.enabled);
  }

  /** eventfds of the enabled queues' trapped doorbells. */
  doorbellFds(): Set<number> {
    const ringing = [...this.rx, ...this.tx].filter((queue) => queue.enabled && queue.doorbellFd >= 0);
    return new Set(ringing.map((queue) => queue.doorbellFd));
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
    for (const off of this.#portTx) {
      this.#store(off + TXQ_GUEST, 0);
      this.#store(off + TXQ_RSS, 0);
    }
    for (const off of portTx) this.#store(off + TXQ_STATES, this.rx[0]!.off);
    await this.#env.synchronize();
    this.#settle();
    this.#portRx = portRx;
    this.#portTx = portTx;
    this.publish();
  }

  /** Takes up a queue as the guest configured it; a configuration that cannot work is named in the log and left alone. */
  async enable(number: number): Promise<void> {
    const queue = this.queue(number);
    if (queue === undefined) return;
    if (queue.enabled) await this.disable(number);
    const info = emuGetQueueInfo(this.#env.devId, number);
    if (info === null) return;
    const memory = emuGetMemTable(this.#env.devId);
    queue.unpin = await memory.pin(info.base);
    const wrong = queue.fill(info);
    if (wrong !== null) {
      this.#letGoOf(queue);
      this.#env.warn(`${queue.name} is not usable: ${wrong}`);
      return;
    }
    queue.enabled = true;
    queue.published = true;
    if (memory.isMapped(info.base, queue.ringBytes(info.size))) this.publish();
    else await this.takeOver(number); // no packet finds the queue half ready
  }

  /** Lets go of a queue; resolves when neither lcores nor a bounce touch it. */
  async disable(number: number): Promise<void> {
    const queue = this.queue(number);
    if (!queue?.enabled) return;
    await this.#drain(queue);
    await this.#letGo([queue], MESSAGES_MS);
  }

  /**
   * Lets go of all queues. Messages to the guest's memory that are under way are not waited for: a client that has asked
   * for a reset may answer none before it has the reply to that.
   */
  async disableAll(): Promise<void> {
    await this.#letGo(
      [...this.rx, ...this.tx].filter((queue) => queue.enabled),
      0,
    );
    await this.#rss.settled();
  }

  /** Queues whose lcore has met memory that is not mapped. */
  wanting(): number[] {
    const wants = (queue: GuestQueue): boolean => queue.enabled && !queue.bounce && queue.get(GQ_WANT_BOUNCE) === 1;
    return [
      ...this.rx.filter(wants).map((queue) => 2 * queue.pair),
      ...this.tx.filter(wants).map((queue) => 2 * queue.pair + 1),
    ];
  }

  /** A number that changes when a queue moves. */
  position(): number {
    let sum = 0;
    for (const queue of this.rx) if (queue.published) sum += queue.get(GQ_HEAD);
    for (const queue of this.tx) if (queue.published) sum += queue.get(GQ_HEAD);
    return sum;
  }

  /**
   * Has the memory that a queue waits for mapped, and what it will want next; where that cannot be, it is carried for.
   * @returns whether windows on demand were asked for, so that the queue may soon want more
   */
  async reach(number: number): Promise<boolean> {
    const queue = this.queue(number);
    if (!queue?.published || queue.bounce !== null) return false;
    const memory = emuGetMemTable(this.#env.devId);
    const wanted = queue.posted(WANTED_MAX);
    const { misses } = memory.demand;
    const onDemand = wanted.some((iova) => memory.isOnDemand(iova));
    if (onDemand) queue.hold();
    const stuck = onDemand && queue.meet() > STUCK_MAX;
    if (stuck)
      this.#env.warn(
        `${queue.name} needs more memory at a time than its windows reach: it is carried by the main thread`,
      );
    if (onDemand && !stuck && (await memory.fetch(wanted, this.#posted))) {
      // Nothing was missing: the lcore had an older table, or what it waits for is of another kind.
      if (memory.demand.misses !== misses || !wanted.some((iova) => memory.isBeyond(iova))) {
        queue.put(GQ_WANT_BOUNCE, 0);
        return true;
      }
    }
    await this.takeOver(number);
    return false;
  }

  /** Has windows mapped for what receive queues have posted, so that packets find them there; the rest the next time. */
  async prefetch(): Promise<void> {
    const memory = emuGetMemTable(this.#env.devId);
    if (!memory.hasDemand) return;
    const fresh: bigint[] = [];
    for (const queue of this.rx)
      if (queue.published && queue.bounce === null) fresh.push(...queue.fresh(AHEAD_MAX - fresh.length));
    if (fresh.length > 0) await memory.prefetch(fresh, this.#posted);
  }

  readonly #posted = (): bigint[] =>
    [...this.rx, ...this.tx].flatMap((queue) => (queue.enabled ? queue.posted(POSTED_MAX) : []));

  /** Carries for a queue from here on, between the guest's memory and a shadow that the lcore is given instead. */
  async takeOver(number: number): Promise<void> {
    const queue = this.queue(number);
    const info = emuGetQueueInfo(this.#env.devId, number);
    if (!queue?.enabled || queue.bounce !== null || info === null) return;
    const doorbell = emuGetDbInfo(this.#env.devId, info.doorbellId);
    if (doorbell === null) return;
    queue.published = false;
    queue.put(GQ_WANT_BOUNCE, 0); // asked once: what fails now fails until the guest enables the queue again
    this.publish();
    await this.#env.synchronize();
    const { arena, qsbr, devId, warn } = this.#env;
    queue.shadow();
    const vectorOff = queue.get(GQ_VECTOR);
    const options = {
      arena,
      memory: emuGetMemTable(devId),
      queue,
      info,
      doorbellOff: doorbell.priv.off,
      head: queue.get(GQ_HEAD),
      vector: vectorOff === 0 ? null : Vector.attach(arena, qsbr, vectorOff),
      warn,
    };
    queue.bounce = queue.kind === "rx" ? new RxBounce(options) : new TxBounce(options);
    queue.bounce.install();
    queue.published = true;
    this.publish();
    queue.bounce.start();
  }

  /** Tells the port's queues whom they serve; to be called again when the guest's RSS settings have changed. */
  publish(): void {
    const active = this.#portRx.map(() => 0);
    const polled = this.#portRx.map(() => 0);
    for (const queue of this.tx) {
      if (!queue.published || active.length === 0) continue;
      active[queue.pair % active.length]! |= 1 << queue.pair;
      // What bounces comes from our own main thread, without an event.
      if (queue.doorbellFd < 0 || queue.bounce !== null) polled[queue.pair % active.length]! |= 1 << queue.pair;
    }
    for (const [i, off] of this.#portRx.entries()) {
      this.#store(off + RXQ_POLLED, polled[i]!);
      this.#store(off + RXQ_ACTIVE, active[i]!);
    }
    const enabled = this.rx.filter((queue) => queue.published);
    const rssOff = this.#rss.follow(this.#portTx.length === 0 ? [] : enabled.map((queue) => queue.pair));
    for (const [i, off] of this.#portTx.entries()) {
      const own = this.rx[i];
      const fed = own?.published ? own : enabled[i % enabled.length];
      if (rssOff !== 0) this.#rss.lendScratch(off, i);
      this.#store(off + TXQ_OWN, fed?.pair ?? 0);
      this.#store(off + TXQ_RSS, rssOff);
      this.#store(off + TXQ_GUEST, fed?.off ?? 0);
    }
  }

  /** Frees the states; no lcore may know them any longer. */
  free(): void {
    for (const queue of [...this.rx, ...this.tx]) queue.free();
    this.#rss.free();
    for (const zone of this.#zones) this.#env.arena.memzoneFree(zone);
  }

  /** What a stopped port has handed on is not left waiting for its next burst. */
  #settle(): void {
    const { arena, qsbr } = this.#env;
    for (const queue of this.tx) {
      if (!queue.published || queue.bounce !== null || !queue.giveBack()) continue;
      const vector = queue.get(GQ_VECTOR);
      if (vector !== 0) Vector.attach(arena, qsbr, vector).raise();
    }
  }

  /** Lets the lcore finish what it has begun; where none polls, it is given up. */
  async #drain(queue: GuestQueue): Promise<void> {
    if (queue.kind === "rx" || this.#portRx.length === 0) return;
    queue.drain();
    await this.#env.synchronize();
    for (let ms = 0; queue.unfinished && ms < DRAIN_MS; ms += DRAIN_STEP_MS)
      await new Promise((resolve) => setTimeout(resolve, DRAIN_STEP_MS));
  }

  async #letGo(queues: readonly GuestQueue[], patienceMs: number): Promise<void> {
    if (queues.length === 0) return;
    for (const queue of queues) queue.enabled = queue.published = false;
    this.publish();
    await this.#env.synchronize();
    await Promise.all(
      queues.map(async (queue) => {
        const { bounce } = queue;
        queue.bounce = null;
        queue.leave(await bounce?.stop(patienceMs));
        this.#letGoOf(queue);
      }),
    );
  }

  #letGoOf(queue: GuestQueue): void {
    queue.unpin?.();
    queue.unpin = null;
    queue.unhold();
  }

  #store(off: number, value: number): void {
    Atomics.store(this.#env.arena.i32, off >>> 2, value);
  }
}
