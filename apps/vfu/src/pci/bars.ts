// BARs and the expansion ROM (PCI 3.0, 6.2.5.1). Their sizes come from the regions that the server tells of, which writes
// nothing, or, when asked for, as every PCI enumerator finds them: with decoding off, write all ones, read back what stuck,
// put the old value back. Used by the lspci command.
import { PCI_REGION, pci, type VfioUserClient } from "@emudev/vfio-user";
import type { Space } from "./space.ts";

export interface Bar {
  index: number;
  kind: "io" | "mem32" | "mem64" | "rom";
  prefetchable: boolean;
  address: bigint;
  size: bigint;
  /** Of the ROM alone: its own enable bit. */
  enabled: boolean;
}

const { BAR0, COMMAND, EXPANSION_ROM } = pci.HEADER;
const ROM = 6;
const ALL_ONES = 0xffffffff;
/** Bits of the ROM's register that hold an address. */
const ROM_MASK = 0xfffff800;

/** BARs as they stand, with the sizes of the regions (by region index); a region without a size has no BAR. */
export function barsOf(space: Space, sizes: readonly number[]): Bar[] {
  const bars: Bar[] = [];
  for (let index = 0; index <= PCI_REGION.BAR5; index++) {
    const value = space.u32(BAR0 + 4 * index);
    const size = BigInt(sizes[index] ?? 0);
    const isIo = (value & pci.BAR_TYPE.IO) !== 0;
    const isWide = !isIo && (value & 6) === pci.BAR_TYPE.MEMORY_64 && index < PCI_REGION.BAR5;
    const high = isWide ? BigInt(space.u32(BAR0 + 4 * index + 4)) << 32n : 0n;
    const address = BigInt((value & (isIo ? 0xfffffffc : 0xfffffff0)) >>> 0) | high;
    const kind = isIo ? "io" : isWide ? "mem64" : "mem32";
    const prefetchable = !isIo && (value & pci.BAR_TYPE.PREFETCHABLE) !== 0;
    if (size > 0n) bars.push({ index, kind, prefetchable, address, size, enabled: true });
    if (isWide) index++;
  }
  const rom = space.u32(EXPANSION_ROM);
  const size = BigInt(sizes[ROM] ?? 0);
  const address = BigInt((rom & ROM_MASK) >>> 0);
  const enabled = (rom & 1) !== 0;
  if (size > 0n) bars.push({ index: ROM, kind: "rom", prefetchable: false, address, size, enabled });
  return bars;
}

/** By writing to the device. */
export async function sizeBars(client: VfioUserClient): Promise<Bar[]> {
  const command = await read(client, COMMAND, 2);
  await write(client, COMMAND, 2, command & ~(pci.COMMAND_BIT.IO | pci.COMMAND_BIT.MEMORY));
  const bars: Bar[] = [];
  try {
    for (let index = 0; index <= PCI_REGION.BAR5; index++) {
      const bar = await sizeBar(client, index);
      if (bar !== null) bars.push(bar);
      if (bar?.kind === "mem64") index++;
    }
    const rom = await sizeRom(client);
    if (rom !== null) bars.push(rom);
  } finally {
    await write(client, COMMAND, 2, command);
  }
  return bars;
}

async function sizeBar(client: VfioUserClient, index: number): Promise<Bar | null> {
  const at = BAR0 + 4 * index;
  const { value, stuck } = await probe(client, at, ALL_ONES);
  if (stuck === 0) return null;
  if (stuck & pci.BAR_TYPE.IO) {
    // An I/O BAR may leave its upper 16 bits at 0.
    const mask = BigInt((stuck & 0xfffffffc) >>> 0) | (stuck >>> 16 === 0 ? 0xffff0000n : 0n);
    const address = BigInt((value & 0xfffffffc) >>> 0);
    return { index, kind: "io", prefetchable: false, address, size: sizeOf(mask, 32n), enabled: true };
  }
  const prefetchable = (stuck & pci.BAR_TYPE.PREFETCHABLE) !== 0;
  const mask = BigInt((stuck & 0xfffffff0) >>> 0);
  const address = BigInt((value & 0xfffffff0) >>> 0);
  const isWide = (stuck & 6) === pci.BAR_TYPE.MEMORY_64 && index < PCI_REGION.BAR5;
  if (!isWide) return { index, kind: "mem32", prefetchable, address, size: sizeOf(mask, 32n), enabled: true };
  const high = await probe(client, at + 4, ALL_ONES);
  return {
    index,
    kind: "mem64",
    prefetchable,
    address: address | (BigInt(high.value) << 32n),
    size: sizeOf(mask | (BigInt(high.stuck) << 32n), 64n),
    enabled: true,
  };
}

async function sizeRom(client: VfioUserClient): Promise<Bar | null> {
  const { value, stuck } = await probe(client, EXPANSION_ROM, ROM_MASK);
  const mask = (stuck & ROM_MASK) >>> 0;
  if (mask === 0) return null;
  const address = BigInt((value & ROM_MASK) >>> 0);
  const size = sizeOf(BigInt(mask), 32n);
  return { index: ROM, kind: "rom", prefetchable: false, address, size, enabled: (value & 1) !== 0 };
}

/** The value, and what is left of `ones` in its place; the value is put back. */
async function probe(client: VfioUserClient, at: number, ones: number): Promise<{ value: number; stuck: number }> {
  const value = await read(client, at, 4);
  await write(client, at, 4, ones);
  try {
    return { value, stuck: await read(client, at, 4) };
  } finally {
    await write(client, at, 4, value);
  }
}

/** The lowest bit that can be written is the size; 0 where none can. */
function sizeOf(mask: bigint, bits: bigint): bigint {
  return mask === 0n ? 0n : BigInt.asUintN(Number(bits), ~mask + 1n);
}

async function read(client: VfioUserClient, at: number, bytes: 2 | 4): Promise<number> {
  const data = await client.regionRead(PCI_REGION.CONFIG, at, bytes);
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  return bytes === 2 ? view.getUint16(0, true) : view.getUint32(0, true);
}

async function write(client: VfioUserClient, at: number, bytes: 2 | 4, value: number): Promise<void> {
  const view = new DataView(new ArrayBuffer(bytes));
  if (bytes === 2) view.setUint16(0, value, true);
  else view.setUint32(0, value, true);
  await client.regionWrite(PCI_REGION.CONFIG, at, new Uint8Array(view.buffer));
}
