// REGION_READ and REGION_WRITE in general: of any length, refused, or behind another command. Register accesses that need
// none of that go by register-path.ts, which must do the same. Every access is inside its region before the device
// sees it. A read or write of 0 bytes succeeds with an empty reply, as in libvfio-user.

import { refusal } from "../../errors.ts";
import { ERRNO, PCI_REGION } from "../../wire/constants.ts";
import { regionAccess } from "../../wire/index.ts";
import type { Migration } from "../migration.ts";
import { after, type Command, check, EMPTY, parsed, type Reply } from "./command.ts";

interface Read {
  region: number;
  offset: number;
  count: number;
}

interface Write {
  region: number;
  offset: number;
  data: Uint8Array;
}

export const regionReadCommand: Command<Read> = {
  control: () => false,
  maxFds: 0,

  parse(message, context) {
    const msg = parsed(regionAccess.decode(message.view, message.at, message.length));
    check(regionAccess.invalid(msg, context.regions.readable(msg.region), context.client.capabilities.maxDataXferSize));
    return { region: msg.region, offset: Number(msg.offset), count: msg.count };
  },

  run({ region, offset, count }, { device, migration }) {
    if (count === 0) return EMPTY;
    checkNotFrozen(migration);
    const body = head(region, offset, count, regionAccess.SIZE + count);
    return after(device.regionRead(region, offset, body.subarray(regionAccess.SIZE)), () => ({ body }));
  },
};

export const regionWriteCommand: Command<Write> = {
  // Writes to configuration space may reset the device (FLR) or move its BARs.
  control: ({ region }) => region === PCI_REGION.CONFIG,
  maxFds: 0,

  parse(message, context) {
    const msg = parsed(regionAccess.decode(message.view, message.at, message.length));
    check(regionAccess.invalid(msg, context.regions.writable(msg.region), context.client.capabilities.maxDataXferSize));
    const from = message.view.byteOffset + message.at + regionAccess.SIZE;
    const length = message.length - regionAccess.SIZE;
    check(length === msg.count ? null : `${length} bytes of data for a count of ${msg.count}`);
    const data = new Uint8Array(message.view.buffer as ArrayBuffer, from, length).slice();
    return { region: msg.region, offset: Number(msg.offset), data };
  },

  run({ region, offset, data }, { device, migration }, posted) {
    if (data.length === 0) return EMPTY;
    checkNotFrozen(migration);
    const count = data.length;
    return after(device.regionWrite(region, offset, data, posted), (): Reply => {
      return posted ? EMPTY : { body: head(region, offset, count, regionAccess.SIZE) };
    });
  },
};

/** What is being saved must not change, and a read may change it too: as libvfio-user. */
export function checkNotFrozen(migration: Migration | null): void {
  if (migration?.frozen) throw refusal(ERRNO.EINVAL, "the device's state is being saved");
}

/** The head of an access, in front of `bytes` - 16 bytes of data. */
export function head(region: number, offset: number, count: number, bytes: number): Uint8Array {
  const body = new Uint8Array(bytes);
  regionAccess.encodeInto(new DataView(body.buffer), 0, { offset: BigInt(offset), region, count });
  return body;
}
