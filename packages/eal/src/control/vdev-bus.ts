// The bus of virtual devices: which driver serves a name, in which order devices are probed (a backend may stand before its
// provider on the command line: a driver's `after` names what must be there first) and removed (the reverse), and what
// happens when a probe fails (what the same call probed is removed again). Called by init.ts for the command line's
// devices and by consoles for `port attach` and `port detach`.
import { EalError, reason } from "../errors.ts";
import { type Devargs, parseDevargs } from "./devargs.ts";
import { checkDevargs, type DevargsSchema } from "./devargs-schema.ts";
import type { Eal } from "./init.ts";
import type { Logger } from "./log.ts";
import { dependencyOrder } from "./vdev-order.ts";

/** A driver on the vdev bus. */
export interface VdevDriver {
  /** The driver's name, for instance `net_avfbe`; devices are called `net_avfbe0`. */
  readonly name: string;
  readonly alias?: readonly string[];
  /** What its devargs may hold; checked before `probe`. */
  readonly params: DevargsSchema;
  /** The devices that have to be probed before `dev`, out of `all`. */
  after?(dev: VdevDevice, all: readonly VdevDevice[]): VdevDevice[];
  /** Brings the device up; a rejection's message reaches the user behind the device's name. */
  probe(dev: VdevDevice, eal: Eal): Promise<void>;
  /** Takes it away; never called after a failed probe, which cleans up after itself. */
  remove(dev: VdevDevice): Promise<void>;
}

/** A device on the vdev bus. */
export interface VdevDevice {
  readonly name: string;
  readonly driver: VdevDriver;
  readonly devargs: Devargs;
  /** The checked devargs; a driver narrows it by `dev.params as DevargsOf<typeof PARAMS>`. */
  readonly params: Readonly<Record<string, unknown>>;
  /** The driver's own. */
  private?: unknown;
}

export class VdevBus {
  readonly #drivers: VdevDriver[] = [];
  readonly #devices: VdevDevice[] = [];
  readonly #eal: () => Eal;
  readonly #log: Logger;
  /** Attaches and detaches run one after another. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(eal: () => Eal, log: Logger) {
    this.#eal = eal;
    this.#log = log;
  }

  register(driver: VdevDriver): void {
    for (const name of [driver.name, ...(driver.alias ?? [])])
      if (this.#find(name)) throw new EalError("VDEV", `a vdev driver named '${name}' is registered already`);
    this.#drivers.push(driver);
  }

  drivers(): readonly VdevDriver[] {
    return this.#drivers;
  }

  /** The probed devices, in the order they were probed. */
  devices(): readonly VdevDevice[] {
    return this.#devices;
  }

  find(name: string): VdevDevice | undefined {
    return this.#devices.find((dev) => dev.name === name);
  }

  /**
   * Probes one more device.
   * @throws EalError DEVARGS or VDEV; the device is not on the bus then
   */
  async attach(text: string): Promise<VdevDevice> {
    const [dev] = await this.attachAll([text]);
    return dev!;
  }

  /**
   * Probes devices in dependency order. When one fails, those that this call probed before are removed, the last first.
   * @returns the devices in the order of their texts
   */
  attachAll(texts: readonly string[]): Promise<VdevDevice[]> {
    return this.#serialize(async () => {
      const added = texts.map((text) => this.#make(text));
      this.#refuseDuplicates(added);
      const probed: VdevDevice[] = [];
      for (const dev of dependencyOrder(this.#devices, added)) {
        try {
          await dev.driver.probe(dev, this.#eal());
        } catch (error) {
          for (const done of probed.reverse()) await this.#remove(done).catch(() => {});
          throw new EalError("VDEV", `${dev.name}: probe failed: ${reason(error)}`, { cause: error });
        }
        this.#devices.push(dev);
        probed.push(dev);
        this.#log.debug(`probed ${dev.name}`);
      }
      return added;
    });
  }

  /**
   * Removes a device.
   * @throws EalError VDEV when there is none of that name, when others were probed on top of it, or when removal failed
   */
  detach(name: string): Promise<void> {
    return this.#serialize(async () => {
      const dev = this.find(name);
      if (dev === undefined) throw new EalError("VDEV", `there is no device '${name}'`);
      const users = this.#devices.filter((d) => d !== dev && d.driver.after?.(d, this.#devices).includes(dev));
      if (users.length > 0)
        throw new EalError("VDEV", `${name} is in use by ${users.map((d) => d.name).join(", ")}; detach it first`);
      await this.#remove(dev);
    });
  }

  /** Removes every device, the last probed first; failures are logged and do not stop the others. */
  removeAll(): Promise<void> {
    return this.#serialize(async () => {
      for (const dev of [...this.#devices].reverse()) await this.#remove(dev).catch(() => {});
    });
  }

  #make(text: string): VdevDevice {
    const devargs = parseDevargs(text);
    const driver = this.#find(devargs.driver) ?? this.#find(devargs.name);
    if (driver === undefined) {
      const names = this.#drivers.map((d) => d.name).join(", ") || "none";
      throw new EalError("VDEV", `${devargs.name}: no driver '${devargs.driver}'; there are ${names}`);
    }
    return { name: devargs.name, driver, devargs, params: checkDevargs(devargs, driver.params) };
  }

  #refuseDuplicates(added: readonly VdevDevice[]): void {
    const names = new Set(this.#devices.map((dev) => dev.name));
    for (const { name } of added) {
      if (names.has(name)) throw new EalError("VDEV", `${name}: there is a device of this name already`);
      names.add(name);
    }
  }

  async #remove(dev: VdevDevice): Promise<void> {
    try {
      await dev.driver.remove(dev);
    } catch (error) {
      this.#log.error(`${dev.name}: removal failed: ${reason(error)}`);
      throw new EalError("VDEV", `${dev.name}: removal failed: ${reason(error)}`, { cause: error });
    } finally {
      this.#devices.splice(this.#devices.indexOf(dev), 1);
    }
  }

  #find(name: string): VdevDriver | undefined {
    return this.#drivers.find((driver) => driver.name === name || driver.alias?.includes(name));
  }

  #serialize<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#last.then(job);
    this.#last = result.catch(() => {});
    return result;
  }
}
