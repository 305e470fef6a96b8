// Where the guest lab finds the repository and keeps what it fetches. `EMUDEV_GUEST_CACHE` moves the cache folder, so that
// several clones on one machine can share one QEMU and one kernel.
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Top folder of the repository: this file is built to test/guest/dist/paths.js. */
export const repository = resolve(fileURLToPath(new URL(".", import.meta.url)), "../../..");

/** The folder that holds QEMU, kernels and initial RAM disks; git-ignored, safe to delete. */
export function cacheFolder(): string {
  return resolve(process.env.EMUDEV_GUEST_CACHE ?? join(repository, ".cache/guest"));
}
