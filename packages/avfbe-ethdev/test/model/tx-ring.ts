// The device's side of a guest transmit ring in plain TypeScript: what becomes of any sequence of descriptors, well formed or
// not. The same rules as the kernels', written once more without their tricks: one descriptor at a time, packets as arrays.
import { finishIpv4, finishL4, type Headers, internetChecksum } from "./checksum.ts";
import { tagged } from "./frames.ts";

export interface Desc {
  address: bigint;
  word: bigint;
}

export type Counter =
  | "type"
  | "length"
  | "eop"
  | "address"
  | "context"
  | "offload"
  | "tso"
  | "tsoPackets"
  | "checksumPackets";

export interface Outcome {
  packets: Uint8Array[];
  counters: Record<Counter, number>;
  /** Descriptors completed. */
  consumed: number;
}

const bits = (word: bigint, shift: number, width: number): number =>
  Number((word >> BigInt(shift)) & ((1n << BigInt(width)) - 1n));

/**
 * Runs all descriptors.
 * @param read guest memory, null outside
 */
export function runTxRing(
  descs: readonly Desc[],
  read: (address: bigint, length: number) => Uint8Array | null,
): Outcome {
  const counters = {
    type: 0,
    length: 0,
    eop: 0,
    address: 0,
    context: 0,
    offload: 0,
    tso: 0,
    tsoPackets: 0,
    checksumPackets: 0,
  };
  const packets: Uint8Array[] = [];
  let at = 0;
  let skipping = false;
  const isEnd = ({ word }: Desc): boolean => bits(word, 0, 4) === 0 && (bits(word, 4, 12) & 1) === 1;
  while (at < descs.length) {
    if (skipping) {
      skipping = !isEnd(descs[at++]!);
      continue;
    }
    // The packet's extent, and the first thing wrong with it.
    const data: Desc[] = [];
    let context: Desc | null = null;
    let fault: Counter | null = null;
    let limit = 8;
    let next = at;
    let complete = false;
    while (next < descs.length && !complete) {
      const desc = descs[next++]!;
      const type = bits(desc.word, 0, 4);
      if (type === 1) {
        if (data.length > 0 || context !== null) fault ??= "context";
        context = desc;
        if ((Number(desc.address & 0xffffffffn) & 0x603) !== 0) fault ??= "context";
        if (bits(desc.word, 4, 1) === 1) limit = 256;
      } else if (type === 0) {
        if (bits(desc.word, 34, 14) === 0) fault ??= "length";
        data.push(desc);
        complete = isEnd(desc);
      } else {
        fault = "type";
        complete = true;
      }
      if (!complete && (data.length > limit || next - at > limit + 1)) {
        fault = "eop";
        complete = true;
      }
    }
    if (!complete) break; // waits for the rest
    const total = data.reduce((sum, { word }) => sum + bits(word, 34, 14), 0);
    at = next;
    if (fault === "eop" || fault === "type") {
      counters[fault]++;
      skipping = !(fault === "type" && total === 0);
      continue;
    }
    const last = data.at(-1)!.word;
    const cmd = bits(last, 4, 12);
    if (cmd & 0x10) continue; // DUMMY
    const tso = context !== null && bits(context.word, 4, 1) === 1;
    if (fault === null && (total < 14 || total > (tso ? 66_560 : 9724))) fault = "length";
    if (fault !== null) {
      counters[fault]++;
      continue;
    }
    const pieces = data.map(({ address, word }) => read(address, bits(word, 34, 14)));
    if (pieces.includes(null)) {
      counters.address++;
      continue;
    }
    const frame = Uint8Array.from(pieces.flatMap((piece) => [...piece!]));
    const insert = (packet: Uint8Array): Uint8Array => {
      const inner = cmd & 8 ? tagged(packet, bits(last, 48, 16)) : packet;
      const outer = context !== null && bits(context.word, 6, 1) === 1;
      return outer ? tagged(inner, bits(context!.address, 32, 16)) : inner;
    };
    const headers = headersOf(frame, cmd, bits(last, 16, 18));
    if (tso) {
      const mss = bits(context!.word, 50, 14);
      const payload = bits(context!.word, 30, 18);
      const tags = insert(frame).length - frame.length;
      const headerBytes = headers === null ? 0 : headers.end;
      const wrong =
        headers?.l4 === undefined ||
        headers.protocol === "sctp" ||
        headerBytes + tags > 256 ||
        payload === 0 ||
        payload !== frame.length - headerBytes ||
        mss < 64 ||
        mss + headerBytes + tags > 9724;
      counters[wrong ? "tso" : "tsoPackets"]++;
      if (!wrong) for (const segment of cut(frame, headers as Required<Found>, mss)) packets.push(insert(segment));
      continue;
    }
    if (cmd & 0x360) {
      if (headers === null || !finish(frame, headers, cmd)) {
        counters.offload++;
        continue;
      }
      counters.checksumPackets++;
    }
    packets.push(insert(frame));
  }
  return { packets, counters, consumed: at };
}

