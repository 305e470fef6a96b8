// A dirty log for devices that have none of their own: the device says where it has written, by `mark`, and gives this
// object to the server as its `dirtyLog`. Costs a comparison a write while no client logs. Noted by pages of 4096 bytes
// in a set, which suits devices with few writes; an lcore needs something else.

import { PAGE_SIZE } from "../wire/constants.ts";
import type { DirtyLogOps } from "./device.ts";

const PAGE = BigInt(PAGE_SIZE);

export class DirtyPages implements DirtyLogOps {
  readonly pageSizes: bigint = PAGE;
  #ranges: readonly { iova: bigint; size: bigint }[] = [];
  /** By number; null while nobody logs. */
  #pages: Set<bigint> | null = null;

  /** The device has written `bytes` bytes at `iova`. */
  mark(iova: bigint, bytes: number): void {
    if (this.#pages === null || bytes === 0) return;
    for (let page = iova / PAGE; page <= (iova + BigInt(bytes) - 1n) / PAGE; page++) {
      if (this.#logs(page * PAGE)) this.#pages.add(page);
    }
  }

  start(ranges: readonly { iova: bigint; size: bigint }[]): void {
    this.#ranges = ranges;
    this.#pages = new Set();
  }

  stop(): void {
    this.#pages = null;
  }

  report(iova: bigint, size: bigint, _pageSize: number, bitmap: Uint8Array): void {
    const [first, last] = [iova / PAGE, (iova + size - 1n) / PAGE];
    for (const page of this.#pages ?? []) {
      if (page < first || page > last) continue;
      const bit = Number(page - first);
      (bitmap[bit >>> 3] as number) |= 1 << (bit & 7);
      this.#pages?.delete(page);
    }
  }

  #logs(at: bigint): boolean {
    return this.#ranges.length === 0 || this.#ranges.some(({ iova, size }) => at >= iova && at < iova + size);
  }
}
