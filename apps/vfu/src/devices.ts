// Devices whose registers have names here: Intel's Adaptive Virtual Function and the virtual functions that share its BAR0
// (device ids of Linux' iavf), and the configuration header of every device. Used by read, write and watch for names on the
// command line, and by trace for those in messages.
import { findRegister, REG, REGISTERS, type Register, regName } from "@emudev/avf";
import { PCI_REGION, pci } from "@emudev/vfio-user";
import { usage } from "./errors.ts";
import { hex, regionName } from "./names.ts";

export interface Place {
  offset: number;
  /** Bytes of one access. */
  width: number;
}

export interface KnownDevice {
  name: string;
  /** "VF_ATQT1", or null where no register lies. */
  nameAt(region: number, offset: number): string | null;
  /** Registers of a region; empty where none has a name. */
  registers(region: number): readonly Register[];
}

const AVF_IDS = new Set([0x154c, 0x1571, 0x1889, 0x37cd]);

const AVF: KnownDevice = {
  name: "Intel Ethernet Adaptive Virtual Function",
  nameAt(region, offset) {
    const found = region === PCI_REGION.BAR0 ? findRegister(offset) : null;
    return found === null ? null : withRest(regName(offset), (offset - found.reg.offset) % found.reg.stride);
  },
  registers: (region) => (region === PCI_REGION.BAR0 ? REGISTERS : []),
};

const HEADER_NAMES = new Map<number, string>(
  Object.entries(pci.HEADER).flatMap(([name, offset]) => (name === "END" ? [] : [[offset, name] as const])),
);
for (let bar = 0; bar <= 5; bar++) HEADER_NAMES.set(pci.HEADER.BAR0 + 4 * bar, `BAR${bar}`);

/** Names of the configuration header's registers. */
export const headerNames = (): string[] => [...HEADER_NAMES.values()];

/** The device of `--names`, whatever its ids are: there is one on a command line. */
let named: KnownDevice | null = null;

export function useNames(device: KnownDevice | null): void {
  named = device;
}

export const namedRegisters = (region: number): readonly Register[] => named?.registers(region) ?? [];

export function knownDevice(vendorId: number, deviceId: number): KnownDevice | null {
  if (named !== null) return named;
  return vendorId === 0x8086 && AVF_IDS.has(deviceId) ? AVF : null;
}

/** The name of what lies at an offset, or null. `device` is null for one that is not known (yet). */
export function nameAt(device: KnownDevice | null, region: number, offset: number): string | null {
  if (region === PCI_REGION.CONFIG) return HEADER_NAMES.get(offset) ?? null;
  return device?.nameAt(region, offset) ?? null;
}

/**
 * Where a register lies: `VFGEN_RSTAT`, `QTX_TAIL1(3)` or `QTX_TAIL1[3]`, `VFINT_ITRN1(1,0)`; of config space `COMMAND`.
 * @throws VfuError USAGE, with the names that there are
 */
export function findByName(device: KnownDevice | null, region: number, text: string): Place {
  const wanted = text.toUpperCase();
  if (region === PCI_REGION.CONFIG) {
    for (const [offset, name] of HEADER_NAMES) if (name === wanted) return { offset, width: headerWidth(offset) };
    throw usage(`'${text}' is no register of config: ${[...HEADER_NAMES.values()].join(", ")}`);
  }
  const registers = device?.registers(region) ?? [];
  if (registers.length === 0) {
    throw usage(
      `'${text}': no names are known for ${regionName(region)} of this device; give an offset, decimal or 0x..., or --names FILE`,
    );
  }
  const match = /^(\w+?)(?:[([](\d{1,4})(?:,(\d{1,4}))?[)\]])?$/.exec(wanted);
  const register = registers.find(({ name }) => name === match?.[1]);
  if (match === null || register === undefined) {
    throw usage(`'${text}' is no register of ${device?.name}: ${registers.map(({ name }) => name).join(", ")}`);
  }
  const index = instanceOf(register, match[2], match[3]);
  if (!(index < register.count)) throw usage(`'${text}': there are ${register.count} of ${register.name}`);
  return { offset: register.offset + register.stride * index, width: register.width };
}

/** VFINT_ITRN1 is counted by ITR index and vector, all others by one number. */
function instanceOf(register: Register, first = "0", second?: string): number {
  if (second === undefined) return Number(first);
  return register.name === REG.VFINT_ITRN1.name && Number(second) < 16
    ? 16 * Number(first) + Number(second)
    : Number.NaN;
}

function headerWidth(offset: number): number {
  if (offset >= pci.HEADER.BAR0 && offset < 0x28) return 4;
  const { VENDOR_ID, DEVICE_ID, COMMAND, STATUS, SUBSYSTEM_VENDOR_ID, SUBSYSTEM_ID, EXPANSION_ROM } = pci.HEADER;
  const words: number[] = [VENDOR_ID, DEVICE_ID, COMMAND, STATUS, SUBSYSTEM_VENDOR_ID, SUBSYSTEM_ID];
  if (words.includes(offset)) return 2;
  return offset === EXPANSION_ROM ? 4 : 1;
}

function withRest(name: string, rest: number): string {
  return rest === 0 ? name : `${name}+${hex(rest)}`;
}
