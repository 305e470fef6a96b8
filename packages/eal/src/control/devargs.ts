// Device arguments: the text of a `--vdev` option, `driver[index][,key=value...]`, taken apart. Blanks around commas are
// tolerated, as users copy them from papers. What the keys mean is checked by devargs-schema.ts against the driver's table.
// Called by the vdev bus and by consoles (`port attach`).
import { EalError } from "../errors.ts";

export interface Devargs {
  /** The driver's name, the device's name without its trailing digits: `emu_iavf` of `emu_iavf0`. */
  driver: string;
  /** The device's name: `emu_iavf0`. */
  name: string;
  /** Keys and values in the order they were given; a key without `=` has the value "". */
  args: Map<string, string>;
  /** The text as it was given. */
  text: string;
}

const NAME_BYTES = 64; // RTE_DEV_NAME_MAX_LEN

/**
 * Takes devargs apart.
 * @throws EalError DEVARGS for an empty or unusable device name, an empty argument, or a key given twice
 */
export function parseDevargs(text: string): Devargs {
  const [name = "", ...rest] = splitArguments(text);
  if (!/^[A-Za-z][A-Za-z0-9_.-]*$/.test(name) || name.length >= NAME_BYTES)
    throw new EalError("DEVARGS", `devargs '${text}': '${name}' is not a device name; expected for instance net_null0`);
  const args = new Map<string, string>();
  for (const item of rest) {
    const equals = item.indexOf("=");
    const key = (equals < 0 ? item : item.slice(0, equals)).trim();
    if (key === "") throw new EalError("DEVARGS", `devargs '${text}': '${item}' has no key; expected key=value`);
    if (args.has(key)) throw new EalError("DEVARGS", `devargs '${text}': '${key}' is given twice`);
    args.set(key, equals < 0 ? "" : item.slice(equals + 1).trim());
  }
  return { driver: name.replace(/\d+$/, ""), name, args, text: text.trim() };
}

/** Splits at commas that are not inside square brackets (DPDK's lists: `key=[a,b]`). */
function splitArguments(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i <= text.length; i++) {
    if (text[i] === "[") depth++;
    if (text[i] === "]") depth--;
    if (i < text.length && (text[i] !== "," || depth > 0)) continue;
    parts.push(text.slice(start, i).trim());
    start = i + 1;
  }
  if (parts.length > 1 && parts.at(-1) === "") parts.pop();
  return parts;
}
