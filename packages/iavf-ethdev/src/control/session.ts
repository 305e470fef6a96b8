// A device from the driver's side: its connection, admin queue and state, and the transitions between the states. The port
// (port.ts) tells it what to configure; it tells the port when the link changes and when the device is lost. A device that
// resets itself is found by its admin queue being gone, which a timer looks at every second as Linux's watchdog does.
import { eventName, linkSpeedOfBit, type PfEvent, type QueuePairInfo, VF_CAP, VIRTCHNL_EVENT } from "@emudev/avf";
import type { Eal, Logger } from "@emudev/eal";
import { AdminQueue } from "./admin-queue.ts";
import { IavfError, reasonOf } from "./errors.ts";
import { armAdminVector, handshake, isAlive, type Resources, setWriteBack, waitDisabled } from "./handshake.ts";
import { Mailbox } from "./mailbox.ts";
import { loadDevice, saveDevice } from "./migration.ts";
import { type QueueMask, Requests } from "./requests.ts";
import { type Event, isActive, next, type State } from "./state.ts";
import { Transport } from "./transport.ts";

const WATCHDOG_MS = 1000;
const ALARM_MS = 50;

export interface SessionEvents {
  /** `link` has changed. */
  link(): void;
  /** Bursts must end: the device has reset itself or does not answer ("failed"), or its server is gone ("gone"). */
  down(state: "failed" | "gone", why: string): void;
}

/** What start() tells the device. */
export interface QueuePlan {
  pairs: QueuePairInfo[];
  queues: QueueMask;
  /** The port's own address first. */
  macs: readonly Uint8Array[];
}

export class Session {
  readonly name: string;
  readonly #eal: Eal;
  #path: string;
  readonly #log: Logger;
  readonly #events: SessionEvents;
  #state: State = "closed";
  #transport: Transport | null = null;
  #queue: AdminQueue | null = null;
  #mailbox: Mailbox | null = null;
  #requests: Requests | null = null;
  #resources: Resources | null = null;
  #timers: NodeJS.Timeout[] = [];
  #link = { up: false, speedMbps: 0 };
  #plan: QueuePlan | null = null;
  #interrupted = false;
  #serving = false;
  #moving = false;

  constructor(eal: Eal, path: string, name: string, log: Logger, events: SessionEvents) {
    this.#eal = eal;
    this.#path = path;
    this.name = name;
    this.#log = log;
    this.#events = events;
  }

