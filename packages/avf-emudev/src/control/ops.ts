// The device as the emudev class sees it: the fourteen operations of a provider (rte_emudev.h) over an AvfDevice. Queue 2 i is
// the guest's receive queue i, 2 i + 1 its transmit queue i; doorbells have the queues' numbers; vectors are MSI-X vectors.
import { type AvfQueuePriv, type RxQueueInfo, rxQueueNumber, type TxQueueInfo, txQueueNumber } from "@emudev/avf";
import {
  type AttrName,
  type AttrValue,
  EMU_DEV_EVENT_DEV_START,
  EMU_DEV_EVENT_DEV_STOP,
  type EmuDev,
  type EmuDevOps,
  type EmuDevQueueInfo,
} from "@emudev/emudev";
import type { AvfDevice } from "./device.ts";
import { type QueueState, queueOf } from "./vf.ts";

const deviceOf = (dev: EmuDev): AvfDevice => dev.privData as AvfDevice;

const rxPriv = (queue: number, info: RxQueueInfo): AvfQueuePriv => ({
  kind: "rx",
  queue,
  ringLen: info.ringLen,
  dataBufferSize: info.dataBufferSize,
  maxPktSize: info.maxPktSize,
  crcDisable: info.crcDisable !== 0,
  rxdid: info.rxdid,
});

function queueInfo(device: AvfDevice, number: number): EmuDevQueueInfo | null {
  if (device.migration.stopped) return null;
  const queue = queueOf(device.vf, number);
  if (queue === undefined || queue.info === null || !queue.enabled) return null;
  const pair = number >> 1;
  const receives = number === rxQueueNumber(pair);
  const priv: AvfQueuePriv = receives
    ? rxPriv(pair, (queue as QueueState<RxQueueInfo>).info!)
    : { kind: "tx", queue: pair, ringLen: (queue as QueueState<TxQueueInfo>).info!.ringLen };
  return {
    base: queue.info.ringAddr,
    size: queue.info.ringLen,
    doorbellId: receives ? rxQueueNumber(pair) : txQueueNumber(pair),
    irqVector: queue.vector,
    position: device.positions.of(number),
    priv,
  };
}

/** An attribute set by the backend, or in its stead when it has left. */
function backendSets(device: AvfDevice, name: AttrName, value: AttrValue): void {
  device.attributes.set(name, value, "backend");
  device.link.update();
}

export const ops: EmuDevOps = {
  async devStart(dev) {
    deviceOf(dev).listen();
    await deviceOf(dev).backend.tell(EMU_DEV_EVENT_DEV_START);
  },
  async devStop(dev) {
    await deviceOf(dev).server.stop();
    await deviceOf(dev).backend.tell(EMU_DEV_EVENT_DEV_STOP);
  },
  devConfigure() {},
  devClose: (dev) => deviceOf(dev).close(),
  getDevInfo(dev) {
    const device = deviceOf(dev);
    return { devType: "avf", maxQpNum: device.vectors - 1, maxEventNum: device.vectors };
  },
  subscribeEvent() {},
  unsubscribeEvent(dev) {
    const device = deviceOf(dev);
    if (device.backend.present) return;
    device.takeStats(null);
    backendSets(device, "link_up", false);
  },
  getMemTable: (dev) => deviceOf(dev).memory,
  getQueueInfo: (dev, queue) => queueInfo(deviceOf(dev), queue),
  getIrqInfo(dev, number) {
    const vector = deviceOf(dev).interrupts.vectors[number];
    return vector === undefined ? null : { vector: number, fd: vector.fd, priv: { off: vector.off } };
  },
  getDbInfo: (dev, doorbell) => deviceOf(dev).doorbells.info(doorbell),
  getAttr: (dev, name) => deviceOf(dev).attributes.get(name),
  setAttr: (dev, name, value) => backendSets(deviceOf(dev), name, value),
  regionMap(dev, _name, _bytes, base) {
    deviceOf(dev).takeStats(base);
  },
};
