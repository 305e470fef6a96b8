// The type 0 header (PCI 3.0, 6.1 and 6.2) as an object and in the words of `lspci -vv`: who the device is, control and status,
// interrupt, BARs with their sizes.
import { pci } from "@emudev/vfio-user";
import { knownDevice } from "../devices.ts";
import { hex, sizeText } from "../names.ts";
import type { Bar } from "./bars.ts";
import { type Bits, bitFields, bitText, plainHex, type Space } from "./space.ts";

export interface Header {
  vendorId: number;
  deviceId: number;
  /** null for a device that is not known by name. */
  name: string | null;
  classCode: number;
  className: string;
  revision: number;
  subsystemVendorId: number;
  subsystemId: number;
  control: Record<string, boolean>;
  status: Record<string, boolean>;
  interruptPin: number;
  interruptLine: number;
}

const CONTROL: Bits = {
  "I/O": 1,
  Mem: 2,
  BusMaster: 4,
  SpecCycle: 8,
  MemWINV: 0x10,
  VGASnoop: 0x20,
  ParErr: 0x40,
  Stepping: 0x80,
  SERR: 0x100,
  FastB2B: 0x200,
  DisINTx: 0x400,
};
const STATUS_LOW: Bits = { Cap: 0x10, "66MHz": 0x20, UDF: 0x40, FastB2B: 0x80, ParErr: 0x100 };
const STATUS_HIGH: Bits = {
  ">TAbort": 0x800,
  "<TAbort": 0x1000,
  "<MAbort": 0x2000,
  ">SERR": 0x4000,
  "<PERR": 0x8000,
  INTx: 8,
};
const DEVSEL = ["fast", "medium", "slow", "??"];

/** Class and subclass, as far as somebody emulates them. */
const CLASSES: Readonly<Record<number, string>> = {
  256: "SCSI storage controller",
  262: "SATA controller",
  264: "Non-Volatile memory controller",
  384: "Mass storage controller",
  512: "Ethernet controller",
  640: "Network controller",
  768: "VGA compatible controller",
  1027: "Audio device",
  1280: "RAM memory",
  1536: "Host bridge",
  1537: "ISA bridge",
  1664: "Bridge",
  1792: "Serial controller",
  1920: "Communication controller",
  2176: "System peripheral",
  3075: "USB controller",
  3077: "SMBus",
  4352: "Signal processing controller",
  4608: "Processing accelerators",
  65280: "Unassigned class",
};

export function decodeHeader(space: Space): Header {
  const vendorId = space.u16(pci.HEADER.VENDOR_ID);
  const deviceId = space.u16(pci.HEADER.DEVICE_ID);
  const classCode = space.u32(pci.HEADER.REVISION_ID) >>> 8;
  const control = space.u16(pci.HEADER.COMMAND);
  const status = space.u16(pci.HEADER.STATUS);
  return {
    vendorId,
    deviceId,
    name: knownDevice(vendorId, deviceId)?.name ?? null,
    classCode,
    className: CLASSES[classCode >> 8] ?? "Class",
    revision: space.u8(pci.HEADER.REVISION_ID),
    subsystemVendorId: space.u16(pci.HEADER.SUBSYSTEM_VENDOR_ID),
    subsystemId: space.u16(pci.HEADER.SUBSYSTEM_ID),
    control: bitFields(control, CONTROL),
    status: bitFields(status, { ...STATUS_LOW, ...STATUS_HIGH }),
    interruptPin: space.u8(pci.HEADER.INTERRUPT_PIN),
    interruptLine: space.u8(pci.HEADER.INTERRUPT_LINE),
  };
}

export function headerLines(space: Space, header: Header, bars: readonly Bar[]): string[] {
  const { vendorId, deviceId, classCode, revision, subsystemVendorId, subsystemId } = header;
  const status = space.u16(pci.HEADER.STATUS);
  const id = `[${plainHex(vendorId, 4)}:${plainHex(deviceId, 4)}]`;
  const devsel = DEVSEL[(status >> 9) & 3];
  const lines = [
    `${header.className} [${plainHex(classCode >> 8, 4)}]: ${header.name ?? "Device"} ${id} (rev ${plainHex(revision, 2)})`,
    `\tSubsystem: Device [${plainHex(subsystemVendorId, 4)}:${plainHex(subsystemId, 4)}]`,
    `\tControl: ${bitText(space.u16(pci.HEADER.COMMAND), CONTROL)}`,
    `\tStatus: ${bitText(status, STATUS_LOW)} DEVSEL=${devsel} ${bitText(status, STATUS_HIGH)}`,
  ];
  if (header.interruptPin !== 0) {
    const pin = String.fromCharCode(0x40 + header.interruptPin);
    lines.push(`\tInterrupt: pin ${pin} routed to IRQ ${header.interruptLine}`);
  }
  return [...lines, ...bars.map((bar) => `\t${barText(bar, header)}`)];
}

function barText(bar: Bar, { control }: Header): string {
  const size = `[size=${sizeText(Number(bar.size))}]`;
  const address =
    bar.address === 0n ? "<unassigned>" : bar.address.toString(16).padStart(bar.kind === "io" ? 4 : 8, "0");
  const off = " [disabled]";
  if (bar.kind === "rom") return `Expansion ROM at ${address}${bar.enabled ? "" : off} ${size}`;
  if (bar.kind === "io") return `Region ${bar.index}: I/O ports at ${address}${control["I/O"] ? "" : off} ${size}`;
  const kind = `${bar.kind === "mem64" ? 64 : 32}-bit, ${bar.prefetchable ? "" : "non-"}prefetchable`;
  return `Region ${bar.index}: Memory at ${address} (${kind})${control.Mem ? "" : off} ${size}`;
}

/** For JSON: numbers that are known by their hexadecimal form as such. */
export function headerFields(header: Header): Record<string, unknown> {
  const { vendorId, deviceId, classCode, subsystemVendorId, subsystemId, ...rest } = header;
  return {
    vendorId: hex(vendorId, 4),
    deviceId: hex(deviceId, 4),
    classCode: hex(classCode, 6),
    subsystemVendorId: hex(subsystemVendorId, 4),
    subsystemId: hex(subsystemId, 4),
    ...rest,
  };
}
