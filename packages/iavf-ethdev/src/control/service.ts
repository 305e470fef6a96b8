// What a device that is up is served with, besides requests: its admin messages when vector 0 fires (or an alarm where there
// is none), and a look every second at whether it still has its admin queue, as Linux's watchdog takes. Made by session.ts.
import type { Logger } from "@emudev/eal";
import type { Device } from "./device.ts";
import { reasonOf } from "./errors.ts";
import { armAdminVector, isAlive } from "./handshake.ts";

const WATCHDOG_MS = 1000;
const ALARM_MS = 50;

export interface ServiceHost {
  /** The device, null while there is none to be served. */
  served(): Device | null;
  /** The device, null while it is not up. */
  watched(): Device | null;
  /** It has lost its admin queue. */
  dead(): void;
}

export class Service {
  readonly #host: ServiceHost;
  readonly #log: Logger;
  readonly #name: string;
  #timers: NodeJS.Timeout[] = [];
  #interrupted = false;
  #serving = false;

  constructor(host: ServiceHost, name: string, log: Logger) {
    this.#host = host;
    this.#name = name;
    this.#log = log;
  }

  /** @param alarm the device has no vector; begins anew when it was started */
  start(alarm: boolean): void {
    this.stop();
    this.#timers.push(setInterval(() => void this.#watch(), WATCHDOG_MS));
    if (alarm) this.#timers.push(setInterval(() => void this.interrupt(), ALARM_MS));
    for (const timer of this.#timers) timer.unref();
  }

  stop(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  /** However often the device signals, one service is under way and at most one more follows. */
  async interrupt(): Promise<void> {
    this.#interrupted = true;
    if (this.#serving) return;
    this.#serving = true;
    try {
      for (let device = this.#host.served(); this.#interrupted && device !== null; device = this.#host.served()) {
        this.#interrupted = false;
        await this.#serve(device);
      }
    } catch (error) {
      this.#log.debug(`${this.#name}: interrupt: ${reasonOf(error)}`);
    } finally {
      this.#serving = false;
    }
  }

  /** Armed before the queue is looked at: a message that comes in between is found, one that comes later interrupts. */
  async #serve({ transport: { bar0, interrupts }, mailbox }: Device): Promise<void> {
    await bar0.read("VFINT_ICR01");
    if (interrupts) await armAdminVector(bar0);
    await mailbox.poll();
  }

  async #watch(): Promise<void> {
    const device = this.#host.watched();
    if (device === null) return;
    const { transport } = device;
    try {
      const alive = await isAlive(transport.bar0);
      if (!alive && this.#host.watched()?.transport === transport) this.#host.dead();
    } catch (error) {
      this.#log.debug(`${this.#name}: watchdog: ${reasonOf(error)}`);
    }
  }
}
