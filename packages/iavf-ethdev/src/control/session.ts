// A device from the driver's side: its connection, admin queue and state, and the transitions between the states. The port
// (port.ts) tells it what to configure; it tells the port when the link changes and when the device is lost. A connection
// that closes is looked for again (reconnect.ts, resume.ts): requests wait meanwhile, stopping and closing do not.
import { eventName, type PfEvent, VF_CAP, VIRTCHNL_EVENT } from "@emudev/avf";
import type { Eal, Logger } from "@emudev/eal";
import { AdminQueue } from "./admin-queue.ts";
import { Comeback, type How } from "./comeback.ts";
import { bringUp, type Device, type QueuePlan, startQueues, stopQueues } from "./device.ts";
import { IavfError, reasonOf } from "./errors.ts";
import { isAlive, type Resources, waitDisabled } from "./handshake.ts";
import { LinkState } from "./link-state.ts";
import { Mailbox } from "./mailbox.ts";
import { moveDevice, within } from "./migration.ts";
import { Requests } from "./requests.ts";
import type { Wishes } from "./resume.ts";
import { Service } from "./service.ts";
import type { SessionOptions, SessionPort } from "./session-port.ts";
import { type Event, isActive, isAway, next, type State, stuck } from "./state.ts";
import { Transport } from "./transport.ts";

/** Within which a server that ends has its lcores let go of our memory, after it has closed the connection. */
const LET_GO_MS = 20;

export class Session {
  readonly name: string;
  readonly #eal: Eal;
  readonly #log: Logger;
  readonly #service: Service;
  readonly #options: SessionOptions;
  readonly #wishes: Wishes = { plan: null, owed: null, configuring: false, reset: false, saved: null };
  #port: SessionPort | null = null;
  #state: State = "closed";
  #device: Device | null = null;
  readonly #link = new LinkState();
  #moving = false;
  #closing = false;
  #comeback: Comeback | null = null;
  #cameBack: Promise<void> = Promise.resolve();
  readonly #calledOff = new AbortController();

