// The dirty log of one client: whether it runs, by which page size the device notes its writes, and reports in whatever
// page size the client asks for. The device has the log itself (DirtyLogOps). Made for each client that gets a device
// with `dirtyLog`; used by commands/feature.ts and commands/dma.ts.

import { refusal } from "../errors.ts";
import { ERRNO } from "../wire/constants.ts";
import { bitmapBytes, type Control, type Report } from "../wire/dma-logging.ts";
import { rescale } from "./bitmap.ts";
import type { DirtyLogOps } from "./device.ts";

interface Running {
  /** What the client asked for, and what the device notes by. */
  asked: Control;
  pageSize: number;
}

/** Pages that the device is asked about at once: a bitmap of 64 KiB, whatever size of memory is asked about. */
const CHUNK_PAGES = 1 << 19;

export class DirtyLog {
  #ops: DirtyLogOps;
  #running: Running | null = null;

  constructor(ops: DirtyLogOps) {
    this.#ops = ops;
  }

  /** Bytes of a page of the log; null while it does not run. */
  get pageSize(): number | null {
    return this.#running?.pageSize ?? null;
  }

  /** Resolves to the page size of the log. The same once more changes nothing; anything else is EINVAL while it runs. */
  async start(control: Control): Promise<number> {
    if (this.#running !== null) {
      const { asked, pageSize } = this.#running;
      const samePage = control.pageSize === asked.pageSize || control.pageSize === BigInt(pageSize);
      if (samePage && sameRanges(control, asked)) return pageSize;
      throw refusal(ERRNO.EINVAL, `the log runs already, with pages of ${pageSize} bytes`);
    }
    const pageSize = choosePageSize(this.#ops.pageSizes, control.pageSize);
    const ranges = [...control.ranges].sort((a, b) => (a.iova < b.iova ? -1 : 1));
    await this.#ops.start(ranges, pageSize);
    this.#running = { asked: control, pageSize };
    return pageSize;
  }

  /** Stopping what does not run is no fault. */
  async stop(): Promise<void> {
    if (this.#running === null) return;
    await this.#ops.stop();
    this.#running = null;
  }

  /** The bitmap, in whole 64-bit words. What is reported is forgotten. */
  async report({ iova, size, pageSize }: Report): Promise<Uint8Array> {
    if (this.#running === null) throw refusal(ERRNO.EINVAL, "the log does not run");
    const noted = this.#running.pageSize;
    const into = new Uint8Array(Number(bitmapBytes(size, pageSize)));
    const pages = Number((size + pageSize - 1n) / pageSize);
    const chunk = BigInt(noted) * BigInt(CHUNK_PAGES);
    for (let at = 0n; at < size; at += chunk) {
      // The largest region has thousands of pieces: other clients and timers have their turns in between.
      if (at > 0n) await new Promise(setImmediate);
      const part = size - at < chunk ? size - at : chunk;
      const bitmap = new Uint8Array(Number(bitmapBytes(part, BigInt(noted))));
      await this.#ops.report(iova + at, part, noted, bitmap);
      rescale(bitmap, noted, Number(at), into, Number(pageSize), pages);
    }
    return into;
  }
}

/** The one asked for, or the next smaller one, which tells more; failing that the smallest there is. */
export function choosePageSize(sizes: bigint, asked: bigint): number {
  for (let size = asked; size > 0n; size >>= 1n) if (sizes & size) return Number(size);
  return Number(sizes & -sizes);
}

function sameRanges(a: Control, b: Control): boolean {
  const text = ({ ranges }: Control): string =>
    ranges
      .map(({ iova, size }) => `${iova}+${size}`)
      .sort()
      .join();
  return text(a) === text(b);
}
