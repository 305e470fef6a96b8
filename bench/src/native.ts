// The C baselines: compiled with gcc -O3 when their sources are newer than what dist/c holds, loaded by koffi, and run over
// this process's arena. The layout header is generated from the packages' layout constants, so both sides mean the same
// offsets. Without gcc there are no baselines: figures then come without ratios.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import koffi from "koffi";

const SOURCES = fileURLToPath(new URL("../c/", import.meta.url));
const BUILT = fileURLToPath(new URL("c/", import.meta.url));
const FLAGS = ["-O3", "-std=gnu11", "-Wall", "-Werror", "-fPIC", "-shared"];

export type NativeFunction = (...args: number[]) => number;

export interface Native {
  /** A function by its C prototype, e.g. "uint32_t f(uintptr_t base, uint32_t ring)". */
  func(prototype: string): NativeFunction;
}

let missing: string | undefined;

/** Why there are no baselines, or undefined when there are. */
export function nativeMissing(): string | undefined {
  missing ??=
    spawnSync("gcc", ["--version"]).status === 0 ? "" : "gcc is not installed (apt-get install gcc libc6-dev)";
  return missing || undefined;
}

/**
 * Loads c/<name>.c, compiled.
 * @param layout constants that the C sources see as macros
 * @returns null when there is no gcc
 * @throws Error with gcc's output when the source does not compile
 */
export function loadNative(name: string, layout: Record<string, unknown>): Native | null {
  if (nativeMissing() !== undefined) return null;
  const target = `${BUILT}${name}.so`;
  if (!isFresh(target)) {
    mkdirSync(BUILT, { recursive: true });
    writeLayout(layout);
    const args = [...FLAGS, `-I${BUILT}`, `-I${SOURCES}`, `${SOURCES}${name}.c`, "-o", target];
    const done = spawnSync("gcc", args, { encoding: "utf8" });
    if (done.status !== 0) throw new Error(`gcc ${args.join(" ")} failed:\n${done.stderr}`);
  }
  const library = koffi.load(target);
  return { func: (prototype) => library.func(prototype) as unknown as NativeFunction };
}

function writeLayout(layout: Record<string, unknown>): void {
  const lines = Object.entries(layout)
    .filter(([name, value]) => /^[A-Z][A-Z0-9_]*$/.test(name) && Number.isInteger(value))
    .map(([name, value]) => `#define ${name} ${value}u\n`);
  writeFileSync(`${BUILT}layout.h`, `// Generated from the packages' src/layout.\n${lines.join("")}`);
}

// The layout may have changed with any build, and this program is rebuilt no less often than the packages.
function isFresh(target: string): boolean {
  if (!existsSync(target)) return false;
  const inputs = readdirSync(SOURCES).map((file) => `${SOURCES}${file}`);
  inputs.push(...["shm"].map((name) => fileURLToPath(import.meta.resolve(`@emudev/${name}`))));
  const built = statSync(target).mtimeMs;
  return inputs.every((file) => statSync(file).mtimeMs < built);
}
