// Small pieces of decoded lines: places in regions, data, and lists of what may be many. Used by the decoders.
import { hex, regionName, valueText } from "../../names.ts";
import type { Names, Payload, Style } from "./types.ts";

const LIST_MOST = 4;
/** An access this long or shorter is to one register. */
const REGISTER_MOST = 8;

/** "bar0+0x2000 QRX_TAIL1(0)". */
export function placeText(region: number, offset: bigint, register: string | null): string {
  return `${regionName(region)}+${hex(offset)}${register === null ? "" : ` ${register}`}`;
}

export function registerAt(names: Names, region: number, offset: bigint, count: number): string | null {
  if (count > REGISTER_MOST || offset > BigInt(Number.MAX_SAFE_INTEGER)) return null;
  return names.at(region, Number(offset));
}

/** A number of 1, 2, 4 or 8 bytes, else bytes in hexadecimal, as many as are to be shown. */
export function dataText(data: Uint8Array, total: number, { dataMost }: Style): string {
  if (total === data.length && total <= dataMost) return valueText(data, dataMost);
  if (dataMost === 0) return "...";
  const shown = data.subarray(0, dataMost);
  const bytes = Buffer.from(shown)
    .toString("hex")
    .replace(/(..)(?=.)/g, "$1 ");
  return shown.length < total ? `${bytes} ...` : bytes;
}

/** "a, b, c, d and 12 more". */
export function listText(items: readonly string[]): string {
  if (items.length <= LIST_MOST) return items.join(", ");
  return `${items.slice(0, LIST_MOST).join(", ")} and ${items.length - LIST_MOST} more`;
}

/** Flags by name: "read|write", or "none". */
export function flagsText(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.join("|");
}

/** What lies behind a fixed part, as far as it was captured; a copy. */
export function dataOf({ body }: Payload, from: number): Uint8Array {
  return body.slice(from);
}
