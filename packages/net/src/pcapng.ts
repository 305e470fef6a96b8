// The pcapng file (draft-ietf-opsawg-pcapng): blocks, each with its type and its length at both ends. Written here: section
// header, interface description, enhanced packet, little-endian with nanosecond times. Read: those blocks in both byte orders
// and with any time resolution; blocks of other types are passed over. Works on bytes, as pcap.ts does; a torn file is read
// up to where it is torn.
import { PcapError } from "./pcap.ts";

/** Link type of formats that are private to their reader and writer. */
export const LINKTYPE_USER0 = 147;

const BLOCK = { SECTION: 0x0a0d0d0a, INTERFACE: 1, ENHANCED_PACKET: 6 } as const;
const BYTE_ORDER = 0x1a2b3c4d;
const OPTION = { END: 0, COMMENT: 1, IF_NAME: 2, SHB_USERAPPL: 4, IF_TSRESOL: 9, EPB_FLAGS: 2 } as const;
/** Type, length, and the length once more. */
const BLOCK_OVERHEAD = 12;
const PACKET_HEAD = 20;
/** More than any block that is written here; a larger length is a torn or foreign file. */
const BLOCK_MAX = 1 << 26;
const NANO = 9;
const MICRO = 6;

/** Which way a packet went, from the interface's place (epb_flags bits 0-1). */
export type PcapngDirection = "in" | "out" | null;

export interface PcapngInterface {
  linkType: number;
  snapLength: number;
  name: string | null;
}

export interface PcapngPacket {
  /** Index into the interfaces of its section. */
  interfaceId: number;
  interface: PcapngInterface;
  /** Nanoseconds since 1970. */
  time: bigint;
  originalLength: number;
  direction: PcapngDirection;
  comments: string[];
  /** The captured bytes, in the file's memory. */
  data: Uint8Array;
}

/** The block that starts a file. @param application what writes it */
export function pcapngSection(application: string): Uint8Array {
  const body = new Uint8Array(16);
  const view = new DataView(body.buffer);
  view.setUint32(0, BYTE_ORDER, true);
  view.setUint16(4, 1, true);
  view.setBigInt64(8, -1n, true); // of a length that is not known
  return block(BLOCK.SECTION, [body, ...options([[OPTION.SHB_USERAPPL, utf8(application)]])]);
}

/** An interface, for the packets that come behind; they name it by its place among those of the file, from 0. */
export function pcapngInterface(linkType: number, name: string, snapLength = 0): Uint8Array {
  const body = new Uint8Array(8);
  const view = new DataView(body.buffer);
  view.setUint16(0, linkType, true);
  view.setUint32(4, snapLength, true);
  const list: Option[] = [
    [OPTION.IF_NAME, utf8(name)],
    [OPTION.IF_TSRESOL, Uint8Array.of(NANO)],
  ];
  return block(BLOCK.INTERFACE, [body, ...options(list)]);
}

/** One packet. Its bytes are copied. */
export function pcapngPacket(
  packet: Pick<PcapngPacket, "interfaceId" | "time" | "direction" | "comments" | "data"> & { originalLength?: number },
): Uint8Array {
  const { interfaceId, time, direction, comments, data, originalLength = data.length } = packet;
  const head = new Uint8Array(PACKET_HEAD);
  const view = new DataView(head.buffer);
  view.setUint32(0, interfaceId, true);
  view.setUint32(4, Number(time >> 32n), true);
  view.setUint32(8, Number(time & 0xffffffffn), true);
  view.setUint32(12, data.length, true);
  view.setUint32(16, originalLength, true);
  const list: Option[] = comments.map((comment) => [OPTION.COMMENT, utf8(comment)]);
  if (direction !== null) list.push([OPTION.EPB_FLAGS, Uint8Array.of(direction === "in" ? 1 : 2, 0, 0, 0)]);
  return block(BLOCK.ENHANCED_PACKET, [head, padded(data), ...options(list)]);
}

