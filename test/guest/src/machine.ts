// What this machine can do for a guest: KVM or only TCG, namespaces and TAP, huge pages. Where the tests' full equipment
// (apt-get, root, /dev/net/tun) is there, as in CI, a test that cannot run is a failure; elsewhere it is a skip that says why.
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from "node:fs";

const can = (path: string, mode: number): boolean => {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
};

/** KVM only where the CPU virtualises: /dev/kvm alone may open and still hang stock kernels. */
export function kvmWorks(cpuinfo = readFileSync("/proc/cpuinfo", "utf8")): boolean {
  return /^flags\s*:.*\b(svm|vmx)\b/m.test(cpuinfo) && can("/dev/kvm", constants.R_OK | constants.W_OK);
}

/** Why there can be no TAP in a network namespace here, or null. */
export function noTap(): string | null {
  if (process.getuid?.() !== 0) return "needs root for a network namespace and a TAP";
  if (!existsSync("/dev/net/tun")) return "needs /dev/net/tun for a TAP";
  const folders = (process.env.PATH ?? "").split(":").concat("/usr/sbin", "/sbin");
  if (!folders.some((folder) => existsSync(`${folder}/ip`))) return "needs the ip command (package iproute2)";
  return null;
}

/** True where every guest test but the one on huge pages must be able to run. */
export function fullyEquipped(): boolean {
  return process.env.CI !== undefined || (noTap() === null && existsSync("/usr/bin/apt-get"));
}

/** CPUs that this process may run on, in order; a container may have been given any. */
export function allowedCpus(status = readFileSync("/proc/self/status", "utf8")): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? "0";
  return list.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number) as [number, number?];
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

const HUGE_PAGES = "/proc/sys/vm/nr_hugepages";

/** Asks the kernel for 2 MiB pages: either why they cannot be had, or how to give them back. */
export function reserveHugePages(mebibytes: number): { refusal: string } | { release(): void } {
  const meminfo = readFileSync("/proc/meminfo", "utf8");
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(meminfo)?.[1] ?? 0);
  if (field("Hugepagesize") !== 2048) return { refusal: `huge pages are of ${field("Hugepagesize")} kB, not 2048 kB` };
  const lacking = mebibytes / 2 - field("HugePages_Free");
  if (lacking <= 0) return { release: () => {} };
  try {
    const before = Number(readFileSync(HUGE_PAGES, "utf8"));
    const release = (): void => writeFileSync(HUGE_PAGES, String(before));
    writeFileSync(HUGE_PAGES, String(before + lacking));
    const got = Number(readFileSync(HUGE_PAGES, "utf8")) - before;
    if (got >= lacking) return { release };
    release();
    return { refusal: `the kernel gave ${got} of ${lacking} huge pages` };
  } catch (error) {
    return { refusal: `no huge pages: ${(error as Error).message}` };
  }
}
