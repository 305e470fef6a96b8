// Bytes of a configuration space that nobody may write, and the errno of a write that lies wholly in them: headers of
// capabilities and read-only vendor-specific data, as libvfio-user answers. A longer write that only touches them is
// carried out as on a bus, and their bits stay. config.ts asks.

import { ERRNO } from "../wire/constants.ts";
import { EXTENDED, PM, VENDOR, VSEC } from "./registers.ts";
import type { CapabilityPlace, ExtendedPlace } from "./spec.ts";

export interface Refused {
  from: number;
  to: number;
  errno: number;
  what: string;
}

/** id and next. */
const HEADER_BYTES = 2;

export function refusedRanges(places: readonly CapabilityPlace[], extended: readonly ExtendedPlace[]): Refused[] {
  const ranges: Refused[] = [];
  const refuse = (from: number, to: number, what: string, errno: number = ERRNO.EPERM): void => {
    ranges.push({ from, to, errno, what });
  };
  for (const { spec, at, bytes } of places) {
    if (spec.kind === "pm") {
      refuse(at + PM.PMC, at + PM.PMCSR, "the power management capabilities", ERRNO.ENOTSUP);
      refuse(at + PM.PMCSR + 2, at + bytes, "the power management data", ERRNO.ENOTSUP);
    }
    const isConstant = spec.kind === "vendor" && spec.writable === undefined;
    const header = spec.kind === "vendor" ? VENDOR.HEADER : HEADER_BYTES;
    refuse(at, at + (isConstant ? bytes : header), `the ${spec.kind} capability`);
  }
  for (const { spec, at, bytes } of extended) {
    const isConstant = spec.kind === "dsn" || spec.writable === undefined;
    const header = spec.kind === "vendor" ? VSEC.HEADER : EXTENDED.HEADER;
    refuse(at, at + (isConstant ? bytes : header), `the extended ${spec.kind} capability`);
  }
  return ranges;
}
