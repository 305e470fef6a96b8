// The data of features DMA_LOGGING_START (page size and ranges) and DMA_LOGGING_REPORT (range and page size, behind
// which the reply has the bitmap: a bit a page, the lowest address first, in whole 64-bit words). DMA_LOGGING_STOP has
// none that matters. linux/vfio.h has the rules for ranges; the bounds on their number and on a bitmap are ours.

export const CONTROL_SIZE = 16;
export const RANGE_SIZE = 16;
export const REPORT_SIZE = 24;
/** What fits on a page is what VFIO promises (256); this is generous. */
export const MAX_RANGES = 4096;

export interface Range {
  iova: bigint;
  size: bigint;
}

export interface Control {
  pageSize: bigint;
  ranges: Range[];
}

export interface Report extends Range {
  pageSize: bigint;
}

export function encodeControlInto(view: DataView, offset: number, msg: Control): number {
  view.setBigUint64(offset, msg.pageSize, true);
  view.setUint32(offset + 8, msg.ranges.length, true);
  view.setUint32(offset + 12, 0, true);
  msg.ranges.forEach(({ iova, size }, i) => {
    view.setBigUint64(offset + CONTROL_SIZE + i * RANGE_SIZE, iova, true);
    view.setBigUint64(offset + CONTROL_SIZE + i * RANGE_SIZE + 8, size, true);
  });
  return CONTROL_SIZE + msg.ranges.length * RANGE_SIZE;
}

/** null: cut short, or more ranges than MAX_RANGES. */
export function decodeControl(view: DataView, offset: number, length: number): Control | null {
  if (length < CONTROL_SIZE) return null;
  const count = view.getUint32(offset + 8, true);
  if (count > MAX_RANGES || length < CONTROL_SIZE + count * RANGE_SIZE) return null;
  const ranges = Array.from({ length: count }, (_, i) => ({
    iova: view.getBigUint64(offset + CONTROL_SIZE + i * RANGE_SIZE, true),
    size: view.getBigUint64(offset + CONTROL_SIZE + i * RANGE_SIZE + 8, true),
  }));
  return { pageSize: view.getBigUint64(offset, true), ranges };
}

/** Ranges are aligned to the page size, not empty, and apart from one another. */
export function invalidControl({ pageSize, ranges }: Control): string | null {
  if (!isPageSize(pageSize)) return `page size ${pageSize} is no power of two`;
  const sorted = [...ranges].sort((a, b) => (a.iova < b.iova ? -1 : 1));
  let end = 0n;
  for (const { iova, size } of sorted) {
    if (size === 0n || (iova | size) & (pageSize - 1n)) return `range 0x${iova.toString(16)}+${size} is no whole pages`;
    if (iova + size > 1n << 64n) return "a range goes beyond the address space";
    if (iova < end) return "two ranges overlap";
    end = iova + size;
  }
  return null;
}

export function encodeReportInto(view: DataView, offset: number, msg: Report): number {
  view.setBigUint64(offset, msg.iova, true);
  view.setBigUint64(offset + 8, msg.size, true);
  view.setBigUint64(offset + 16, msg.pageSize, true);
  return REPORT_SIZE;
}

export function decodeReport(view: DataView, offset: number, length: number): Report | null {
  if (length < REPORT_SIZE) return null;
  return {
    iova: view.getBigUint64(offset, true),
    size: view.getBigUint64(offset + 8, true),
    pageSize: view.getBigUint64(offset + 16, true),
  };
}

/** As libvfio-user, a page may be smaller than any machine's, but not larger than what is asked about. */
export function invalidReport({ iova, size, pageSize }: Report): string | null {
  if (!isPageSize(pageSize)) return `page size ${pageSize} is no power of two`;
  if (iova + size > 1n << 64n) return "the range goes beyond the address space";
  return pageSize > size ? `a page of ${pageSize} bytes for a range of ${size}` : null;
}

/** Bytes of a bitmap: whole 64-bit words. */
export function bitmapBytes(size: bigint, pageSize: bigint): bigint {
  const pages = (size + pageSize - 1n) / pageSize;
  return ((pages + 63n) / 64n) * 8n;
}

function isPageSize(bytes: bigint): boolean {
  return bytes > 0n && bytes <= 1n << 52n && (bytes & (bytes - 1n)) === 0n;
}
