// Physical Region Pages (NVM Express Base Specification 1.4, 4.3): where in the host's memory a command's data lie. The first
// entry may start inside a page; the second is a page, or the address of a list of pages, whose last entry points to the
// next list when there is more. Lists are copied before use, and bounded by the transfer size, so none goes on for ever.
import { addressAt } from "./command.ts";
import type { Dma } from "./dma.ts";
import { demand, STATUS } from "./status.ts";

/** One piece of the host's memory. */
export interface Segment {
  address: number;
  bytes: number;
}

/** The pieces that `bytes` bytes of data lie in, in order; neighbours are joined. @throws StatusError, DmaError */
export async function segmentsOf(
  dma: Dma,
  prp1: number,
  prp2: number,
  bytes: number,
  pageBytes: number,
): Promise<Segment[]> {
  const segments: Segment[] = [];
  let left = bytes;
  const add = (address: number, room: number): void => {
    const size = Math.min(left, room);
    const last = segments.at(-1);
    if (last !== undefined && last.address + last.bytes === address) last.bytes += size;
    else segments.push({ address, bytes: size });
    left -= size;
  };
  demand(prp1 % 4 === 0, STATUS.INVALID_PRP_OFFSET, "the first PRP entry is not aligned to 4 bytes");
  add(prp1, pageBytes - (prp1 % pageBytes));
  if (left === 0) return segments;
  if (left <= pageBytes) {
    demand(prp2 % pageBytes === 0, STATUS.INVALID_PRP_OFFSET, "the second PRP entry is not the start of a page");
    add(prp2, pageBytes);
    return segments;
  }
  demand(prp2 % 8 === 0, STATUS.INVALID_PRP_OFFSET, "the PRP list is not aligned to 8 bytes");
  for (let list = prp2; left > 0; ) {
    const pages = Math.ceil(left / pageBytes);
    const room = (pageBytes - (list % pageBytes)) / 8;
    const entries = new Uint8Array(8 * Math.min(pages, room));
    await dma.read(list, entries);
    const view = new DataView(entries.buffer);
    const chained = pages > room;
    for (let i = 0; i < entries.length / 8; i++) {
      const address = addressAt(view, 8 * i);
      demand(address % pageBytes === 0, STATUS.INVALID_PRP_OFFSET, "a PRP list's entry is not the start of a page");
      if (chained && i === room - 1) list = address;
      else add(address, pageBytes);
    }
  }
  return segments;
}

/** The pieces as they lie in the host's memory, for use in the same turn; null when one of them cannot be had so. */
export function viewsOf(dma: Dma, segments: readonly Segment[], forWriting: boolean): Uint8Array[] | null {
  const views: Uint8Array[] = [];
  for (const { address, bytes } of segments) {
    const view = dma.view(address, bytes, forWriting);
    if (view === null) return null;
    views.push(view);
  }
  return views;
}

/** Copies from the host's memory into `into`. */
export async function readSegments(dma: Dma, segments: readonly Segment[], into: Uint8Array): Promise<void> {
  let at = 0;
  for (const { address, bytes } of segments) {
    const part = dma.read(address, into.subarray(at, at + bytes));
    if (part !== undefined) await part;
    at += bytes;
  }
}

/** Copies `from` into the host's memory. */
export async function writeSegments(dma: Dma, segments: readonly Segment[], from: Uint8Array): Promise<void> {
  let at = 0;
  for (const { address, bytes } of segments) {
    const part = dma.write(address, from.subarray(at, at + bytes));
    if (part !== undefined) await part;
    at += bytes;
  }
}
