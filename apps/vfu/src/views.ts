// Regions and interrupts as facts (what --json prints) and as tables. Used by info, regions and irqs.
import { closeFd, fileStat } from "@emudev/linux";
import { REGION_FLAG, type VfioUserClient, VfioUserError } from "@emudev/vfio-user";
import { hex, irqFlags, irqName, regionFlags, regionName, sizeText } from "./names.ts";
import { table } from "./output.ts";

export interface RegionFacts {
  index: number;
  name: string;
  size: number;
  flags: string[];
  /** Mappable parts; empty where nothing may be mapped. */
  areas: { offset: number; size: number }[];
  /** File offset of the region's first byte, and the file's own size; null without a file. */
  file: { offset: number; size: number } | null;
  /** Why the server told nothing; null when it did. */
  refused: string | null;
}

export interface IrqFacts {
  index: number;
  name: string;
  count: number;
  flags: string[];
  refused: string | null;
}

/** @throws what is not a refusal of this one region */
export async function regionFacts(client: VfioUserClient, index: number): Promise<RegionFacts> {
  const facts: RegionFacts = {
    index,
    name: regionName(index),
    size: 0,
    flags: [],
    areas: [],
    file: null,
    refused: null,
  };
  try {
    const { flags, size, offset, areas, fd } = await client.getRegionInfo(index);
    if (fd >= 0) {
      try {
        facts.file = { offset, size: Number(fileStat(fd).size) };
      } finally {
        closeFd(fd);
      }
    }
    return { ...facts, size, flags: regionFlags(flags), areas: flags & REGION_FLAG.MMAP ? areas : [] };
  } catch (error) {
    return { ...facts, refused: refusalOf(error) };
  }
}

export async function irqFacts(client: VfioUserClient, index: number): Promise<IrqFacts> {
  const facts = { index, name: irqName(index), count: 0, flags: [], refused: null };
  try {
    const { count, flags } = await client.getIrqInfo(index);
    return { ...facts, count, flags: irqFlags(flags) };
  } catch (error) {
    return { ...facts, refused: refusalOf(error) };
  }
}

/** A table of the regions that have a size, and one line for each refusal. */
export function regionRows(regions: readonly RegionFacts[], all = false): string[] {
  const shown = regions.filter(({ size, refused }) => all || size > 0 || refused !== null);
  const rows = shown.map(({ index, name, size, flags, areas, refused }) => [
    String(index),
    name,
    hex(size),
    sizeText(size),
    refused === null ? flags.join(" ") : `refused: ${refused}`,
    areas.map((area) => `${hex(area.offset)}+${hex(area.size)}`).join(" "),
  ]);
  return table([["region", "name", "size", "", "flags", "mappable (offset+size)"], ...rows]);
}

export function irqRows(irqs: readonly IrqFacts[], all = false): string[] {
  const shown = irqs.filter(({ count, refused }) => all || count > 0 || refused !== null);
  const rows = shown.map(({ index, name, count, flags, refused }) => [
    String(index),
    name,
    String(count),
    refused === null ? flags.join(" ") : `refused: ${refused}`,
  ]);
  return table([["irq", "name", "count", "flags"], ...rows]);
}

function refusalOf(error: unknown): string {
  if (error instanceof VfioUserError && error.code === "VFU_REFUSED") return error.message;
  throw error;
}
