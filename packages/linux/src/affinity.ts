// CPU affinity of the calling thread (sched_setaffinity(2) with thread id 0): each lcore pins itself, and nothing else.
import { ERRNO, LinuxError } from "./errors.ts";
import { check, sched_getaffinity, sched_setaffinity } from "./libc.ts";

/** CPUs in a mask of this package: as many as the largest kernel configuration knows (CONFIG_NR_CPUS of 8192). */
const MASK_BYTES = 1024;

/** Lets the calling thread run on these CPUs alone. @throws LinuxError EINVAL when none of them exists or is allowed */
export function setAffinity(cpus: readonly number[]): void {
  const target = `cpus ${cpus.join(",")}`;
  const mask = new Uint8Array(MASK_BYTES);
  for (const cpu of cpus) {
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= MASK_BYTES * 8) {
      throw new LinuxError(ERRNO.EINVAL, "sched_setaffinity", target, `${cpu} is not a CPU number`);
    }
    mask[cpu >>> 3] |= 1 << (cpu & 7);
  }
  check(sched_setaffinity(0, MASK_BYTES, mask), "sched_setaffinity", target);
}

/** The CPUs that the calling thread may run on, in rising order. */
export function getAffinity(): number[] {
  const mask = new Uint8Array(MASK_BYTES);
  check(sched_getaffinity(0, MASK_BYTES, mask), "sched_getaffinity", "this thread");
  const cpus: number[] = [];
  for (let cpu = 0; cpu < MASK_BYTES * 8; cpu++) if ((mask[cpu >>> 3] & (1 << (cpu & 7))) !== 0) cpus.push(cpu);
  return cpus;
}
