// The classic pcap file (draft-ietf-opsawg-pcap): a header of 24 bytes, then for each packet 16 bytes of time and
// lengths and the captured bytes. Read and written in both byte orders, with microsecond or nanosecond
// times. Works on bytes: files are the caller's. A file that is torn or no pcap is refused with the offset
// where it goes wrong.

export const PCAP_HEADER_SIZE = 24;
export const PCAP_RECORD_SIZE = 16;
export const LINKTYPE_ETHERNET = 1;
const MAGIC_US = 0xa1b2c3d4;
const MAGIC_NS = 0xa1b23c4d;
/** More than any packet; a larger length is a torn or foreign file. */
const LENGTH_MAX = 262_144;

export class PcapError extends Error {
  readonly code: "FORMAT" | "TORN";

  constructor(code: "FORMAT" | "TORN", message: string) {
    super(message);
    this.name = "PcapError";
    this.code = code;
  }
}

export interface PcapPacket {
  /** Seconds since 1970. */
  seconds: number;
  nanoseconds: number;
  /** Bytes on the wire, at least data.length. */
  originalLength: number;
  /** The captured bytes, in the file's memory. */
  data: Uint8Array;
}

export interface PcapFile {
  linkType: number;
  snapLength: number;
  packets: PcapPacket[];
}

/** Reads a whole file. @throws PcapError */
export function readPcap(file: Uint8Array): PcapFile {
  if (file.length < PCAP_HEADER_SIZE)
    throw new PcapError("FORMAT", `no pcap file: ${file.length} bytes, its header alone has ${PCAP_HEADER_SIZE}`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const magic = [view.getUint32(0, true), view.getUint32(0, false)];
  const little = magic[0] === MAGIC_US || magic[0] === MAGIC_NS;
  const found = little ? magic[0] : magic[1];
  if (found !== MAGIC_US && found !== MAGIC_NS) {
    const hint = magic[0] === 0x0a0d0d0a ? "; it is pcapng: convert it with 'editcap -F pcap'" : "";
    throw new PcapError("FORMAT", `no pcap file: magic number 0x${magic[0]!.toString(16)}${hint}`);
  }
  const major = view.getUint16(4, little);
  if (major !== 2) throw new PcapError("FORMAT", `pcap file of version ${major}; 2 is what is understood`);
  const toNs = found === MAGIC_US ? 1000 : 1;
  const packets: PcapPacket[] = [];
  for (let at = PCAP_HEADER_SIZE; at < file.length; ) {
    if (file.length - at < PCAP_RECORD_SIZE)
      throw new PcapError("TORN", `torn pcap file: packet ${packets.length} at offset ${at} has no whole header`);
    const length = view.getUint32(at + 8, little);
    if (length > LENGTH_MAX || length > file.length - at - PCAP_RECORD_SIZE)
      throw new PcapError("TORN", `torn pcap file: packet ${packets.length} at offset ${at} says ${length} bytes`);
    const start = at + PCAP_RECORD_SIZE;
    packets.push({
      seconds: view.getUint32(at, little),
      nanoseconds: view.getUint32(at + 4, little) * toNs,
      originalLength: view.getUint32(at + 12, little),
      data: file.subarray(start, start + length),
    });
    at = start + length;
  }
  return { linkType: view.getUint32(20, little) & 0xffff, snapLength: view.getUint32(16, little), packets };
}

/** How a file is written; what is left out is little-endian, in microseconds, uncut, Ethernet. */
export interface PcapOptions {
  bigEndian?: boolean;
  nanoseconds?: boolean;
  /** Bytes at which packets are cut. */
  snapLength?: number;
  linkType?: number;
}

/** The header of a file with microsecond times. */
export function pcapHeader(snapLength = LENGTH_MAX, linkType = LINKTYPE_ETHERNET): Uint8Array {
  return header({ snapLength, linkType });
}

/**
 * Writes the 16 bytes before a packet's data, in a file as pcapHeader starts it.
 * @param captured bytes that follow; @param original bytes on the wire
 */
export function putPcapRecord(
  view: DataView,
  offset: number,
  seconds: number,
  microseconds: number,
  captured: number,
  original = captured,
): void {
  putRecord(view, offset, [seconds, microseconds, captured, original], true);
}

/** A whole file of packets with the given times. */
export function writePcap(
  packets: readonly (Pick<PcapPacket, "seconds" | "nanoseconds" | "data"> & { originalLength?: number })[],
  options: PcapOptions = {},
): Uint8Array {
  const { bigEndian = false, nanoseconds: inNs = false, snapLength = LENGTH_MAX } = options;
  const kept = packets.map(({ data }) => data.subarray(0, snapLength));
  const file = new Uint8Array(kept.reduce((total, { length }) => total + PCAP_RECORD_SIZE + length, PCAP_HEADER_SIZE));
  file.set(header(options));
  const view = new DataView(file.buffer);
  let at = PCAP_HEADER_SIZE;
  packets.forEach(({ seconds, nanoseconds, data, originalLength = data.length }, i) => {
    const fraction = inNs ? nanoseconds : Math.floor(nanoseconds / 1000);
    putRecord(view, at, [seconds, fraction, kept[i]!.length, originalLength], !bigEndian);
    file.set(kept[i]!, at + PCAP_RECORD_SIZE);
    at += PCAP_RECORD_SIZE + kept[i]!.length;
  });
  return file;
}

function header(options: PcapOptions): Uint8Array {
  const { bigEndian = false, nanoseconds = false, snapLength = LENGTH_MAX, linkType = LINKTYPE_ETHERNET } = options;
  if (!Number.isInteger(snapLength) || snapLength < 1 || snapLength > LENGTH_MAX)
    throw new PcapError("FORMAT", `snap length ${snapLength}: it must be from 1 to ${LENGTH_MAX}`);
  const view = new DataView(new ArrayBuffer(PCAP_HEADER_SIZE));
  view.setUint32(0, nanoseconds ? MAGIC_NS : MAGIC_US, !bigEndian);
  view.setUint16(4, 2, !bigEndian);
  view.setUint16(6, 4, !bigEndian);
  view.setUint32(16, snapLength, !bigEndian);
  view.setUint32(20, linkType, !bigEndian);
  return new Uint8Array(view.buffer);
}

function putRecord(view: DataView, offset: number, words: readonly number[], little: boolean): void {
  words.forEach((word, i) => {
    view.setUint32(offset + 4 * i, word, little);
  });
}
