// The driver's virtchnl messages: each is dispatched, answered on the receive queue, and what follows the answer (an event, a
// reset) is done. The context that handlers work in is made here, over the device. Called by the admin send queue, one
// message at a time.
import { opName, VIRTCHNL_OP, VIRTCHNL_STATUS } from "@emudev/avf";
import type { Logger } from "@emudev/eal";
import type { AvfDevice } from "./device.ts";
import { resetEvent } from "./link.ts";
import { frameMax } from "./params.ts";
import { enabledQueues, queueOf } from "./vf.ts";
import type { Reply, VirtchnlContext } from "./virtchnl/context.ts";
import { dispatch } from "./virtchnl/dispatch.ts";

const NO_DATA = new Uint8Array(0);
/** How long a warning of a reset may take to reach a driver that has no buffer for it. */
const WARNING_MS = 20;

export class Mailbox {
  readonly #device: AvfDevice;
  readonly #log: Logger;
  readonly #context: VirtchnlContext;

  constructor(device: AvfDevice, log: Logger) {
    this.#device = device;
    this.#log = log;
    this.#context = makeContext(device);
  }

  /** Deals with one message. Does not reject. */
  async message(op: number, data: Uint8Array): Promise<void> {
    const device = this.#device;
    const { vf } = device;
    const fault = device.faults.take(op);
    if (fault?.kind === "refuse") device.admin.send(op, fault.status, NO_DATA);
    if (fault !== null && fault.kind !== "delay") return;
    const reply = await this.#reply(op, data);
    if (reply === null || vf !== device.vf) return; // a reset came between: nobody waits for it
    device.keeper?.save();
    if (fault === null) this.#answer(op, reply);
    else setTimeout(() => vf === device.vf && this.#answer(op, reply), fault.ms).unref();
  }

  #answer(op: number, reply: Reply): void {
    this.#device.admin.send(op, reply.status, reply.data ?? NO_DATA);
    reply.after?.();
  }

  /** A bug in a handler is logged and costs this driver an error, not every guest of the process its network. */
  async #reply(op: number, data: Uint8Array): Promise<Reply | null> {
    const { counters, name } = this.#device;
    try {
      return await dispatch(this.#context, op, data, counters);
    } catch (error) {
      this.#log.error(`${name}: virtchnl ${opName(op)} failed: ${(error as Error)?.stack ?? error}`);
      return { status: VIRTCHNL_STATUS.ERR_ADMIN_QUEUE_ERROR };
    }
  }
}

function makeContext(device: AvfDevice): VirtchnlContext {
  const { backend, doorbells, link, params, vectors } = device;
  return {
    get vf() {
      return device.vf;
    },
    pairsMax: params.queues,
    vectors,
    frameMax: frameMax(params.mtu),
    mac: () => device.attributes.get("mac"),
    stats: () => device.stats(),
    setAttr: (name, value) => backend.setAttr(name, value),
    async queuesEnabled(numbers) {
      const queues = numbers.map((number) => queueOf(device.vf, number)!);
      const resumed = queues.filter((queue) => queue.resume);
      queues.forEach((queue, i) => {
        if (!queue.resume) device.positions.set(numbers[i]!, 0);
        queue.resume = false;
      });
      device.keeper?.save(); // enabled before it moves: after a crash it goes on at its position
      await backend.enable(numbers.filter((number) => !device.faults.stalled.has(number)));
      for (const vector of new Set(resumed.map((queue) => queue.vector))) device.interrupts.nudge(vector);
    },
    queuesDisabled: (numbers) => backend.disable(numbers),
    clearTails(numbers) {
      for (const number of numbers) doorbells.clearTail(number);
    },
    introduced: () => link.introduce(),
    queuesChanged() {
      if (enabledQueues(device.vf).length > 0) link.update();
      else link.forget();
    },
    resetVf: () => device.resets.vfReset(),
    async changePairs(pairs) {
      const { vf } = device;
      device.admin.send(VIRTCHNL_OP.EVENT, 0, resetEvent());
      const late = new Promise((resolve) => setTimeout(resolve, WARNING_MS));
      await Promise.race([device.admin.idle(), late]);
      if (vf !== device.vf) return;
      device.pairs = pairs;
      device.resets.vfReset();
    },
    vectorsMapped: () => device.mapItrRegisters(),
  };
}
