// `--names FILE`: names for the registers of a device that vfu does not know, by region: { "bar0": { "STATUS": 16, "LCR": { "offset":
// 3, "bytes": 1 } } }. They count on the command line and in traces. Called by run.ts.
import { readFileSync } from "node:fs";
import type { Register } from "@emudev/avf";
import type { KnownDevice } from "./devices.ts";
import { reason, usage } from "./errors.ts";
import { hex, parseRegion } from "./names.ts";

/** @throws VfuError USAGE that says what is wrong with the file */
export function namedDevice(file: string): KnownDevice {
  const regions = new Map<number, Register[]>();
  for (const [region, names] of Object.entries(objectOf(read(file), file))) {
    const registers = Object.entries(objectOf(names, `${file}: ${region}`)).map(([name, place]) =>
      registerOf(name, place, `${file}: ${region}.${name}`),
    );
    regions.set(parseRegion(region), registers);
  }
  return {
    name: `the device of ${file}`,
    registers: (region) => regions.get(region) ?? [],
    nameAt(region, offset) {
      const found = regions.get(region)?.find((each) => offset >= each.offset && offset < each.offset + each.width);
      if (found === undefined) return null;
      return offset === found.offset ? found.name : `${found.name}+${hex(offset - found.offset)}`;
    },
  };
}

function read(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw usage(`--names ${file}: ${reason(error)}`);
  }
}

function objectOf(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw usage(`--names ${where}: expected an object, { "bar0": { "NAME": OFFSET } }`);
}

function registerOf(name: string, place: unknown, where: string): Register {
  const { offset, bytes = 4 } = (typeof place === "number" ? { offset: place } : place) as Record<string, unknown>;
  const fits =
    typeof offset === "number" && Number.isInteger(offset) && offset >= 0 && [1, 2, 4, 8].includes(bytes as number);
  if (!fits || !/^\w+$/.test(name))
    throw usage(`--names ${where}: expected an offset, or { "offset": N, "bytes": 1, 2, 4 or 8 }`);
  const width = bytes as number;
  return { name: name.toUpperCase(), offset, width, stride: width, count: 1, access: "rw", reset: 0, meaning: "" };
}
