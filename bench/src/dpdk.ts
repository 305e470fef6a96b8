// Programs of ours that link DPDK, c/NAME.c: compiled with what pkg-config says of libdpdk when the source is newer than the
// program. Used by the benches that have DPDK beside them.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** Compiles c/NAME.c; its path, or why that cannot be. */
export function compileDpdk(name: string): { program: string } | { missing: string } {
  const source = fileURLToPath(new URL(`../c/${name}.c`, import.meta.url));
  const program = fileURLToPath(new URL(`c/${name}`, import.meta.url));
  if (spawnSync("gcc", ["--version"]).status !== 0) return { missing: "gcc is not installed" };
  if (spawnSync("pkg-config", ["--exists", "libdpdk"]).status !== 0)
    return { missing: "DPDK's headers are missing (apt-get install dpdk-dev pkg-config)" };
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return { program };
  const flags = execFileSync("pkg-config", ["--cflags", "--libs", "libdpdk"], { encoding: "utf8" }).trim().split(/\s+/);
  mkdirSync(dirname(program), { recursive: true });
  const done = spawnSync("gcc", ["-O3", "-Wall", "-o", program, source, ...flags, "-lm"], { encoding: "utf8" });
  return done.status === 0 ? { program } : { missing: `gcc failed: ${done.stderr}` };
}
