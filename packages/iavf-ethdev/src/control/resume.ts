// Takes a device up again behind a new connection. A device that was kept (its admin queues are as we set them up) goes on:
// admin queues anew, tails into the new doorbell pages, ENABLE_QUEUES, which begins at the positions that the device has kept.
// One that was reset is brought up and configured as DPDK's iavf does in auto_reset. Called by session.ts, while no burst is
// under way and requests wait.
import { ICR0_ADMINQ } from "@emudev/avf";
import { VfioUserError } from "@emudev/vfio-user";
import { bringUp, type Device, directRequests, isRefusal, type QueuePlan, startQueues, stopQueues } from "./device.ts";
import { IavfError, reasonOf } from "./errors.ts";
import { armAdminVector, isAlive } from "./handshake.ts";
import { loadDevice } from "./migration.ts";
import type { Requests } from "./requests.ts";

/** What the application wants of the device, as it changes meanwhile. */
export interface Wishes {
  /** The queues that are started, null = none. */
  plan: QueuePlan | null;
  /** Queues that were stopped and that the device may still have. */
  owed: QueuePlan | null;
  /** The queues are just being configured by somebody whose requests wait. */
  configuring: boolean;
  /** The device is to be reset, whether or not it was kept. */
  reset: boolean;
  /** The state of the device that is migrated: what comes takes it. */
  saved: readonly Uint8Array[] | null;
}

/** The port's part. */
export interface Restorer {
  /** The doorbells are others: tells the queues, and writes the tails of those that have been filled. */
  rewire(): void;
  /** The device has forgotten everything. */
  recovering(): void;
  /** Configures the device; empties and fills the rings. Returns what is to be started. */
  restore(requests: Requests): Promise<QueuePlan>;
}

/** "resumed" as it was, or "recovered" from a reset. @throws IavfError, VfioUserError */
export async function takeUp(device: Device, wishes: Wishes, port: Restorer): Promise<"resumed" | "recovered"> {
  const { queue, log, name, transport } = device;
  queue.rebind(transport.bar0);
  if (wishes.saved !== null && !wishes.reset) {
    if (await loads(device, wishes.saved)) {
      wishes.saved = null;
      await resume(device, wishes, port, "runs");
      return "resumed";
    }
    wishes.saved = null;
    await transport.reset(name);
  } else if (!wishes.reset && (await queue.isKept())) {
    try {
      await setUpAdminQueue(device);
      await resume(device, wishes, port, "waits");
      return "resumed";
    } catch (error) {
      if (!isRefusal(error)) throw error;
      log.warning(`${name}: the device does not go on where it was: ${reasonOf(error)}; it is being reset`);
      await transport.reset(name);
    }
  } else if (wishes.reset || (await isAlive(transport.bar0))) {
    await transport.reset(name);
  }
  await recover(device, wishes, port);
  return "recovered";
}

/** False when the device does not take the state. */
async function loads({ transport, log, name }: Device, saved: readonly Uint8Array[]): Promise<boolean> {
  try {
    await loadDevice(transport.client, saved);
    return true;
  } catch (error) {
    if (!(error instanceof VfioUserError && error.code === "VFU_REFUSED")) throw error;
    log.warning(
      `${name}: the device does not take the state of its predecessor: ${reasonOf(error)}; it is being reset`,
    );
    return false;
  }
}

/** @param queues whether the device "runs" them already or "waits" for ENABLE_QUEUES */
async function resume(device: Device, wishes: Wishes, port: Restorer, queues: "runs" | "waits"): Promise<void> {
  const { transport, mailbox } = device;
  mailbox.listen();
  port.rewire();
  await transport.doorbells.flush(true);
  const requests = directRequests(device);
  const { plan, owed, configuring } = wishes;
  if (plan !== null && !configuring && queues === "waits") await requests.enableQueues(plan.queues);
  if (owed !== null) await stopQueues(requests, owed, "refusal is fine");
  wishes.owed = null;
}

/** With nothing of the old queues left: what the device had still to say is asked again. */
async function setUpAdminQueue({ queue, transport: { bar0 } }: Device): Promise<void> {
  await queue.turnOff();
  await queue.init();
  await bar0.write("VFINT_ICR0_ENA1", ICR0_ADMINQ);
  await armAdminVector(bar0);
}

async function recover(device: Device, wishes: Wishes, port: Restorer): Promise<void> {
  port.recovering();
  const before = device.resources!.numQueuePairs;
  await bringUp(device);
  wishes.reset = false;
  wishes.owed = null;
  const { numQueuePairs } = device.resources!;
  if (numQueuePairs < before)
    throw new IavfError(
      "DEVICE",
      `${device.name}: the device came back with ${numQueuePairs} queue pairs of ${before}`,
    );
  const requests = directRequests(device);
  port.rewire();
  const plan = await port.restore(requests);
  if (wishes.plan === null || wishes.configuring) return;
  wishes.plan = plan;
  await startQueues(device, requests, plan, (work) => work(device.transport));
}
