// The table of figures on the terminal: its head line and one line for each result.
import type { Result } from "./measure.ts";

const WIDTHS = [32, 12, 14, 8, 8] as const;

const line = (cells: readonly string[]): string =>
  cells.map((cell, i) => (i === 0 ? cell.padEnd(WIDTHS[0]) : cell.padStart(WIDTHS[i]!))).join("");

export const tableHead = (): string => line(["bench", "value", "unit", "ratio", "spread"]);

export function rowOf({ name, value, unit, ratio, spread }: Result): string {
  const shown = value >= 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(2);
  return line([name, shown, unit, ratio === null ? "-" : ratio.toFixed(2), `${(100 * spread).toFixed(1)} %`]);
}
