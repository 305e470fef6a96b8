// Live migration of the device (MIGRATION of vfio-user's DEVICE_FEATURE): stand still, give the state as bytes, take one, go on.
// In "stop" the backend has let go of the queues and left their positions, the admin queues rest between two commands, and
// vectors keep what is raised; registers and doorbells can still be written and take effect later. The server walks the arcs
// (device.ts says which there are), one at a time.
import type { Logger } from "@emudev/eal";
import type { DirtyLog } from "@emudev/emudev";
import {
  type DeviceState,
  type DirtyLogOps,
  ERRNO,
  MIGRATION_FLAG,
  type MigrationOps,
  refusal,
} from "@emudev/vfio-user";
import type { AvfDevice } from "./device.ts";
import { decodeState, encodeState, STATE_BYTES_MAX } from "./state/avf-state.ts";
import { misfit, putState, takeState } from "./state/snapshot.ts";
import { enabledQueues } from "./vf.ts";

const NO_BYTES = new Uint8Array(0);

export class Migration implements MigrationOps {
  readonly flags = MIGRATION_FLAG.STOP_COPY;
  readonly #device: AvfDevice;
  readonly #log: Logger;
  #state: DeviceState = "running";
  /** What is left to be given. */
  #out: Uint8Array = NO_BYTES;
  #in: Uint8Array[] = [];
  #inBytes = 0;

  constructor(device: AvfDevice, log: Logger) {
    this.#device = device;
    this.#log = log;
  }

  /** The device stands still: nobody is told of its queues. */
  get stopped(): boolean {
    return this.#state !== "running";
  }

  async setState(to: DeviceState): Promise<void> {
    switch (`${this.#state} ${to}`) {
      case "running stop":
        await this.#stop();
        break;
      case "stop running":
        this.#state = "running"; // before the backend asks for the queues
        await this.#run();
        break;
      case "stop stopCopy":
        this.#out = encodeState(takeState(this.#device));
        break;
      case "stop resuming":
        await this.#device.resets.deviceReset();
        this.#in = [];
        this.#inBytes = 0;
        break;
      case "resuming stop":
        await this.#load();
        break;
    }
    if (to !== "stopCopy") this.#out = NO_BYTES;
    this.#state = to;
    this.#device.keeper?.save();
  }

  save(max: number): Uint8Array {
    const part = this.#out.subarray(0, max);
    this.#out = this.#out.subarray(part.length);
    return part;
  }

  load(data: Uint8Array): void {
    if (this.#inBytes + data.length > STATE_BYTES_MAX)
      throw refusal(ERRNO.EFBIG, `a device state of more than ${STATE_BYTES_MAX} bytes`);
    this.#in.push(data);
    this.#inBytes += data.length;
  }

  /** The device was reset, or another client has it: it runs. */
  reset(): void {
    this.#state = "running";
    this.#out = NO_BYTES;
    this.#in = [];
    this.#inBytes = 0;
    this.#device.interrupts.release();
    this.#device.admin.resume();
  }

  async #stop(): Promise<void> {
    const { resets, admin, interrupts, backend } = this.#device;
    await resets.settled();
    await admin.pause();
    await interrupts.hold();
    this.#state = "stop"; // from here on the backend finds no queue to take up
    await backend.disable(enabledQueues(this.#device.vf));
  }

  async #run(): Promise<void> {
    const { admin, interrupts, backend, link } = this.#device;
    await backend.enable(enabledQueues(this.#device.vf));
    interrupts.release();
    admin.resume();
    link.update();
  }

  async #load(): Promise<void> {
    const decoded = decodeState(Buffer.concat(this.#in));
    const wrong = "wrong" in decoded ? decoded.wrong : misfit(this.#device, decoded.state);
    if (wrong !== null || !("state" in decoded)) throw refusal(ERRNO.EINVAL, `${this.#device.name}: ${wrong}`);
    await putState(this.#device, decoded.state);
    this.#log.info(`${this.#device.name}: has the state of another device (${this.#inBytes} bytes)`);
    this.#in = [];
    this.#inBytes = 0;
  }
}

/** Pages of 4 KiB to 1 GiB. */
const PAGE_SIZES = 0x7ffff000n;

/** All memory is logged whatever ranges are asked for. */
export function dirtyLogOf(log: DirtyLog): DirtyLogOps {
  return {
    pageSizes: PAGE_SIZES,
    start: () => log.start(),
    stop: () => log.stop(),
    report: (iova, size, pageSize, bitmap) => log.report(iova, size, pageSize, bitmap),
  };
}