  get state(): State {
    return this.#state;
  }
  /** Valid once opened. */
  get resources(): Resources {
    return need(this.#resources);
  }
  get requests(): Requests {
    return need(this.#requests);
  }
  get transport(): Transport {
    return need(this.#transport);
  }
  /** What the device last said; down unless the queues are enabled. */
  get link(): { up: boolean; speedMbps: number } {
    return this.#state === "running" ? this.#link : { up: false, speedMbps: this.#link.speedMbps };
  }
  has(cap: number): boolean {
    return (this.resources.caps & cap) !== 0;
  }

  /** Connects and brings the device up to "ready". Nothing is left behind when it rejects. */
  async open(): Promise<void> {
    this.#enter("open");
    try {
      const transport = await this.#connect(this.#path);
      this.#transport = transport;
      this.#queue = new AdminQueue(this.#eal.arena, transport.bar0, this.name);
      this.#mailbox = new Mailbox(this.#queue, this.#log, (event) => this.#onEvent(event));
      await this.#handshake();
      this.#timers.push(setInterval(() => void this.#watch(), WATCHDOG_MS));
      if (!transport.interrupts) this.#timers.push(setInterval(() => void this.#onInterrupt(), ALARM_MS));
      for (const timer of this.#timers) timer.unref();
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  /**
   * Live migration, driven by us: the device behind this session stands still, its state goes to another one behind `path`, and
   * that goes on. No burst may be under way. When it cannot be, the old device goes on and all is as before.
   * @throws IavfError STATE, DEVICE, VfioUserError
   */
  async migrate(path: string): Promise<void> {
    if (this.#state !== "running" && this.#state !== "ready")
      throw new IavfError("STATE", `${this.name}: cannot migrate while ${this.#state}`);
    this.#moving = true;
    try {
      await this.#mailbox!.whileIdle(() => this.#move(path));
    } finally {
      this.#moving = false;
    }
    await this.#onInterrupt(); // what was signalled meanwhile
  }

  async #move(path: string): Promise<void> {
    const from = this.transport;
    let to: Transport | null = null;
    try {
      const state = await saveDevice(from.client, this.name);
      to = await this.#connect(path);
      if (!from.doorbells.mapped || !to.doorbells.mapped)
        throw new IavfError("DEVICE", `${this.name}: both devices must lend their doorbell pages (doorbell=mem)`);
      await loadDevice(to.client, state);
    } catch (error) {
      to?.close();
      await from.client.setDeviceState("running");
      throw error;
    }
    this.#transport = to;
    this.#queue!.rebind(to.bar0);
    this.#path = path;
    from.close();
  }

  /** Events count while the connection is this session's, so not those of one that never came to be. */
  async #connect(path: string): Promise<Transport> {
    const known: { transport?: Transport } = {};
    known.transport = await Transport.connect(this.#eal, path, this.name, this.#log, {
      interrupt: () => void this.#onInterrupt(),
      lost: () => {
        if (this.#transport === known.transport) this.#onLost();
      },
    });
    return known.transport;
  }

  /** Resets the device and brings it up again; for a device that has failed, or on the application's wish. */
  async reopen(): Promise<void> {
    if (this.#state === "gone" || this.#state === "closed")
      throw new IavfError("GONE", `${this.name}: the connection is gone; detach the device and attach it again`);
    if (this.#state !== "failed") this.#enter("fault");
    this.#enter("open");
    this.#mailbox!.close(new IavfError("GONE", `${this.name}: the device is being reset`));
    try {
      await this.transport.reset(this.name);
      await this.#handshake();
    } catch (error) {
      this.#fault(reasonOf(error));
      throw error;
    }
  }

  /** Configures and enables the data queues. The rings are filled, and their tails written, before. */
  async start(plan: QueuePlan): Promise<void> {
    this.#enter("start");
    const { requests } = this;
    this.#plan = plan;
    try {
      await this.transport.doorbells.flush(true);
      await requests.addMacs(plan.macs);
      await requests.configureQueues(plan.pairs);
      await requests.mapVectors(plan.queues);
      if (this.has(VF_CAP.WB_ON_ITR)) await setWriteBack(this.transport.bar0);
      await requests.enableQueues(plan.queues);
      this.#enter("started");
    } catch (error) {
      // The device may have come half way; what it has enabled is disabled, and if there is nothing, it says so.
      if (this.#state === "starting") await this.#disable(plan, "refusal is fine");
      throw error;
    }
    if (this.#link.up) this.#events.link();
  }

  /** Disables the data queues: when it resolves the device touches no buffer any more. Never rejects. */
  async stop(): Promise<void> {
    if (this.#state !== "running") return;
    const wasUp = this.#link.up;
    this.#enter("stop");
    this.#link = { ...this.#link, up: false };
    if (wasUp) this.#events.link();
    await this.#disable(need(this.#plan), "must obey");
  }

  /** Gives the device back reset and closes the connection. Never rejects. */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    if (this.#state === "ready" || this.#state === "running") {
      try {
        await this.requests.resetVf();
        await waitDisabled(this.transport.bar0);
      } catch (error) {
        this.#log.debug(`${this.name}: reset at close: ${reasonOf(error)}`);
      }
    }
    this.#release();
  }

  async #handshake(): Promise<void> {
    const resources = await handshake(this.transport.bar0, this.#queue!, this.#mailbox!, this.name);
    this.#resources = resources;
    this.#requests = new Requests(this.#mailbox!, resources.vsi.vsiId);
    this.#enter("opened");
  }

  async #disable(plan: QueuePlan, rule: "must obey" | "refusal is fine"): Promise<void> {
    const accept = (error: unknown): void => {
      if (rule === "must obey" || !(error instanceof IavfError && error.code === "REFUSED")) throw error;
    };
    try {
      await this.requests.disableQueues(plan.queues).catch(accept);
      await this.requests.deleteMacs(plan.macs).catch(accept);
      this.#enter("stopped");
    } catch (error) {
      if (!isActive(this.#state)) return;
      this.#log.warning(`${this.name}: the device did not stop (${reasonOf(error)}); it is being reset`);
      this.#fault(reasonOf(error));
      // Buffers are freed after this: a device that cannot be reset must lose its memory.
      await this.transport.client.reset().catch(() => this.transport.client.close());
    }
  }

  /** However often the device signals, one service is under way and at most one more follows. */
  async #onInterrupt(): Promise<void> {
    this.#interrupted = true;
    if (this.#serving || this.#moving) return;
    this.#serving = true;
    try {
      while (this.#interrupted && this.#transport !== null && this.#state !== "gone" && !this.#moving) {
        this.#interrupted = false;
        await this.#serveInterrupt(this.#transport);
      }
    } catch (error) {
      this.#log.debug(`${this.name}: interrupt: ${reasonOf(error)}`);
    } finally {
      this.#serving = false;
    }
  }

  /** Armed before the queue is looked at: a message that comes in between is found, one that comes later interrupts. */
  async #serveInterrupt({ bar0, interrupts }: Transport): Promise<void> {
    await bar0.read("VFINT_ICR01");
    if (interrupts) await armAdminVector(bar0);
    await this.#mailbox!.poll();
  }

  async #watch(): Promise<void> {
    if (this.#moving || (this.#state !== "ready" && !isActive(this.#state))) return;
    try {
      const alive = await isAlive(this.transport.bar0);
      if (!alive && (this.#state === "ready" || isActive(this.#state))) this.#fault("the device has reset itself");
    } catch (error) {
      this.#log.debug(`${this.name}: watchdog: ${reasonOf(error)}`);
    }
  }

  #onEvent({ event, linkUp, linkSpeed }: PfEvent): void {
    if (event === VIRTCHNL_EVENT.RESET_IMPENDING || event === VIRTCHNL_EVENT.PF_DRIVER_CLOSE) {
      this.#fault(`the device announced ${eventName(event)}`);
      return;
    }
    // Before the resources are known, their capabilities are those that were asked for.
    const mbps = this.#resources === null || this.has(VF_CAP.ADV_LINK_SPEED);
    const before = this.link;
    this.#link = { up: linkUp, speedMbps: mbps ? linkSpeed : linkSpeedOfBit(linkSpeed) };
    const { up, speedMbps } = this.link;
    if (up !== before.up || (up && speedMbps !== before.speedMbps)) this.#events.link();
  }

  #onLost(): void {
    const state = next(this.#state, "lost");
    if (state === null || this.#state === "gone") return;
    this.#down("gone", "the server closed the connection");
  }

  #fault(why: string): void {
    if (next(this.#state, "fault") !== "failed" || this.#state === "failed") return;
    this.#down("failed", why);
  }

  #down(state: "failed" | "gone", why: string): void {
    this.#state = state;
    this.#link = { up: false, speedMbps: 0 };
    this.#mailbox?.close(new IavfError("GONE", `${this.name}: ${why}`));
    this.#events.down(state, why);
  }

  #release(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    this.#state = "closed";
    this.#link = { up: false, speedMbps: 0 };
    this.#mailbox?.close(new IavfError("GONE", `${this.name}: the device is closed`));
    this.#transport?.close();
    this.#queue?.free();
    this.#transport = null;
    this.#queue = null;
  }

  #enter(event: Event): void {
    const state = next(this.#state, event);
    if (state === null) throw new IavfError("STATE", `${this.name}: cannot ${event} while ${this.#state}`);
    this.#state = state;
  }
}

function need<T>(value: T | null): T {
  if (value === null) throw new IavfError("STATE", "the device is not open");
  return value;
}
