// Cycles, as DPDK counts them, from times: JavaScript has no instruction for the time stamp counter, so nanoseconds are
// multiplied by the clock rate that the kernel tells. Used by telemetry and by applications that print cycles.
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

let mhz = 0;

/** MHz of the first CPU, as /proc/cpuinfo says; at least 1. */
export function cpuMhz(): number {
  if (mhz === 0) {
    const model = / @ (\d+\.\d+)GHz/.exec(readCpuinfo());
    mhz = model === null ? Math.max(cpus()[0]?.speed ?? 1, 1) : Math.round(Number(model[1]) * 1000);
  }
  return mhz;
}

/** Clock cycles of a time in nanoseconds. */
export function cyclesOf(ns: number): number {
  return Math.round((ns * cpuMhz()) / 1000);
}

function readCpuinfo(): string {
  try {
    return readFileSync("/proc/cpuinfo", "latin1");
  } catch {
    return "";
  }
}
