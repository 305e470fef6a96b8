// Huge pages for DPDK: more are asked of the kernel for as long as a function runs, then the count is as it was.
import { readFileSync, writeFileSync } from "node:fs";

const COUNT = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
const FREE = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";

const read = (path: string): number => Number(readFileSync(path, "utf8"));

/**
 * Runs `work` with at least `pages` free pages of 2 MiB.
 * @throws Error when the kernel has not that many
 */
export async function withHugePages<T>(pages: number, work: () => Promise<T>): Promise<T> {
  const before = read(COUNT);
  const missing = pages - read(FREE);
  if (missing > 0) writeFileSync(COUNT, `${before + missing}`);
  try {
    if (read(FREE) < pages) throw new Error(`the kernel has ${read(FREE)} free huge pages, not ${pages}`);
    return await work();
  } finally {
    if (missing > 0) writeFileSync(COUNT, `${before}`);
  }
}
