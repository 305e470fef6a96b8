// When the state of a device goes to its file (`state=`), and what becomes of the device when its client leaves. A state is
// saved before the answer to whatever changed it goes out: device.ts calls `save` at the end of register writes, mailbox.ts
// before a reply, migration.ts after a change of state. Doorbells, and positions of queues, need no saving. A device
// without `state=` has no keeper.
import type { Logger } from "@emudev/eal";
import type { AvfDevice } from "../device.ts";
import { EmuIavfError } from "../errors.ts";
import { enabledQueues, queueOf } from "../vf.ts";
import { misfit, putState, takeState } from "./snapshot.ts";
import type { StateFile } from "./state-file.ts";

export class Keeper {
  readonly #device: AvfDevice;
  readonly #file: StateFile;
  readonly #log: Logger;
  /** The device has what the file holds. */
  #restored = false;
  /** The log says it once, until it works again. */
  #failed = false;

  constructor(device: AvfDevice, file: StateFile, log: Logger) {
    this.#device = device;
    this.#file = file;
    this.#log = log;
  }

  /**
   * Gives the device, which is new, the state of the file. Its queues go on when the driver enables them.
   * @throws EmuIavfError STATE_MISFIT when the state is another device's
   */
  async restore(): Promise<void> {
    const { found, path } = this.#file;
    this.#restored = found === null;
    if (found === null) return;
    const wrong = misfit(this.#device, found);
    if (wrong !== null)
      throw new EmuIavfError(
        "STATE_MISFIT",
        `state file ${path}: ${wrong}; give the device the arguments that it had, or remove the file to begin anew`,
      );
    await putState(this.#device, found, true);
    await this.#rest();
    this.#restored = true;
    this.#log.info(`${this.#device.name}: goes on with the state of ${path}`);
  }

  /** The state as it is now is kept from here on. */
  save(): void {
    const device = this.#device;
    if (device.resets.state !== "active") return; // the end of the reset does it
    try {
      this.#file.save({ ...takeState(device), backlog: [] });
      this.#failed = false;
    } catch (error) {
      if (this.#failed) return;
      this.#failed = true;
      const why = (error as Error).message;
      this.#log.error(`${device.name}: the state cannot be saved, and would be lost with this process: ${why}`);
    }
  }

  /** A window of the arena has lost its file (`--sigbus-guard`). */
  windowLost(off: number, bytes: number): void {
    if (this.#file.lostWith(off, bytes)) this.save(); // which says why it cannot
  }

  /** The device is as after power-on. */
  forget(): void {
    this.#file.forget();
  }

  /** The client has left; its memory is still there. The device stands still when it resolves, and keeps what it is. */
  async clientLeft(): Promise<void> {
    const { resets, admin } = this.#device;
    await resets.settled();
    await admin.rest();
    await resets.settled(); // that the last command began
    await this.#rest();
    if (this.#file.holds) this.save();
    if (!this.#file.lost) return;
    this.#log.warning(`${this.#device.name}: ${this.#file.path} was removed; the state will be lost with this process`);
  }

  close(): void {
    if (this.#restored && this.#file.holds) this.save(); // counters of the backend
    this.#file.close();
  }

  /** Nobody works on the queues, and the driver is to say when to go on. */
  async #rest(): Promise<void> {
    const { vf, admin, backend, link } = this.#device;
    const numbers = enabledQueues(vf);
    for (const number of numbers) Object.assign(queueOf(vf, number)!, { enabled: false, resume: true });
    await admin.rest();
    await backend.disable(numbers);
    link.forget();
  }
}
