// The clock of a polling loop, which may be read every turn: a time is written to an array. A function that returns one makes
// an object of it wherever V8 does not inline it, and process.hrtime() an array of two besides; what is inlined differs from
// run to run, so an lcore had garbage or had none. Called by eal's polling loop and by drivers' data modules.
import { address, clock_gettime } from "../libc.ts";

const CLOCK_MONOTONIC = 1;
// struct timespec, 64-bit and little-endian: seconds at word 0, nanoseconds at word 2.
const time = new Uint32Array(new ArrayBuffer(16));
const timeAddress = address(new Uint8Array(time.buffer));

/**
 * Writes CLOCK_MONOTONIC in microseconds, with its fraction, to `into[at]`; what process.hrtime() counts too. Allocates nothing,
 * costs some 0.2 microseconds.
 */
export function readClock(into: Float64Array, at: number): void {
  clock_gettime(CLOCK_MONOTONIC, timeAddress);
  into[at] = time[0]! * 1e6 + time[2]! / 1e3;
}