interface Found extends Omit<Headers, "protocol" | "l4"> {
  /** Only where the descriptor names an L4. */
  l4?: number;
  protocol?: Headers["protocol"];
  ipEnd: number;
  end: number;
}

/** The headers as a descriptor claims them, null where the packet disagrees. */
function headersOf(frame: Uint8Array, cmd: number, offsets: number): Found | null {
  const l3 = (offsets & 0x7f) * 2;
  const ipBytes = ((offsets >> 7) & 0x7f) * 4;
  const l4Bytes = ((offsets >> 14) & 0xf) * 4;
  const ipEnd = l3 + ipBytes;
  if (l3 < 14 || ipEnd > frame.length) return null;
  const version = frame[l3]! >> 4;
  const iipt = (cmd >> 5) & 3;
  if (iipt === 1 && (ipBytes < 40 || version !== 6)) return null;
  if (iipt >= 2 && (ipBytes < 20 || version !== 4 || (frame[l3]! & 15) * 4 !== ipBytes)) return null;
  const ipv6 = iipt === 1;
  const l4t = (cmd >> 8) & 3;
  if (l4t === 0) return { l3, ipv6, ipEnd, end: ipEnd };
  const end = ipEnd + l4Bytes;
  const protocol = (["tcp", "sctp", "udp"] as const)[l4t - 1]!;
  const fits = { tcp: l4Bytes >= 20, sctp: l4Bytes === 12, udp: l4Bytes === 8 }[protocol];
  return iipt === 0 || end > frame.length || !fits ? null : { l3, ipv6, ipEnd, l4: ipEnd, protocol, end };
}

/** The L4 field holds the guest's sum, whatever it is: complete it over the IP packet's length. */
function finish(frame: Uint8Array, headers: Found, cmd: number): boolean {
  const view = new DataView(frame.buffer);
  const { l3, ipv6, ipEnd, l4, protocol } = headers;
  const before = frame.slice();
  if ((cmd & 0x60) === 0x60) finishIpv4(frame, l3, ipEnd);
  if (l4 === undefined) return true;
  const end = l3 + (ipv6 ? 40 + view.getUint16(l3 + 4) : view.getUint16(l3 + 2));
  if (end > frame.length || end < headers.end) {
    frame.set(before);
    return false;
  }
  if (protocol === "sctp") {
    finishL4(frame, { l3, l4, ipv6, protocol }, end);
    return true;
  }
  const sum = internetChecksum(frame.subarray(l4, end));
  view.setUint16(l4 + (protocol === "tcp" ? 16 : 6), protocol === "udp" && sum === 0 ? 0xffff : sum);
  return true;
}

function cut(frame: Uint8Array, headers: Required<Found>, mss: number): Uint8Array[] {
  const { l3, l4, ipv6, ipEnd, protocol, end } = headers;
  const segments: Uint8Array[] = [];
  const source = new DataView(frame.buffer);
  for (let at = end; at < frame.length; at += mss) {
    const segment = Uint8Array.from([...frame.subarray(0, end), ...frame.subarray(at, at + mss)]);
    const view = new DataView(segment.buffer);
    if (ipv6) view.setUint16(l3 + 4, segment.length - l3 - 40);
    else {
      view.setUint16(l3 + 2, segment.length - l3);
      view.setUint16(l3 + 4, source.getUint16(l3 + 4) + segments.length);
      finishIpv4(segment, l3, ipEnd);
    }
    if (protocol === "tcp") {
      view.setUint32(l4 + 4, source.getUint32(l4 + 4) + at - end);
      if (at + mss < frame.length) segment[l4 + 13]! &= ~9;
      if (at > end) segment[l4 + 13]! &= ~0x80;
    } else view.setUint16(l4 + 4, segment.length - l4);
    const length = Uint8Array.from([(segment.length - l4) >> 8, (segment.length - l4) & 255]);
    const sum = internetChecksum(length, segment.subarray(l4));
    view.setUint16(l4 + (protocol === "tcp" ? 16 : 6), protocol === "udp" && sum === 0 ? 0xffff : sum);
    segments.push(segment);
  }
  return segments;
}
