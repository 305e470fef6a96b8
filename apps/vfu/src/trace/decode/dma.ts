// What concerns the client's memory: DMA_MAP (2), DMA_UNMAP (3), and the server's DMA_READ (11) and DMA_WRITE (12). A reply to
// DMA_WRITE may be a bare header (QEMU) or 12 bytes (the specification's table); both are good.
import { DMA_FLAG, UNMAP_FLAG, wire } from "@emudev/vfio-user";
import { bitNames, hex } from "../../names.ts";
import { dataOf, dataText, flagsText } from "./text.ts";
import { type Decoded, decoded, type Payload, type Style, short } from "./types.ts";

const DIRTY_BITMAP_HEAD = 16;
const DMA_WRITE_REPLY_SHORT = 12;

export function dmaMap(payload: Payload): Decoded {
  if (payload.reply) return decoded("", {}, empty(payload));
  const msg = wire.dmaMap.decode(payload.view, 0, payload.body.length);
  if (msg === null) return short(payload, wire.dmaMap.SIZE);
  const { argsz, fileOffset, iova, size } = msg;
  const flags = bitNames(msg.flags, DMA_FLAG);
  const place = `${hex(iova)}..${hex(iova + size)} ${flagsText(flags)}`;
  const from = payload.fds.length === 0 ? "no fd" : `offset ${hex(fileOffset)}`;
  const many = payload.fds.length > 1 ? `${payload.fds.length} fds, at most one is allowed` : null;
  const fault = wire.dmaMap.invalid(msg) ?? many ?? wire.dmaMap.invalidFd(msg, payload.fds.length > 0);
  return decoded(`${place} ${from}`, { argsz, flags, offset: fileOffset, address: iova, size }, fault);
}

export function dmaUnmap(payload: Payload): Decoded {
  const msg = wire.dmaUnmap.decode(payload.view, 0, payload.body.length);
  if (msg === null) return short(payload, wire.dmaUnmap.SIZE);
  const { argsz, iova, size } = msg;
  const flags = bitNames(msg.flags, UNMAP_FLAG);
  const fields: Record<string, unknown> = { argsz, flags, address: iova, size };
  let text = flags.includes("all") ? "all" : `${hex(iova)}..${hex(iova + size)}`;
  if (msg.flags & UNMAP_FLAG.GET_DIRTY_BITMAP && payload.body.length >= wire.dmaUnmap.SIZE + DIRTY_BITMAP_HEAD) {
    fields.pageSize = payload.view.getBigUint64(wire.dmaUnmap.SIZE, true);
    fields.bitmapSize = payload.view.getBigUint64(wire.dmaUnmap.SIZE + 8, true);
    text += ` dirty bitmap of pages of ${fields.pageSize}`;
  }
  return decoded(text, fields, payload.reply ? null : wire.dmaUnmap.invalid(msg));
}

export function dmaRead(payload: Payload, _names: unknown, style: Style): Decoded {
  return access(payload, "->", payload.reply, style);
}

export function dmaWrite(payload: Payload, _names: unknown, style: Style): Decoded {
  const { reply, length, view } = payload;
  if (reply && length === 0) return decoded("", {});
  if (reply && length === DMA_WRITE_REPLY_SHORT && payload.body.length === length) {
    const address = view.getBigUint64(0, true);
    const count = view.getUint32(8, true);
    return decoded(`${hex(address)} ${count}`, { address, count });
  }
  return access(payload, "<-", !reply, style);
}

function access(payload: Payload, arrow: string, carries: boolean, style: Style): Decoded {
  const { SIZE } = wire.dmaAccess;
  const msg = wire.dmaAccess.decode(payload.view, 0, payload.body.length);
  if (msg === null) return short(payload, SIZE);
  const { iova: address, count } = msg;
  const left = payload.length - SIZE;
  const data = dataOf(payload, SIZE);
  if (!carries) {
    return decoded(`${hex(address)} ${count}`, { address, count }, left === 0 ? null : `${left} bytes of data`);
  }
  const fault = count === BigInt(left) ? null : `count ${count} with ${left} bytes of data`;
  return decoded(`${hex(address)} ${count} ${arrow} ${dataText(data, left, style)}`, { address, count, data }, fault);
}

function empty({ length }: Payload): string | null {
  return length === 0 ? null : `${length} bytes of payload, where there are none`;
}
