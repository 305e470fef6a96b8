// Configuration space as bytes that were read once, with bounds: what lies beyond the end reads as 0, so that a capability
// which a device placed badly is shown as far as it goes. Used by the decoders of this folder.

export class Space {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u8(at: number): number {
    return at + 1 <= this.bytes.length ? this.#view.getUint8(at) : 0;
  }

  u16(at: number): number {
    return at + 2 <= this.bytes.length ? this.#view.getUint16(at, true) : 0;
  }

  u32(at: number): number {
    return at + 4 <= this.bytes.length ? this.#view.getUint32(at, true) : 0;
  }
}

/** One capability, decoded. */
export interface Capability {
  /** Offset in configuration space. */
  at: number;
  id: number;
  /** Of extended capabilities. */
  version?: number;
  name: string;
  /** What lspci writes behind the offset. */
  title: string;
  /** Further lines, without their indentation. */
  lines: string[];
  fields: Record<string, unknown>;
}

export type Decoded = Pick<Capability, "name" | "title" | "lines" | "fields">;

/** Bits by name, in the order of lspci. */
export type Bits = Readonly<Record<string, number>>;

/** "Mem+ BusMaster-" */
export function bitText(value: number, bits: Bits): string {
  return Object.entries(bits)
    .map(([name, bit]) => `${name}${value & bit ? "+" : "-"}`)
    .join(" ");
}

export function bitFields(value: number, bits: Bits): Record<string, boolean> {
  return Object.fromEntries(Object.entries(bits).map(([name, bit]) => [name, (value & bit) !== 0]));
}

/** Hexadecimal without 0x, as lspci writes offsets. */
export function plainHex(value: number, digits: number): string {
  return (value >>> 0).toString(16).padStart(digits, "0");
}

/** A capability under its offset, its further lines one step to the right of it. */
export function capabilityLines(list: readonly Capability[]): string[] {
  return list.flatMap(({ at, version, title, lines }) => {
    const place = version === undefined ? plainHex(at, 2) : `${plainHex(at, 3)} v${version}`;
    return [`\tCapabilities: [${place}] ${title}`, ...lines.map((line) => `\t\t${line}`)];
  });
}

/** What `lspci -F` wants before a dump: an address, and words that it does not read. */
export function dumpHead(space: Space): string {
  const class16 = plainHex(space.u16(0x0a), 4);
  const ids = `${plainHex(space.u16(0), 4)}:${plainHex(space.u16(2), 4)}`;
  return `00:00.0 Class ${class16}: ${ids} (rev ${plainHex(space.u8(8), 2)})`;
}

/** Sixteen bytes a line, as `lspci -xxxx`. */
export function hexdump(bytes: Uint8Array, start = 0, digits = 2): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)].map((byte) => plainHex(byte, 2)).join(" ");
    lines.push(`${plainHex(start + at, digits)}: ${row}`);
  }
  return lines;
}
