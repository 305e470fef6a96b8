// From a declaration of the kit to one of configuration space: which capabilities there are, and in which BAR the MSI-X table
// lies. Everything that a device's author may leave out gets its value here. Called by device.ts.

import { VfioUserError } from "../errors.ts";
import type { CapabilitySpec } from "../pci/capability-spec.ts";
import { MSIX, ROM } from "../pci/registers.ts";
import type { PciConfigSpec } from "../pci/spec.ts";
import { ERRNO, PAGE_SIZE } from "../wire/constants.ts";
import type { BarDeclaration, PciDeviceSpec } from "./spec.ts";

export interface Layout {
  config: PciConfigSpec;
  counts: { intx: boolean; msi: number; msix: number };
  bars: [index: number, bar: BarDeclaration][];
  msixBar: MsixPlace | null;
}

interface MsixPlace {
  bar: number;
  vectors: number;
  table: number;
  pba: number;
}

export function layout(spec: PciDeviceSpec): Layout {
  const { intx = false, msi = 0 } = spec.interrupts ?? {};
  const msiSpec = typeof msi === "number" ? { vectors: msi } : msi;
  const bars: Layout["bars"] = Object.entries(spec.bars ?? {}).map(([index, bar]) => [Number(index), bar]);
  for (const [index, bar] of bars) check(index, bar);
  const msixBar = placeMsix(spec, bars);
  const capabilities: CapabilitySpec[] = [...(spec.capabilities ?? [])];
  if (!spec.conventional && !capabilities.some(({ kind }) => kind === "pcie")) {
    capabilities.push({ kind: "pcie", flr: true });
  }
  if (msiSpec.vectors > 0) capabilities.push({ kind: "msi", ...msiSpec });
  if (msixBar !== null) {
    const { bar, vectors, table, pba } = msixBar;
    const at = typeof spec.interrupts?.msix === "object" ? spec.interrupts.msix.at : undefined;
    const place = at === undefined ? {} : { at };
    capabilities.push({
      kind: "msix",
      vectors,
      table: { bar, offset: table },
      pba: { bar, offset: pba },
      ...place,
    });
  }
  return {
    config: {
      vendorId: spec.vendor,
      deviceId: spec.device,
      classCode: spec.class,
      revisionId: spec.revision ?? 0,
      subsystemVendorId: spec.subsystem?.vendor ?? 0,
      subsystemId: spec.subsystem?.device ?? 0,
      interruptPin: intx ? 1 : 0,
      bars: bars.map(([index, { size, kind = "mem32", prefetchable = false }]) => ({
        index,
        bytes: size,
        kind,
        prefetchable,
      })),
      capabilities,
      ...(spec.extended === undefined ? {} : { extended: spec.extended }),
      ...(spec.rom === undefined ? {} : { romBytes: powerOfTwo(Math.max(spec.rom.length, ROM.MIN_BYTES)) }),
    },
    counts: { intx, msi: msiSpec.vectors, msix: msixBar?.vectors ?? 0 },
    bars,
    msixBar,
  };
}

function placeMsix({ interrupts }: PciDeviceSpec, bars: Layout["bars"]): MsixPlace | null {
  const { msix = 0 } = interrupts ?? {};
  const wanted = typeof msix === "number" ? { vectors: msix } : msix;
  const { vectors } = wanted;
  if (vectors === 0) return null;
  const tableBytes = vectors * MSIX.ENTRY_SIZE;
  const pbaBytes = Math.ceil(vectors / 64) * 8;
  if (wanted.bar !== undefined) {
    const { bar, table = 0, pba = table + tableBytes } = wanted;
    const areas = bars.find(([index]) => index === bar)?.[1];
    if (
      areas?.memory ||
      areas?.areas?.some((area) => overlaps(area, table, tableBytes) || overlaps(area, pba, pbaBytes))
    )
      throw wrong(`the MSI-X table lies in memory of BAR${bar}, which the guest writes by itself`);
    return { bar, vectors, table, pba };
  }
  const taken = new Set(bars.flatMap(([index, { kind }]) => (kind === "mem64" ? [index, index + 1] : [index])));
  const bar = [5, 4, 3, 2, 1, 0].find((index) => !taken.has(index));
  if (bar === undefined) throw wrong("no BAR is free for the MSI-X table: say with `bar` which one has room");
  const pba = powerOfTwo(Math.max(tableBytes, PAGE_SIZE / 2));
  bars.push([bar, { size: 2 * pba }]);
  return { bar, vectors, table: 0, pba };
}

function check(index: number, bar: BarDeclaration): void {
  const ways = [bar.registers, bar.read ?? bar.write, bar.readBytes ?? bar.writeBytes, bar.memory || undefined];
  const count = ways.filter((way) => way !== undefined).length;
  if (count > 1) throw wrong(`BAR${index}: registers, read and write, readBytes and writeBytes, memory: choose one`);
  const end = bar.registers?.end ?? 0;
  if (end > bar.size) throw wrong(`BAR${index} has ${bar.size} bytes, its registers end at 0x${end.toString(16)}`);
}

function overlaps(area: { offset: number; size: number }, from: number, bytes: number): boolean {
  return from < area.offset + area.size && from + bytes > area.offset;
}

function powerOfTwo(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(bytes));
}

function wrong(message: string): VfioUserError {
  return new VfioUserError("VFU_ARGUMENT", ERRNO.EINVAL, message);
}
