// What the device tells its backend, through the event channels of the emudev class: queues, resets, attributes, memory, clients.
// Every promise resolves when each subscriber has answered, at once without one, and none rejects: a failure to tell is a
// bug of ours and logged.
import type { Logger } from "@emudev/eal";
import {
  type AttributeStore,
  type AttrName,
  type AttrValue,
  EMU_DEV_EVENT_ATTR_CHANGE,
  EMU_DEV_EVENT_MEM_CHANGE,
  EMU_DEV_EVENT_QUEUE_DISABLE,
  EMU_DEV_EVENT_QUEUE_ENABLE,
  type EmuDev,
  emuNotify,
} from "@emudev/emudev";

export class Backend {
  readonly #dev: EmuDev;
  readonly #attributes: AttributeStore;
  readonly #log: Logger;
  /** A MEM_CHANGE is on its way; maps that came after it need another. */
  #telling = false;
  #moreMaps = false;

  constructor(dev: EmuDev, attributes: AttributeStore, log: Logger) {
    this.#dev = dev;
    this.#attributes = attributes;
    this.#log = log;
  }

  /** Somebody subscribes to the device's events. */
  get present(): boolean {
    return this.#dev.subscriptions.length > 0;
  }

  async tell(event: number, arg = 0): Promise<void> {
    if (!this.present) return; // also a device that was released meanwhile
    try {
      await emuNotify(this.#dev, event, arg);
    } catch (error) {
      this.#log.error(`${this.#dev.name}: event ${event} could not be sent: ${(error as Error)?.message ?? error}`);
    }
  }

  /** Queues by their numbers in emudev: the guest has enabled them. */
  async enable(numbers: readonly number[]): Promise<void> {
    await Promise.all(numbers.map((number) => this.tell(EMU_DEV_EVENT_QUEUE_ENABLE, number)));
  }

  /** Resolves when no lcore touches the queues any longer. */
  async disable(numbers: readonly number[]): Promise<void> {
    await Promise.all(numbers.map((number) => this.tell(EMU_DEV_EVENT_QUEUE_DISABLE, number)));
  }

  /** Sets an attribute of the provider's. */
  async setAttr(name: AttrName, value: AttrValue): Promise<void> {
    const unchanged = same(this.#attributes.get(name), value);
    const index = this.#attributes.set(name, value);
    if (!unchanged) await this.tell(EMU_DEV_EVENT_ATTR_CHANGE, index);
  }

  /** The memory table changed. Maps come in batches: one event tells of all that came while the last was under way. */
  memoryChanged(): void {
    this.#moreMaps = true;
    if (this.#telling) return;
    this.#telling = true;
    void this.#tellMaps();
  }

  async #tellMaps(): Promise<void> {
    while (this.#moreMaps) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#moreMaps = false;
      await this.tell(EMU_DEV_EVENT_MEM_CHANGE);
    }
    this.#telling = false;
  }
}

/** Equal values, or lists of equal numbers. */
function same(a: AttrValue, b: AttrValue): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const items = Array.from<unknown>(b);
  return a.length === items.length && Array.from<unknown>(a).every((item, i) => item === items[i]);
}
