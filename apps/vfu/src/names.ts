// Numbers of the protocol by the names that people use: regions and interrupt indexes of PCI devices, flags, sizes. Both ways
// where the command line takes them.
import { DEVICE_FLAG, DMA_FLAG, IRQ_FLAG, IRQ_SET, REGION_FLAG, UNMAP_FLAG } from "@emudev/vfio-user";
import { usage } from "./errors.ts";

const REGIONS = ["bar0", "bar1", "bar2", "bar3", "bar4", "bar5", "rom", "config", "vga"];
const IRQS = ["intx", "msi", "msix", "err", "req"];
/** The largest offset that a command takes: JavaScript counts exactly up to here. */
const OFFSET_MAX = Number.MAX_SAFE_INTEGER;

export function regionName(index: number): string {
  return REGIONS[index] ?? `region${index}`;
}

export function irqName(index: number): string {
  return IRQS[index] ?? `irq${index}`;
}

/** A name, or an index. @throws VfuError USAGE */
export function parseRegion(text: string): number {
  const index = REGIONS.indexOf(text.toLowerCase());
  if (index >= 0) return index;
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw usage(`'${text}' is no region: expected ${REGIONS.join(", ")}, or an index`);
}

/** Decimal, or hexadecimal with 0x. @throws VfuError USAGE */
export function parseNumber(what: string, text: string, min: number, max = OFFSET_MAX): number {
  const value = /^(0x[0-9a-f]{1,14}|\d{1,16})$/i.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    const to = max === OFFSET_MAX ? "up" : `to ${max}`;
    throw usage(`${what} '${text}': expected a number from ${min} ${to}, decimal or 0x...`);
  }
  return value;
}

/** A register's new value, little-endian; -1 and the like by two's complement. @throws VfuError USAGE */
export function parseValue(text: string, width: number): Uint8Array {
  if (!/^(0x[0-9a-f]{1,16}|-?\d{1,20})$/i.test(text))
    throw usage(`value '${text}': expected a number, decimal or 0x...`);
  const value = BigInt(text);
  const bits = 8 * width;
  if (value >= 1n << BigInt(bits) || value < -(1n << BigInt(bits - 1))) {
    throw usage(`value '${text}' does not fit in ${width} ${width === 1 ? "byte" : "bytes"}; see --width`);
  }
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(bits, value), true);
  return bytes.subarray(0, width);
}

/** Names of the bits that are set; unknown bits as one number. */
export function bitNames(value: number, table: Readonly<Record<string, number>>): string[] {
  const names: string[] = [];
  let rest = value;
  for (const [name, bit] of Object.entries(table)) {
    if ((value & bit) === 0) continue;
    names.push(name.toLowerCase().replace("data_", ""));
    rest &= ~bit;
  }
  if (rest !== 0) names.push(hex(rest >>> 0));
  return names;
}

export const deviceFlags = (flags: number): string[] => bitNames(flags, DEVICE_FLAG);
export const regionFlags = (flags: number): string[] => bitNames(flags, REGION_FLAG);
export const irqFlags = (flags: number): string[] => bitNames(flags, IRQ_FLAG);
export const irqSetFlags = (flags: number): string[] => bitNames(flags, IRQ_SET);
export const dmaFlags = (flags: number): string[] => bitNames(flags, DMA_FLAG);
export const unmapFlags = (flags: number): string[] => bitNames(flags, UNMAP_FLAG);

export function hex(value: number | bigint, digits = 0): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

/** "64K", as lspci writes sizes; what is no multiple stays as bytes. */
export function sizeText(bytes: number): string {
  const units = ["", "K", "M", "G", "T", "P"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && value % 1024 === 0 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value}${units[unit]}`;
}

/** Little-endian, of 1 to 8 bytes. */
export function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** Bytes as one number where a register could have that width, else as so many bytes in hexadecimal. */
export function valueText(bytes: Uint8Array, most = 16): string {
  const { length } = bytes;
  if (length === 1 || length === 2 || length === 4 || length === 8) return hex(littleEndian(bytes), 2 * length);
  const shown = Buffer.from(bytes.subarray(0, most))
    .toString("hex")
    .replace(/(..)(?=.)/g, "$1 ");
  return length > most ? `${shown} ...` : shown;
}

/** Text from a peer (names of files, JSON): what could steer a terminal is shown as a number. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`);
}
