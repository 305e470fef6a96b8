// The calls that "should only be called by back-end driver": rte_emu_subscribe_event to rte_emu_region_map of the RFC, by
// device id, each after a check of what can be checked without knowing the device type. They are legal in every state;
// what is not there yet is null (queue, vector, doorbell).
import type { AttrName, AttrValue, EmuDevAttrs } from "./attributes.ts";
import { attrIndex, checkAttr } from "./attributes.ts";
import { EmuDevError } from "./errors.ts";
import { type EmuDevEventChannel, EmuDevSubscription } from "./events.ts";
import type { EmuDevMemTable } from "./mem-table.ts";
import { regionBytes } from "./regions.ts";
import { deviceById } from "./registry.ts";
import type { EmuDevDbInfo, EmuDevInfo, EmuDevIrqInfo, EmuDevQueueInfo } from "./types.ts";

/**
 * Subscribes a channel, which the caller keeps, to a device's events from now on.
 * @throws EmuDevError EEXIST when it is subscribed already, ENODEV
 */
export async function emuSubscribeEvent(devId: number, channel: EmuDevEventChannel): Promise<void> {
  const dev = deviceById(devId);
  if (dev.subscriptions.some((known) => known.channel === channel))
    throw new EmuDevError("EEXIST", `${dev.name}: this event channel is subscribed already`);
  const subscription = new EmuDevSubscription(channel);
  dev.subscriptions.push(subscription);
  try {
    await dev.ops.subscribeEvent(dev, channel);
  } catch (error) {
    dev.subscriptions.splice(dev.subscriptions.indexOf(subscription), 1);
    subscription.close();
    throw error;
  }
}

/** Ends a subscription; messages it has not answered count as answered. Throws EmuDevError ENOENT when there is none. */
export async function emuUnsubscribeEvent(devId: number, channel: EmuDevEventChannel): Promise<void> {
  const dev = deviceById(devId);
  const index = dev.subscriptions.findIndex((known) => known.channel === channel);
  if (index < 0) throw new EmuDevError("ENOENT", `${dev.name}: this event channel is not subscribed`);
  const [subscription] = dev.subscriptions.splice(index, 1);
  subscription!.close();
  await dev.ops.unsubscribeEvent(dev, channel);
}

/** Answers a message of the channel's ring: what it asked for is done. Throws EmuDevError ENOENT for an unknown message. */
export function emuEventDone(devId: number, channel: EmuDevEventChannel, message: number): void {
  const dev = deviceById(devId);
  const subscription = dev.subscriptions.find((known) => known.channel === channel);
  if (!subscription?.answer(message))
    throw new EmuDevError("ENOENT", `${dev.name}: no event 0x${message.toString(16)} waits for this channel's answer`);
}

export function emuGetDevInfo(devId: number): EmuDevInfo {
  const dev = deviceById(devId);
  return dev.ops.getDevInfo(dev);
}

export function emuGetMemTable(devId: number): EmuDevMemTable {
  const dev = deviceById(devId);
  return dev.ops.getMemTable(dev);
}

/**
 * @param queue 2i = receive queue i of the guest, 2i+1 = its transmit queue i
 * @returns null while the guest has not set it up
 * @throws EmuDevError EINVAL for a queue the device does not have
 */
export function emuGetQueueInfo(devId: number, queue: number): EmuDevQueueInfo | null {
  const dev = deviceById(devId);
  const queues = dev.ops.getDevInfo(dev).maxQpNum * 2;
  if (!Number.isInteger(queue) || queue < 0 || queue >= queues)
    throw new EmuDevError("EINVAL", `${dev.name}: there is no queue ${queue}; it has ${queues}`);
  return dev.ops.getQueueInfo(dev, queue);
}

/** Throws EmuDevError EINVAL for a vector the device does not have. */
export function emuGetIrqInfo(devId: number, vector: number): EmuDevIrqInfo | null {
  const dev = deviceById(devId);
  const vectors = dev.ops.getDevInfo(dev).maxEventNum;
  if (!Number.isInteger(vector) || vector < 0 || vector >= vectors)
    throw new EmuDevError("EINVAL", `${dev.name}: there is no vector ${vector}; it has ${vectors}`);
  return dev.ops.getIrqInfo(dev, vector);
}

export function emuGetDbInfo(devId: number, doorbell: number): EmuDevDbInfo | null {
  const dev = deviceById(devId);
  return dev.ops.getDbInfo(dev, doorbell);
}

/** Sets an attribute as the backend. Throws EmuDevError ENOENT, EPERM or EINVAL (name, writer, type). */
export async function emuSetAttr(devId: number, name: AttrName, value: AttrValue): Promise<void> {
  const dev = deviceById(devId);
  checkAttr(name, value, "backend");
  await dev.ops.setAttr(dev, name, value);
}

/** Throws EmuDevError ENOENT for an unknown name. */
export function emuGetAttr<K extends AttrName>(devId: number, name: K): EmuDevAttrs[K] {
  const dev = deviceById(devId);
  attrIndex(name);
  return dev.ops.getAttr(dev, name);
}

/**
 * Lends the device a region of the backend's memory, or takes the loan back.
 * @param name of regions.ts; bytes: its size there
 * @param base arena offset, or null to end the loan
 * @throws EmuDevError ENOENT for an unknown name, EINVAL for another size or a base that is not 8-byte aligned
 */
export function emuRegionMap(devId: number, name: string, bytes: number, base: number | null): void {
  const dev = deviceById(devId);
  const wanted = regionBytes(name);
  if (bytes !== wanted)
    throw new EmuDevError("EINVAL", `${dev.name}: region '${name}' is ${wanted} bytes, not ${bytes}`);
  if (base !== null && (!Number.isInteger(base) || base <= 0 || base % 8 !== 0 || base + bytes > 2 ** 32))
    throw new EmuDevError(
      "EINVAL",
      `${dev.name}: region '${name}' at ${base}: expected an arena offset of 8-byte alignment`,
    );
  dev.ops.regionMap(dev, name, bytes, base);
}