  constructor(eal: Eal, name: string, log: Logger, options: SessionOptions) {
    this.#eal = eal;
    this.name = name;
    this.#log = log;
    this.#options = { ...options };
    // One that is being closed is reset by us.
    const up = () => (this.#state === "ready" || isActive(this.#state)) && !this.#moving && !this.#closing;
    const lost = () => this.#state === "gone" || this.#state === "reconnecting" || this.#moving;
    this.#service = new Service(
      {
        served: () => (lost() ? null : this.#device),
        watched: () => (up() ? this.#device : null),
        dead: () => this.#fault("the device has reset itself"),
      },
      name,
      log,
    );
  }

  /** The port that this is the session of. */
  bind(port: SessionPort): void {
    this.#port = port;
  }

  get state(): State {
    return this.#state;
  }
  /** Valid once opened, as long as the device is not brought up anew. */
  get resources(): Resources {
    return this.#need().resources!;
  }
  /** They wait while the device is away. */
  get requests(): Requests {
    return new Requests(this.#need().mailbox, this.resources.vsi.vsiId);
  }
  /** Of no use while the device is away: see settled(). */
  get transport(): Transport {
    return this.#need().transport;
  }
  /** What the device last said; down unless the queues are enabled. */
  get link() {
    return this.#link.get(this.#state === "running");
  }
  /** The device can be told things, at once or when it is back. */
  get isUp(): boolean {
    return this.#state === "ready" || this.#state === "running" || isAway(this.#state);
  }
  /** The data queues are enabled, or will be when the device is back. */
  get isStarted(): boolean {
    return this.#state === "running" || (isAway(this.#state) && this.#wishes.plan !== null);
  }
  /** For people: what there is between driver and device. */
  get status(): string {
    if (this.#state === "gone") return "gone";
    return this.#comeback?.text ?? (this.#state === "failed" ? "connected, the device has failed" : "connected");
  }
  has(cap: number): boolean {
    return (this.resources.caps & cap) !== 0;
  }

  /** Connects and brings the device up to "ready". Nothing is left behind when it rejects. */
  async open(): Promise<void> {
    this.#enter("open");
    try {
      const transport = await this.#connect(this.#options.path);
      const queue = new AdminQueue(this.#eal.arena, transport.bar0, this.name);
      const mailbox = new Mailbox(queue, this.#log, (event) => this.#onEvent(event));
      const { name } = this;
      this.#device = { eal: this.#eal, name, log: this.#log, queue, mailbox, transport, resources: null, bringUps: 0 };
      // One that somebody has left as it was does not begin anew by itself.
      if (await isAlive(transport.bar0)) await transport.reset(name);
      await bringUp(this.#device);
      this.#enter("opened");
      this.#service.start(!transport.interrupts);
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  /**
   * Live migration, driven by us: the device behind this session stands still, its state goes to another one behind `path`, and
   * that goes on. No burst may be under way. When it cannot be, the old device goes on and all is as before. At the old device's
   * own path another one is waited for, `waitMs` at most; when the old one went and none came, the search goes on.
   * @throws IavfError STATE, DEVICE, TIMEOUT, VfioUserError
   */
  async migrate(path: string, waitMs: number): Promise<void> {
    if (this.state !== "running" && this.state !== "ready")
      throw new IavfError("STATE", `${this.name}: cannot migrate while ${this.state}`);
    const device = this.#need();
    const { mailbox, transport: from } = device;
    const wait = path === this.#options.path ? waitMs : 0;
    if (wait > 0 && !this.#options.reconnect)
      throw new IavfError("STATE", `${this.name}: a migration to its own path needs reconnect=on`);
    const { signal } = this.#calledOff;
    this.#moving = true;
    try {
      await mailbox.whileIdle(async () => {
        this.#wishes.saved = await moveDevice(device, () => this.#connect(path, signal), wait, signal);
        if (this.#wishes.saved !== null) return;
        this.#options.path = path;
        this.#port?.rewire();
        from.close();
        this.#service.start(!device.transport.interrupts);
      });
    } finally {
      this.#moving = false;
      if (!device.transport.client.open && this.#state !== "closed") this.#onLost();
    }
    if (this.#state === "gone")
      throw new IavfError("GONE", `${this.name}: the server went away, and its device with it`);
    if (isAway(this.#state))
      await within(mailbox.settled(), wait, `${this.name}: no server has come to ${this.#options.path} yet`);
    await this.#service.interrupt(); // what was signalled meanwhile
  }

  /** Resets the device and brings it up again; for a device that has failed, or on the application's wish. */
  async reopen(): Promise<void> {
    if (this.#state === "gone" || this.#state === "closed")
      throw new IavfError("GONE", `${this.name}: the connection is gone; detach the device and attach it again`);
    const { mailbox } = this.#need();
    if (isAway(this.#state)) {
      this.#wishes.reset = true;
      await this.settled();
      if (!this.#wishes.reset) return;
    }
    if (this.#state !== "failed") this.#enter("fault");
    this.#enter("open");
    mailbox.close(new IavfError("GONE", `${this.name}: the device is being reset`));
    try {
      await this.transport.reset(this.name);
      await bringUp(this.#need());
      this.#enter("opened");
      this.#wishes.reset = false;
    } catch (error) {
      if (isAway(this.#state)) return this.reopen();
      this.#fault(reasonOf(error));
      throw error;
    }
  }

  /** Resolves when the device is not away. @throws IavfError GONE when it will not come back */
  async settled(): Promise<void> {
    if (isAway(this.#state)) await this.#need().mailbox.settled();
  }

  /**
   * Configures and enables the data queues. The rings are filled, and their tails written, before.
   * @throws IavfError RESET when the device was reset meanwhile: fill the rings again and try again
   */
  async start(plan: QueuePlan): Promise<void> {
    const device = this.#need();
    const { requests } = this;
    const { bringUps, mailbox } = device;
    this.#enter("start");
    this.#wishes.plan = plan;
    this.#wishes.configuring = true;
    try {
      await startQueues(device, requests, plan, (work) => mailbox.persist(() => work(device.transport)));
      if (device.bringUps === bringUps) this.#enter("started");
    } catch (error) {
      if (device.bringUps === bringUps) {
        // The device may have come half way; what it has enabled is disabled, and if there is nothing, it says so.
        this.#wishes.plan = null;
        if (this.#state === "starting") await this.#disable(plan, "refusal is fine");
        else if (isAway(this.#state)) this.#wishes.owed = plan;
        throw error;
      }
    } finally {
      this.#wishes.configuring = false;
    }
    if (device.bringUps !== bringUps) {
      this.#wishes.plan = null;
      await stopQueues(new Requests(mailbox.once(), this.resources.vsi.vsiId), plan, "refusal is fine").catch(() => {});
      throw new IavfError("RESET", `${this.name}: the device was reset while its queues were being configured`);
    }
    if (this.link.up) this.#port?.onLink();
  }

  /** Disables the data queues: when it resolves the device touches no buffer any more. Never rejects. */
  async stop(): Promise<void> {
    while (this.#state === "resuming") await new Promise((resolve) => setTimeout(resolve, 1));
    const { plan } = this.#wishes;
    this.#wishes.plan = null;
    if (this.#state === "reconnecting") {
      this.#wishes.owed ??= plan;
      await new Promise((resolve) => setTimeout(resolve, LET_GO_MS));
    }
    if (this.#state !== "running" || plan === null) return;
    this.#enter("stop");
    if (this.#link.down()) this.#port?.onLink();
    await this.#disable(plan, "must obey");
  }

  /** What waits for the device to come back waits no longer: close() is next. */
  abandon(): void {
    this.#closing = true;
    if (this.#moving) this.#calledOff.abort();
    if (!isAway(this.#state)) return;
    this.#calledOff.abort();
    this.#need().mailbox.close(new IavfError("GONE", `${this.name}: the device is being closed`));
  }

  /** Gives the device back reset and closes the connection; one that is away is looked for no longer. Never rejects. */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#closing = true;
    if (this.#state === "ready" || this.#state === "running") {
      try {
        const { mailbox } = this.#need();
        const requests = new Requests(mailbox.once(), this.resources.vsi.vsiId);
        await mailbox.untilLost(requests.resetVf().then(() => waitDisabled(this.transport.bar0)));
      } catch (error) {
        this.#log.debug(`${this.name}: reset at close: ${reasonOf(error)}`);
      }
    }
    this.#calledOff.abort();
    await this.#cameBack;
    this.#release();
  }

  /** Events count while the connection is this session's, so not those of one that never came to be. */
  async #connect(path: string, signal?: AbortSignal): Promise<Transport> {
    const known: { transport?: Transport } = {};
    const mine = () => this.#device !== null && this.#device.transport === known.transport;
    const events = {
      interrupt: () => void this.#service.interrupt(),
      lost: () => {
        if (mine()) this.#onLost();
      },
    };
    known.transport = await Transport.connect(this.#eal, path, this.name, this.#log, events, signal);
    return known.transport;
  }

  async #disable(plan: QueuePlan, rule: "must obey" | "refusal is fine"): Promise<void> {
    const { mailbox } = this.#need();
    const requests = new Requests(mailbox.once(), this.resources.vsi.vsiId);
    try {
      await mailbox.untilLost(stopQueues(requests, plan, rule));
      this.#enter("stopped");
    } catch (error) {
      if (isAway(this.#state)) this.#wishes.owed = plan;
      if (!isActive(this.#state)) return;
      this.#log.warning(`${this.name}: the device did not stop (${reasonOf(error)}); it is being reset`);
      this.#fault(reasonOf(error));
      // Buffers are freed after this: a device that cannot be reset must lose its memory.
      await this.transport.client.reset().catch(() => this.transport.client.close());
    }
  }

  #onEvent(msg: PfEvent): void {
    const { event } = msg;
    if (event === VIRTCHNL_EVENT.RESET_IMPENDING || event === VIRTCHNL_EVENT.PF_DRIVER_CLOSE) {
      this.#fault(`the device announced ${eventName(event)}`);
      return;
    }
    // Before the resources are known, their capabilities are those that were asked for.
    const mbps = this.#device?.resources == null || this.has(VF_CAP.ADV_LINK_SPEED);
    if (this.#link.hear(msg, mbps) && this.#state === "running") this.#port?.onLink();
  }

  #onLost(): void {
    const why = "the server closed the connection";
    if (this.#moving) return; // looked at afterwards
    const { mailbox } = this.#need();
    if (this.#state === "resuming")
      mailbox.suspend(); // what is under way fails, and is tried again
    else if (this.#closing) mailbox.close(new IavfError("GONE", `${this.name}: ${why}`));
    if (this.#state === "resuming" || this.#closing || this.#state === "gone") return;
    const wanted = this.#options.reconnect && this.#port !== null;
    if (wanted && next(this.#state, "cut") !== null) this.#lookFor(why);
    else if (next(this.#state, "lost") !== null) this.#down("gone", why);
  }

  #lookFor(why: string): void {
    const [device, port] = [this.#need(), this.#port!];
    const { mailbox } = device;
    if (this.#state === "opening" || this.#state === "failed") this.#wishes.reset = true;
    const link = this.link;
    this.#enter("cut");
    mailbox.open(); // of a device that had failed
    mailbox.suspend();
    port.onAway(why);
    if (link.up) port.onLink();
    this.#comeback = new Comeback({
      device,
      port: {
        rewire: () => port.rewire(),
        restore: (requests) => port.restore(requests),
        recovering: () => {
          this.#link.forget();
          port.recovering();
        },
      },
      wishes: this.#wishes,
      signal: this.#calledOff.signal,
      state: () => this.#state,
      enter: (event) => this.#enter(event),
      connect: (signal) => this.#connect(this.#options.path, signal),
      lostAgain: () => {
        mailbox.suspend();
        port.onAway(null);
      },
      back: (how, event) => this.#back(how, event),
    });
    this.#cameBack = this.#comeback.run().catch((error) => {
      this.#state = "failed";
      mailbox.close(new IavfError("GONE", `${this.name}: ${reasonOf(error)}`));
      this.#comeback = null;
      port.onRecoveryFailed(reasonOf(error));
    });
  }

  #back(how: How, event: Event): void {
    const { transport, mailbox } = this.#need();
    this.#comeback = null;
    this.#enter(event);
    this.#service.start(!transport.interrupts);
    mailbox.resume();
    this.#port!.onBack(how);
    if (this.link.up) this.#port!.onLink();
    void this.#service.interrupt();
  }

  #fault(why: string): void {
    if (next(this.#state, "fault") !== "failed" || this.#state === "failed" || isAway(this.#state)) return;
    this.#down("failed", why);
  }

  #down(state: "failed" | "gone", why: string): void {
    this.#state = state;
    this.#link.forget();
    this.#device?.mailbox.close(new IavfError("GONE", `${this.name}: ${why}`));
    this.#port?.onDown(state, why);
  }

  #release(): void {
    const device = this.#device;
    this.#service.stop();
    this.#state = "closed";
    this.#link.forget();
    this.#device = null;
    device?.mailbox.close(new IavfError("GONE", `${this.name}: the device is closed`));
    device?.transport.close();
    device?.queue.free();
  }

  #enter(event: Event): void {
    const state = next(this.#state, event);
    if (state === null) throw new IavfError("STATE", `${this.name}: cannot ${event} while ${stuck(this.#state)}`);
    this.#state = state;
  }

  #need(): Device {
    if (this.#device === null) throw new IavfError("STATE", `${this.name}: the device is not open`);
    return this.#device;
  }
}
