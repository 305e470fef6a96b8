// What the driver does in PCI configuration space before it touches the device: it makes sure that this is an Adaptive Virtual
// Function, finds the MSI-X capability, and enables memory, bus mastering and MSI-X as a guest's PCI core would.
import { PCI_REGION, type VfioUserClient } from "@emudev/vfio-user";
import { IavfError } from "./errors.ts";

const CONFIG_BYTES = 256;
const VENDOR = 0x00;
const DEVICE = 0x02;
const COMMAND = 0x04;
const STATUS = 0x06;
const CAPABILITIES = 0x34;
const STATUS_CAP_LIST = 0x10;
const COMMAND_MEMORY = 0x2;
const COMMAND_MASTER = 0x4;
const CAP_MSIX = 0x11;
const MSIX_ENABLE = 0x8000;
const MSIX_TABLE_SIZE_MASK = 0x7ff;
const CAP_FIRST = 0x40;
const CAP_LAST = CONFIG_BYTES - 4;

const INTEL = 0x8086;
/** AVF, and the VFs of X700, X700 (Hyper-V) and X722 that speak the same language. */
const AVF_DEVICES = [0x1889, 0x154c, 0x1571, 0x37cd];

/** Vectors of the device's MSI-X table; 0 without the capability. */
export interface PciFunction {
  msixVectors: number;
}

/**
 * Checks and enables the PCI function behind the client.
 * @throws IavfError DEVICE when it is no AVF
 */
export async function enablePciFunction(client: VfioUserClient, name: string): Promise<PciFunction> {
  const bytes = await client.regionRead(PCI_REGION.CONFIG, 0, CONFIG_BYTES);
  const config = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const vendor = config.getUint16(VENDOR, true);
  const device = config.getUint16(DEVICE, true);
  if (vendor !== INTEL || !AVF_DEVICES.includes(device)) {
    const id = `${vendor.toString(16).padStart(4, "0")}:${device.toString(16).padStart(4, "0")}`;
    throw new IavfError("DEVICE", `${name}: the device behind the socket is ${id}, not an AVF (8086:1889)`);
  }
  const msix = findCapability(config, CAP_MSIX);
  const write16 = (offset: number, value: number) =>
    client.regionWrite(PCI_REGION.CONFIG, offset, Uint8Array.of(value & 0xff, value >>> 8));
  await write16(COMMAND, config.getUint16(COMMAND, true) | COMMAND_MEMORY | COMMAND_MASTER);
  if (msix === 0) return { msixVectors: 0 };
  const control = config.getUint16(msix + 2, true);
  await write16(msix + 2, control | MSIX_ENABLE);
  return { msixVectors: (control & MSIX_TABLE_SIZE_MASK) + 1 };
}

/** Offset of a capability, 0 when it is not there. A list that runs in circles ends by its length. */
export function findCapability(config: DataView, id: number): number {
  if ((config.getUint16(STATUS, true) & STATUS_CAP_LIST) === 0) return 0;
  let at = config.getUint8(CAPABILITIES) & 0xfc;
  for (let i = 0; i < CONFIG_BYTES / 4 && at >= CAP_FIRST && at <= CAP_LAST; i++) {
    if (config.getUint8(at) === id) return at;
    at = config.getUint8(at + 1) & 0xfc;
  }
  return 0;
}
