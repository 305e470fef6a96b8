// DEVICE_GET_INFO, DEVICE_GET_REGION_INFO and DEVICE_GET_IRQ_INFO: what the device is. `argsz` in a reply is the size
// of the full reply; when the client has less room, it gets the fixed part and asks again. The fd of a mappable region
// goes out with the full reply only, and never to a client that takes no fds.

import { DEVICE_FLAG, REGION_FLAG } from "../../wire/constants.ts";
import { deviceInfo, irqInfo, regionInfo } from "../../wire/index.ts";
import { type Command, check, parsed } from "./command.ts";

export const getInfoCommand: Command<deviceInfo.DeviceInfo> = {
  control: () => false,
  maxFds: 0,

  parse(message) {
    const msg = parsed(deviceInfo.decode(message.view, message.at, message.length));
    check(deviceInfo.invalid(msg));
    return msg;
  },

  run(_msg, { device, regions, irqs }) {
    const body = new Uint8Array(deviceInfo.SIZE);
    deviceInfo.encodeInto(new DataView(body.buffer), 0, {
      argsz: deviceInfo.SIZE,
      flags: DEVICE_FLAG.PCI | (device.info.resettable ? DEVICE_FLAG.RESET : 0),
      numRegions: regions.length,
      numIrqs: irqs.length,
    });
    return { body };
  },
};

export const getRegionInfoCommand: Command<regionInfo.RegionInfo> = {
  control: () => false,
  maxFds: 0,

  parse(message, { regions }) {
    const msg = parsed(regionInfo.decode(message.view, message.at, message.length));
    check(regionInfo.invalid(msg));
    check(msg.index < regions.length ? null : `region ${msg.index} of ${regions.length}`);
    return msg;
  },

  run({ argsz, index }, { regions }) {
    const spec = regions.get(index);
    const mmap = regions.mmap(index);
    const areas = (mmap?.areas ?? []).map((area) => ({ offset: BigInt(area.offset), size: BigInt(area.size) }));
    const needed = regionInfo.sizeWith(areas.length);
    const full = mmap !== null && argsz >= needed;
    const body = new Uint8Array(full ? needed : regionInfo.SIZE);
    const view = new DataView(body.buffer);
    regionInfo.encodeInto(view, 0, {
      argsz: needed,
      flags: spec.flags | (mmap !== null ? REGION_FLAG.MMAP : 0) | (full ? REGION_FLAG.CAPS : 0),
      index,
      // In a short reply QEMU accepts a capability flag only with an offset of at least 32; so there is neither.
      capOffset: full ? regionInfo.SIZE : 0,
      size: BigInt(spec.size),
      offset: BigInt(mmap?.offset ?? 0),
    });
    if (!full) return { body };
    regionInfo.encodeSparseMmapInto(view, regionInfo.SIZE, areas);
    return { body, fds: [mmap.fd] };
  },
};

export const getIrqInfoCommand: Command<irqInfo.IrqInfo> = {
  control: () => false,
  maxFds: 0,

  parse(message, { irqs }) {
    const msg = parsed(irqInfo.decode(message.view, message.at, message.length));
    check(irqInfo.invalid(msg));
    check(msg.index < irqs.length ? null : `interrupt index ${msg.index} of ${irqs.length}`);
    return msg;
  },

  run({ index }, { irqs }) {
    const body = new Uint8Array(irqInfo.SIZE);
    const spec = irqs.spec(index);
    irqInfo.encodeInto(new DataView(body.buffer), 0, {
      argsz: irqInfo.SIZE,
      flags: spec.flags,
      index,
      count: spec.count,
    });
    return { body };
  },
};
