// Where read, write and watch reach to: an offset or a register's name becomes a place, and the place is accessed by messages
// or, with --mmap, through memory that the server lends: the second only where its areas allow it.
import { closeFd, mapAnywhere, PROT } from "@emudev/linux";
import { REGION_FLAG, type VfioUserClient } from "@emudev/vfio-user";
import { findByName, type KnownDevice, nameAt, type Place } from "./devices.ts";
import { usage, VfuError } from "./errors.ts";
import { hex, parseNumber, regionName } from "./names.ts";
import { explained } from "./refused.ts";

export type Width = 1 | 2 | 4 | 8;
export type NamedPlace = Place & { name: string | null };

export interface Access {
  read(count: number): Promise<Uint8Array>;
  write(data: Uint8Array, posted: boolean): Promise<void>;
  close(): void;
}

type Opener = (region: number, offset: number, count: number) => Promise<Access>;

export function isWidth(width: number): width is Width {
  return width === 1 || width === 2 || width === 4 || width === 8;
}

/** @throws VfuError USAGE with the names that there are */
export function placeOf(device: KnownDevice | null, region: number, text: string, width?: Width): NamedPlace {
  const place = /^\d/.test(text)
    ? { offset: parseNumber("offset", text, 0), width: 4 }
    : findByName(device, region, text);
  return { offset: place.offset, width: width ?? place.width, name: nameAt(device, region, place.offset) };
}

/** How places are opened: by messages, or mapped. */
export function accessOf(client: VfioUserClient, mapped: boolean): Opener {
  return mapped
    ? (...where) => openMapping(client, ...where)
    : async (region, offset) => messages(client, region, offset);
}

/** Opens, works, closes. */
export async function withAccess<T>(
  open: Opener,
  region: number,
  offset: number,
  count: number,
  work: (access: Access) => Promise<T>,
): Promise<T> {
  const access = await open(region, offset, count);
  try {
    return await work(access);
  } finally {
    access.close();
  }
}

function messages(client: VfioUserClient, region: number, offset: number): Access {
  return {
    read: (count) =>
      explained(client, { region, offset, count, verb: "read" }, () => client.regionRead(region, offset, count)),
    write: (data, posted) =>
      explained(client, { region, offset, count: data.length, verb: "write" }, () =>
        client.regionWrite(region, offset, data, { posted }),
      ),
    close: () => {},
  };
}

async function openMapping(client: VfioUserClient, region: number, offset: number, count: number): Promise<Access> {
  const { flags, fd, areas, offset: fileOffset } = await client.getRegionInfo(region);
  if (fd < 0) throw new VfuError("TARGET", `${regionName(region)} cannot be mapped: the server lends no memory for it`);
  try {
    const area = areas.find((each) => offset >= each.offset && offset + count <= each.offset + each.size);
    if (area === undefined) {
      const list = areas.map((each) => `${hex(each.offset)}+${hex(each.size)}`).join(", ");
      throw usage(
        `--mmap: ${regionName(region)} ${hex(offset)}+${count} is in no mappable area: ${list}; leave --mmap out`,
      );
    }
    const page = 4096;
    const [start, rest] = [Math.floor(offset / page) * page, offset % page];
    const prot = (flags & REGION_FLAG.READ ? PROT.READ : 0) | (flags & REGION_FLAG.WRITE ? PROT.WRITE : 0);
    const mapping = mapAnywhere(Math.ceil((rest + count) / page) * page, prot, fd, fileOffset + start);
    const bytes = new Uint8Array(mapping.buffer, rest, count);
    return {
      read: async () => loadWhole(bytes),
      write: async (data) => storeWhole(bytes, data),
      close: () => mapping.unmap(),
    };
  } finally {
    closeFd(fd);
  }
}

/** A register is read by one access of its width, where it lies on a multiple of it. */
function loadWhole(from: Uint8Array): Uint8Array {
  const out = new Uint8Array(from.length);
  const { buffer, byteOffset, length } = from;
  if (length === 4 && byteOffset % 4 === 0)
    new Uint32Array(out.buffer)[0] = new Uint32Array(buffer, byteOffset, 1)[0] ?? 0;
  else if (length === 2 && byteOffset % 2 === 0) {
    new Uint16Array(out.buffer)[0] = new Uint16Array(buffer, byteOffset, 1)[0] ?? 0;
  } else if (length === 8 && byteOffset % 8 === 0) {
    new BigUint64Array(out.buffer)[0] = new BigUint64Array(buffer, byteOffset, 1)[0] ?? 0n;
  } else out.set(from);
  return out;
}

function storeWhole(into: Uint8Array, data: Uint8Array): void {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const { buffer, byteOffset, length } = into;
  if (length === 4 && byteOffset % 4 === 0) new Uint32Array(buffer, byteOffset, 1)[0] = view.getUint32(0, true);
  else if (length === 2 && byteOffset % 2 === 0) new Uint16Array(buffer, byteOffset, 1)[0] = view.getUint16(0, true);
  else if (length === 8 && byteOffset % 8 === 0)
    new BigUint64Array(buffer, byteOffset, 1)[0] = view.getBigUint64(0, true);
  else into.set(data);
}