/** The packets of a file in order. @throws PcapError, for a torn file after all that is whole */
export function* readPcapng(file: Uint8Array): Generator<PcapngPacket> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < BLOCK_OVERHEAD || view.getUint32(0, true) !== BLOCK.SECTION)
    throw new PcapError("FORMAT", "no pcapng file: it does not start with a section header");
  let little = true;
  let interfaces: (PcapngInterface & { unit: (ticks: bigint) => bigint })[] = [];
  for (let at = 0; at < file.length; ) {
    if (file.length - at < BLOCK_OVERHEAD) throw torn(at, `${file.length - at} bytes are no block`);
    if (view.getUint32(at, true) === BLOCK.SECTION) {
      little = view.getUint32(at + 8, true) === BYTE_ORDER;
      if (view.getUint32(at + 8, little) !== BYTE_ORDER) throw new PcapError("FORMAT", `no byte order at offset ${at}`);
      interfaces = [];
    }
    const length = view.getUint32(at + 4, little);
    if (length < BLOCK_OVERHEAD || length % 4 !== 0 || length > BLOCK_MAX) throw torn(at, `a block of ${length} bytes`);
    if (length > file.length - at) throw torn(at, `${file.length - at} bytes of a block of ${length}`);
    if (view.getUint32(at + length - 4, little) !== length) throw torn(at, "its two lengths differ");
    const type = view.getUint32(at, little);
    const body = new DataView(file.buffer, file.byteOffset + at + 8, length - BLOCK_OVERHEAD);
    if (type === BLOCK.INTERFACE) interfaces.push(interfaceOf(body, little, at));
    if (type === BLOCK.ENHANCED_PACKET) {
      if (body.byteLength < PACKET_HEAD) throw torn(at, "a packet without its head");
      const from = interfaces[body.getUint32(0, little)];
      if (from === undefined)
        throw new PcapError("FORMAT", `the packet at offset ${at} names no interface of the file`);
      yield packetOf(body, little, at, from);
    }
    at += length;
  }
}

type Option = readonly [code: number, value: Uint8Array];

function interfaceOf(body: DataView, little: boolean, at: number) {
  if (body.byteLength < 8) throw torn(at, "an interface without its head");
  const list = [...optionsOf(body, 8, little)];
  const resolution = list.find(([code]) => code === OPTION.IF_TSRESOL)?.[1][0] ?? MICRO;
  const name = list.find(([code]) => code === OPTION.IF_NAME)?.[1];
  return {
    linkType: body.getUint16(0, little),
    snapLength: body.getUint32(4, little),
    name: name === undefined ? null : new TextDecoder().decode(name),
    unit: nanosecondsOf(resolution),
  };
}

/** Bit 7 set: a power of two of a second, else of ten. */
function nanosecondsOf(resolution: number): (ticks: bigint) => bigint {
  const power = BigInt(resolution & 0x7f);
  const perSecond = resolution & 0x80 ? 2n ** power : 10n ** power;
  return (ticks) => (ticks * 1_000_000_000n) / perSecond;
}

function packetOf(
  body: DataView,
  little: boolean,
  at: number,
  from: PcapngInterface & { unit: (ticks: bigint) => bigint },
): PcapngPacket {
  const captured = body.getUint32(12, little);
  if (captured > body.byteLength - PACKET_HEAD) throw torn(at, `a packet that says ${captured} bytes`);
  const list = [...optionsOf(body, PACKET_HEAD + roundUp(captured), little)];
  const flags = list.find(([code, value]) => code === OPTION.EPB_FLAGS && value.length === 4)?.[1];
  const way = flags === undefined ? 0 : (little ? flags[0]! : flags[3]!) & 3;
  const { unit, ...face } = from;
  return {
    interfaceId: body.getUint32(0, little),
    interface: face,
    time: unit((BigInt(body.getUint32(4, little)) << 32n) | BigInt(body.getUint32(8, little))),
    originalLength: body.getUint32(16, little),
    direction: way === 1 ? "in" : way === 2 ? "out" : null,
    comments: list.filter(([code]) => code === OPTION.COMMENT).map(([, value]) => new TextDecoder().decode(value)),
    data: new Uint8Array(body.buffer, body.byteOffset + PACKET_HEAD, captured),
  };
}

/** Up to the end mark, the end of the block, or an option that is longer than the rest. */
function* optionsOf(body: DataView, start: number, little: boolean): Generator<Option> {
  for (let at = start; at + 4 <= body.byteLength; ) {
    const code = body.getUint16(at, little);
    const length = body.getUint16(at + 2, little);
    if (code === OPTION.END || at + 4 + length > body.byteLength) return;
    yield [code, new Uint8Array(body.buffer, body.byteOffset + at + 4, length)];
    at += 4 + roundUp(length);
  }
}

function options(list: readonly Option[]): Uint8Array[] {
  const parts = list.flatMap(([code, value]) => {
    const kept = value.subarray(0, 0xffff);
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint16(0, code, true);
    new DataView(head.buffer).setUint16(2, kept.length, true);
    return [head, padded(kept)];
  });
  return parts.length === 0 ? [] : [...parts, new Uint8Array(4)];
}

function block(type: number, parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, BLOCK_OVERHEAD);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, length, true);
  view.setUint32(length - 4, length, true);
  let at = 8;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function padded(bytes: Uint8Array): Uint8Array {
  if (bytes.length % 4 === 0) return bytes;
  const whole = new Uint8Array(roundUp(bytes.length));
  whole.set(bytes);
  return whole;
}

const roundUp = (length: number): number => Math.ceil(length / 4) * 4;
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function torn(at: number, what: string): PcapError {
  return new PcapError("TORN", `torn pcapng file: at offset ${at}: ${what}`);
}
