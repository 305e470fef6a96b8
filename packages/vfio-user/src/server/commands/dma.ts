// DMA_MAP and DMA_UNMAP: the client's memory comes and goes. The device is asked only about regions that are possible
// at all (dma-table.ts), and no reply leaves before it is done with a region, so that the client may reuse the memory
// at once.

import { closeFd } from "@emudev/linux";
import { refusal } from "../../errors.ts";
import { ERRNO, PAGE_SIZE, UNMAP_FLAG } from "../../wire/constants.ts";
import { dmaMap, dmaUnmap } from "../../wire/index.ts";
import type { DmaRegion, VfioUserDevice } from "../device.ts";
import type { DirtyLog } from "../dirty-log.ts";
import type { DmaTable } from "../dma-table.ts";
import { after, type Command, type Context, check, EMPTY, parsed, type Reply } from "./command.ts";

export const dmaMapCommand: Command<DmaRegion> = {
  control: () => true,
  maxFds: 1,

  parse(message) {
    const msg = parsed(dmaMap.decode(message.view, message.at, message.length));
    check(dmaMap.invalid(msg));
    const { iova, size, fileOffset } = msg;
    const page = BigInt(PAGE_SIZE);
    check(iova % page === 0n && size % page === 0n ? null : `${size} bytes at ${iova} are no whole pages`);
    const fd = message.fds[0] ?? -1;
    check(dmaMap.invalidFd(msg, fd >= 0));
    return { iova, size, prot: msg.flags & dmaMap.PROT_MASK, mode: dmaMap.modeOf(msg, fd >= 0), fd, fileOffset };
  },

  run(region, { dma, device }) {
    if (!enter(dma, region) || device.dmaMap === undefined) {
      if (region.fd >= 0) closeFd(region.fd);
      return EMPTY;
    }
    const giveUp = (error: unknown): never => {
      dma.remove(region.iova, region.size);
      throw error;
    };
    try {
      const result = after(device.dmaMap(region), () => EMPTY);
      return result instanceof Promise ? result.catch(giveUp) : result;
    } catch (error) {
      return giveUp(error);
    }
  },
};

/** False when the region is mapped already, exactly so. */
function enter(dma: DmaTable, region: DmaRegion): boolean {
  try {
    return dma.enter(region) === "new";
  } catch (error) {
    if (region.fd >= 0) closeFd(region.fd);
    throw error;
  }
}

interface Unmap {
  msg: dmaUnmap.DmaUnmap;
  /** Asked for with the unmap. */
  bitmap: dmaUnmap.Bitmap | null;
}

export const dmaUnmapCommand: Command<Unmap> = {
  control: () => true,
  maxFds: 0,

  parse(message) {
    const msg = parsed(dmaUnmap.decode(message.view, message.at, message.length));
    check(dmaUnmap.invalid(msg));
    if (!(msg.flags & UNMAP_FLAG.GET_DIRTY_BITMAP)) return { msg, bitmap: null };
    const { SIZE } = dmaUnmap;
    const bitmap = parsed(dmaUnmap.decodeBitmap(message.view, message.at + SIZE, message.length - SIZE));
    check(dmaUnmap.invalidBitmap(bitmap, msg));
    return { msg, bitmap };
  },

  run({ msg, bitmap }, context) {
    const { dma, device, dirtyLog } = context;
    if (msg.flags & UNMAP_FLAG.ALL) return after(unmapAll(context), () => echo(msg));
    if (bitmap !== null && (dirtyLog === null || dirtyLog.pageSize === null)) {
      throw refusal(ERRNO.EINVAL, "the dirty log does not run");
    }
    if (!dma.has(msg.iova, msg.size)) {
      throw refusal(ERRNO.ENOENT, `no region at 0x${msg.iova.toString(16)} with ${msg.size} bytes`);
    }
    return after(device.dmaUnmap?.(msg.iova, msg.size), () => {
      dma.remove(msg.iova, msg.size);
      return bitmap === null ? echo(msg) : lastReport(msg, bitmap, dirtyLog as DirtyLog);
    });
  },
};

/** Also what happens to the maps of a client that has left. */
export function unmapAll({ dma, device }: Pick<Context, "dma" | "device">): void | Promise<void> {
  if (dma.size === 0) return;
  if (device.dmaUnmapAll === undefined) return unmapEach(dma, device);
  return after(device.dmaUnmapAll(), () => dma.clear());
}

async function unmapEach(dma: DmaTable, device: VfioUserDevice): Promise<void> {
  for (const { iova, size } of [...dma.regions()]) {
    await device.dmaUnmap?.(iova, size);
    dma.remove(iova, size);
  }
}

/** Asked for when the device has let go of the region, so that no write is missed. */
async function lastReport(msg: dmaUnmap.DmaUnmap, bitmap: dmaUnmap.Bitmap, log: DirtyLog): Promise<Reply> {
  const { SIZE, BITMAP_SIZE } = dmaUnmap;
  const bits = await log.report({ iova: msg.iova, size: msg.size, pageSize: bitmap.pageSize });
  const body = new Uint8Array(SIZE + BITMAP_SIZE + bits.length);
  const view = new DataView(body.buffer);
  dmaUnmap.encodeInto(view, 0, msg);
  dmaUnmap.encodeBitmapInto(view, SIZE, bitmap);
  body.set(bits, SIZE + BITMAP_SIZE);
  return { body };
}

function echo(msg: dmaUnmap.DmaUnmap): Reply {
  const body = new Uint8Array(dmaUnmap.SIZE);
  dmaUnmap.encodeInto(new DataView(body.buffer), 0, msg);
  return { body };
}
