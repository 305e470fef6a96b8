// Huge pages for DPDK: more are asked of the kernel for as long as a function runs, then the count is as it was.
import { readFileSync, writeFileSync } from "node:fs";

const COUNT = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
const FREE = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const read = (path: string): number => Number(readFileSync(path, "utf8"));

/**
 * Runs `work` with at least `pages` free pages of 2 MiB.
 * @throws Error when the kernel has not that many
 */
export async function withHugePages<T>(pages: number, work: () => Promise<T>): Promise<T> {
  const before = read(COUNT);
  const missing = pages - read(FREE);
  if (missing > 0) writeFileSync(COUNT, `${before + missing}`);
  // Who is told to end gives them back as well; those in use then follow when their process has ended.
  const end = (_signal: NodeJS.Signals, number: number): void => {
    if (missing > 0) writeFileSync(COUNT, `${before}`);
    process.exit(128 + number);
  };
  for (const signal of SIGNALS) process.on(signal, end);
  try {
    if (read(FREE) < pages) throw new Error(`the kernel has ${read(FREE)} free huge pages, not ${pages}`);
    return await work();
  } finally {
    for (const signal of SIGNALS) process.off(signal, end);
    if (missing > 0) writeFileSync(COUNT, `${before}`);
  }
}
