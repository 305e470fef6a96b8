// Frames as a guest's stack would hand them to an AVF, the descriptor words that go with them, and what must come out.
import { finishIpv4, finishL4, type Headers, seedL4 } from "./checksum.ts";

export interface FrameSpec {
  ipv6: boolean;
  protocol: "tcp" | "udp" | "sctp";
  payload: number;
  /** Bytes of IP options, a multiple of 4 (IPv4 alone). */
  ipOptions?: number;
  /** Bytes of TCP options, a multiple of 4. */
  tcpOptions?: number;
  tcpFlags?: number;
  seed?: number;
}

export interface Frame {
  bytes: Uint8Array;
  headers: Headers;
  /** All headers. */
  headerBytes: number;
  /** Command bits IIPT and L4T with header checksum, and the offsets field. */
  cmd: number;
  offsets: number;
}

/** A frame whose checksum fields hold what a stack leaves there; `tso`: without the length in the pseudo-header. */
export function makeFrame(spec: FrameSpec, tso = false): Frame {
  const { ipv6, protocol, payload, ipOptions = 0, tcpOptions = 0, tcpFlags = 0x18, seed = 1 } = spec;
  const ipBytes = ipv6 ? 40 : 20 + ipOptions;
  const l4Bytes = protocol === "tcp" ? 20 + tcpOptions : protocol === "udp" ? 8 : 12;
  const headers: Headers = { l3: 14, l4: 14 + ipBytes, ipv6, protocol };
  const headerBytes = headers.l4 + l4Bytes;
  const bytes = new Uint8Array(headerBytes + payload);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31 + seed * 7 + (i >> 8)) & 255;
  bytes.set([2, 0, 0, 0, 0, seed & 255, 2, 1, 1, 1, 1, 1], 0);
  view.setUint16(12, ipv6 ? 0x86dd : 0x0800);
  const number = { tcp: 6, udp: 17, sctp: 132 }[protocol];
  if (ipv6) {
    bytes[14] = 0x60;
    view.setUint16(18, l4Bytes + payload);
    bytes[20] = number;
  } else {
    bytes[14] = 0x40 | (ipBytes / 4);
    view.setUint16(16, ipBytes + l4Bytes + payload);
    view.setUint16(20, 0x4000);
    bytes[23] = number;
    view.setUint16(24, 0);
  }
  if (protocol === "tcp") {
    bytes[headers.l4 + 12] = (l4Bytes / 4) << 4;
    bytes[headers.l4 + 13] = tcpFlags;
  }
  if (protocol === "udp") view.setUint16(headers.l4 + 4, 8 + payload);
  seedL4(bytes, headers, tso ? 0 : l4Bytes + payload);
  const cmd = (ipv6 ? 0x20 : 0x60) | { tcp: 0x100, udp: 0x300, sctp: 0x200 }[protocol];
  const offsets = 7 | ((ipBytes / 4) << 7) | ((l4Bytes / 4) << 14);
  return { bytes, headers, headerBytes, cmd, offsets };
}

/** The frame with every checksum right. */
export function finished({ bytes, headers }: Frame): Uint8Array {
  const frame = bytes.slice();
  if (!headers.ipv6) finishIpv4(frame, headers.l3, headers.l4);
  finishL4(frame, headers, frame.length);
  return frame;
}

/** The segments of a TSO frame, each with every field right. */
export function segmentsOf({ bytes, headers, headerBytes }: Frame, mss: number): Uint8Array[] {
  const { l3, l4, ipv6, protocol } = headers;
  const source = new DataView(bytes.buffer, bytes.byteOffset);
  const segments: Uint8Array[] = [];
  for (let at = headerBytes; at < bytes.length; at += mss) {
    const payload = bytes.subarray(at, at + mss);
    const segment = new Uint8Array(headerBytes + payload.length);
    segment.set(bytes.subarray(0, headerBytes));
    segment.set(payload, headerBytes);
    const view = new DataView(segment.buffer);
    if (ipv6) {
      view.setUint16(l3 + 4, segment.length - l3 - 40);
    } else {
      view.setUint16(l3 + 2, segment.length - l3);
      view.setUint16(l3 + 4, (source.getUint16(l3 + 4) + segments.length) & 0xffff);
      finishIpv4(segment, l3, l4);
    }
    if (protocol === "tcp") {
      view.setUint32(l4 + 4, (source.getUint32(l4 + 4) + (at - headerBytes)) >>> 0);
      if (at + mss < bytes.length) segment[l4 + 13]! &= ~0x09;
      if (at > headerBytes) segment[l4 + 13]! &= ~0x80;
    } else {
      view.setUint16(l4 + 4, segment.length - l4);
    }
    finishL4(segment, headers, segment.length);
    segments.push(segment);
  }
  return segments;
}

/** A frame with an 802.1Q tag behind the MAC addresses. */
export function tagged(frame: Uint8Array, tci: number): Uint8Array {
  return Uint8Array.from([...frame.subarray(0, 12), 0x81, 0x00, tci >>> 8, tci & 255, ...frame.subarray(12)]);
}
