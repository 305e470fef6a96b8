// Where one client has brought the device's migration to: its state, the way from one state to another, and which of
// the data commands the state allows. Made for each client that gets a device with `migration`; used by
// commands/feature.ts, commands/mig-data.ts and whatever depends on the state.

import { isExpected, refusal, VfioUserError } from "../errors.ts";
import { ERRNO } from "../wire/constants.ts";
import type { DeviceState, MigrationOps } from "./device.ts";
import { shortestPath } from "./migration-states.ts";

export class Migration {
  readonly flags: number;
  #ops: MigrationOps;
  #state: DeviceState = "running";

  constructor(ops: MigrationOps) {
    this.#ops = ops;
    this.flags = ops.flags;
  }

  get state(): DeviceState {
    return this.#state;
  }

  /** Registers must not change any more, since they are being saved. */
  get frozen(): boolean {
    return this.#state === "stopCopy";
  }

  /**
   * Walks the device to a state. When an arc fails, the device stays in the state that it has reached, or is in "error"
   * when its callback says so or has a bug. @throws EINVAL where no way leads, else what the callback threw
   */
  async setState(goal: DeviceState): Promise<void> {
    const path = shortestPath(this.#state, goal, this.flags);
    if (path === null) throw refusal(ERRNO.EINVAL, `there is no way from state ${this.#state} to ${goal}`);
    for (const next of path) {
      try {
        await this.#ops.setState(next);
      } catch (error) {
        if (!isExpected(error) || isLost(error)) this.#state = "error";
        throw error;
      }
      this.#state = next;
    }
  }

  /** The device has been reset. */
  reset(): void {
    this.#state = "running";
  }

  async save(max: number): Promise<Uint8Array> {
    if (this.#state !== "preCopy" && this.#state !== "preCopyP2p" && this.#state !== "stopCopy") {
      throw refusal(ERRNO.EINVAL, `there is nothing to read in state ${this.#state}`);
    }
    const data = await this.#ops.save(max);
    if (data.length > max) throw new TypeError(`save gave ${data.length} bytes where ${max} were asked for`);
    return data;
  }

  async load(data: Uint8Array): Promise<void> {
    if (this.#state !== "resuming") throw refusal(ERRNO.EINVAL, `nothing can be written in state ${this.#state}`);
    await this.#ops.load(data);
  }
}

function isLost(error: unknown): boolean {
  return error instanceof VfioUserError && error.code === "VFU_STATE_LOST";
}
