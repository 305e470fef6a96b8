// A device as a session has it, and what is done to it in one go wherever it comes from: brought up after a reset, its data
// queues started and stopped. Called by session.ts for the application, and by resume.ts for a device that has come back.
import { type QueuePairInfo, VF_CAP } from "@emudev/avf";
import type { Eal, Logger } from "@emudev/eal";
import type { AdminQueue } from "./admin-queue.ts";
import { IavfError } from "./errors.ts";
import { handshake, type Resources, setWriteBack } from "./handshake.ts";
import type { Mailbox } from "./mailbox.ts";
import { type QueueMask, Requests } from "./requests.ts";
import type { Transport } from "./transport.ts";

export interface Device {
  readonly eal: Eal;
  readonly name: string;
  readonly log: Logger;
  readonly queue: AdminQueue;
  readonly mailbox: Mailbox;
  /** The connection; of no use any more while another one is looked for. */
  transport: Transport;
  resources: Resources | null;
  /** How often it was brought up. */
  bringUps: number;
}

/** What starting tells the device. */
export interface QueuePlan {
  pairs: QueuePairInfo[];
  queues: QueueMask;
  /** The port's own address first. */
  macs: readonly Uint8Array[];
}

/** From a device that may be in reset to one whose admin queue works. @throws IavfError, VfioUserError */
export async function bringUp(device: Device): Promise<void> {
  device.bringUps++;
  device.resources = await handshake(device.transport.bar0, device.queue, device.mailbox, device.name);
}

/**
 * Configures and enables the data queues.
 * @param registers does something with the connection's registers and doorbells
 */
export async function startQueues(
  device: Device,
  requests: Requests,
  plan: QueuePlan,
  registers: (work: (transport: Transport) => Promise<void>) => Promise<void>,
): Promise<void> {
  await registers(({ doorbells }) => doorbells.flush(true));
  await requests.addMacs(plan.macs);
  await requests.configureQueues(plan.pairs);
  await requests.mapVectors(plan.queues);
  const { caps } = device.resources!;
  if ((caps & VF_CAP.WB_ON_ITR) !== 0) await registers(({ bar0 }) => setWriteBack(bar0));
  await requests.enableQueues(plan.queues);
}

/**
 * Disables the data queues.
 * @param rule whether it is fine when the device refuses, since it may know of no queues
 */
export async function stopQueues(
  requests: Requests,
  plan: QueuePlan,
  rule: "must obey" | "refusal is fine",
): Promise<void> {
  const accept = (error: unknown): void => {
    if (rule === "must obey" || !isRefusal(error)) throw error;
  };
  await requests.disableQueues(plan.queues).catch(accept);
  await requests.deleteMacs(plan.macs).catch(accept);
}

/** Requests that go past those which wait for the device to come back. */
export const directRequests = ({ mailbox, resources }: Device): Requests =>
  new Requests(mailbox.direct, resources!.vsi.vsiId);

export const isRefusal = (error: unknown): boolean => error instanceof IavfError && error.code === "REFUSED";
