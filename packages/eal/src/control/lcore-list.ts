// The lcore lists of the EAL's command line: `-l 0-3`, `--lcores 0@0,1@0,2@1`, `(0-1)@0`, `2@(4-7)`, and `-c` masks. The
// grammar is that of DPDK's rte_eal `--lcores`: sets of lcores, each perhaps followed by `@` and the set of CPUs its
// members may run on; a set is a number, a range, or a list of these in brackets. Called by options.ts.
import { EalError } from "../errors.ts";

/** An lcore as asked for: its id and the CPUs its thread may run on. */
export interface LcoreSpec {
  id: number;
  cpus: number[];
}

/** Highest lcore id that can be named plus one, as RTE_MAX_LCORE of DPDK's default build. */
export const LCORE_ID_MAX = 128;
const CPU_MAX = 4096;

/**
 * Parses a list of lcores.
 * @returns the lcores sorted by id
 * @throws EalError ARG naming the part that cannot be read, or the lcore given twice
 */
export function parseLcores(text: string): LcoreSpec[] {
  const found = new Map<number, number[]>();
  for (const item of splitOutsideBrackets(text)) {
    const at = item.indexOf("@");
    const ids = parseSet(at < 0 ? item : item.slice(0, at), LCORE_ID_MAX, text);
    const floating = at < 0 && item.startsWith("(");
    const cpus = at < 0 ? ids : parseSet(item.slice(at + 1), CPU_MAX, text);
    for (const id of ids) {
      if (found.has(id)) throw new EalError("ARG", `lcore list '${text}': lcore ${id} is given twice`);
      found.set(id, at < 0 && !floating ? [id] : [...cpus]);
    }
  }
  return [...found].map(([id, cpus]) => ({ id, cpus })).sort((a, b) => a.id - b.id);
}

/** Parses the hexadecimal mask of `-c`: bit n is lcore n on CPU n. */
export function parseCoremask(text: string): LcoreSpec[] {
  if (!/^(0x)?[0-9a-f]{1,32}$/i.test(text))
    throw new EalError("ARG", `core mask '${text}': expected a hexadecimal mask`);
  const mask = BigInt(text.toLowerCase().startsWith("0x") ? text : `0x${text}`);
  const lcores: LcoreSpec[] = [];
  for (let id = 0; id < LCORE_ID_MAX; id++) if ((mask >> BigInt(id)) & 1n) lcores.push({ id, cpus: [id] });
  if (lcores.length === 0) throw new EalError("ARG", `core mask '${text}': no core is set`);
  return lcores;
}

/** Writes a set of numbers as a list of ranges: `0-3,8`. */
export function formatSet(numbers: readonly number[]): string {
  const sorted = [...numbers].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length; ) {
    let j = i;
    while (j + 1 < sorted.length && sorted[j + 1] === sorted[j]! + 1) j++;
    parts.push(j === i ? `${sorted[i]}` : `${sorted[i]}-${sorted[j]}`);
    i = j + 1;
  }
  return parts.join(",");
}

function splitOutsideBrackets(text: string): string[] {
  const items: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = text[i];
    if (c === "(") depth++;
    if (c === ")") depth--;
    if (depth < 0 || depth > 1) throw new EalError("ARG", `lcore list '${text}': brackets do not match`);
    if (c === undefined || (c === "," && depth === 0)) {
      items.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  if (depth !== 0) throw new EalError("ARG", `lcore list '${text}': brackets do not match`);
  return items;
}

function parseSet(text: string, limit: number, whole: string): number[] {
  const trimmed = text.trim();
  const inner = /^\(.*\)$/.test(trimmed) ? trimmed.slice(1, -1) : trimmed;
  const set = new Set<number>();
  for (const part of inner.split(",")) {
    const match = /^\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?$/.exec(part);
    if (match === null)
      throw new EalError(
        "ARG",
        `lcore list '${whole}': cannot read '${part}'; expected for instance 0-3 or 0@0,1@(0-1)`,
      );
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first || last >= limit)
      throw new EalError("ARG", `lcore list '${whole}': '${part.trim()}' is not a range below ${limit}`);
    for (let n = first; n <= last; n++) set.add(n);
  }
  return [...set].sort((a, b) => a - b);
}
