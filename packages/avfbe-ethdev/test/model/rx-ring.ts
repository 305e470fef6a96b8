// The device's side of a guest receive ring in plain TypeScript: what becomes of any sequence of packets over any sequence of
// posted buffers, under any filters. The same rules as the kernels', written once more without their tricks.
import { crc } from "./checksum.ts";
import { tagged } from "./frames.ts";

export interface Filters {
  mac: Uint8Array;
  promisc_unicast: boolean;
  promisc_multicast: boolean;
  mac_filters: readonly Uint8Array[];
  vlan_filters: readonly number[];
  vlan_strip: boolean;
}

export interface Packet {
  bytes: Uint8Array;
  /** A tag that the sender asks to have inserted. */
  vlan?: number;
}

export interface Ring {
  /** Guest addresses of the posted buffers, in order. */
  posted: readonly bigint[];
  bufSize: number;
  maxPkt: number;
  crc: boolean;
  writable(address: bigint, length: number): boolean;
}

/** What is written back into one descriptor, and into its buffer. */
export interface WrittenBack {
  data: Uint8Array;
  end: boolean;
  error: boolean;
  tag: number | null;
}

export interface Outcome {
  /** Packets done with, from the first; the next one found too few buffers. */
  taken: number;
  written: WrittenBack[];
  filtered: number;
  oversize: number;
  runts: number;
  badAddress: number;
  sent: number;
}

const same = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, i) => byte === b[i]);

function addressPasses(to: Uint8Array, filters: Filters): boolean {
  if (to.every((byte) => byte === 255) || same(to, filters.mac)) return true;
  if (to[0]! & 1 ? filters.promisc_multicast : filters.promisc_unicast) return true;
  return filters.mac_filters.some((mac) => same(to, mac));
}

export function runRxRing(packets: readonly Packet[], ring: Ring, filters: Filters): Outcome {
  const outcome = {
    taken: 0,
    written: [] as WrittenBack[],
    filtered: 0,
    oversize: 0,
    runts: 0,
    badAddress: 0,
    sent: 0,
  };
  for (const { bytes, vlan } of packets) {
    let drop: "runts" | "filtered" | "oversize" | null = null;
    let frame = bytes;
    let tag: number | null = null;
    if (bytes.length < 14) drop = "runts";
    else if (!addressPasses(bytes.subarray(0, 6), filters)) drop = "filtered";
    else if (bytes.length > ring.maxPkt) drop = "oversize";
    else {
      const own = bytes.length >= 18 && bytes[12] === 0x81 && bytes[13] === 0;
      const tci = vlan ?? (own ? (bytes[14]! << 8) | bytes[15]! : null);
      const id = tci === null ? 0 : tci & 0xfff;
      if (filters.vlan_filters.length > 0 && id !== 0 && !filters.vlan_filters.includes(id)) drop = "filtered";
      else if (filters.vlan_strip) {
        tag = tci;
        if (vlan === undefined && own) frame = Uint8Array.from([...bytes.subarray(0, 12), ...bytes.subarray(16)]);
      } else if (vlan !== undefined) frame = tagged(bytes, vlan);
    }
    if (drop !== null) {
      outcome[drop]++;
      outcome.taken++;
      continue;
    }
    if (ring.crc) {
      const sum = crc(frame, 0xedb88320);
      frame = Uint8Array.from([...frame, sum & 255, (sum >>> 8) & 255, (sum >>> 16) & 255, sum >>> 24]);
    }
    const needed = Math.ceil(frame.length / ring.bufSize);
    const first = outcome.written.length;
    if (first + needed > ring.posted.length) return outcome;
    for (let i = 0; i < needed; i++) {
      const data = frame.subarray(i * ring.bufSize, (i + 1) * ring.bufSize);
      const end = i === needed - 1;
      if (!ring.writable(ring.posted[first + i]!, data.length)) {
        outcome.written.push({ data, end: true, error: true, tag: null });
        outcome.badAddress++;
        outcome.runts++;
        outcome.sent--;
        break;
      }
      outcome.written.push({ data, end, error: false, tag: end ? tag : null });
    }
    outcome.sent++;
    outcome.taken++;
  }
  return outcome;
}
