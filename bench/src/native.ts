// The C baselines: compiled with gcc -O3 when their sources or the packages' layouts are newer than what dist/c holds,
// loaded by koffi, and run over this process's arena. Without gcc there are none: figures then come without ratios.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import koffi from "koffi";
import { layoutHeader } from "./layout.ts";

const SOURCES = fileURLToPath(new URL("../c/", import.meta.url));
const BUILT = fileURLToPath(new URL("c/", import.meta.url));
const FLAGS = ["-O3", "-std=gnu11", "-Wall", "-Werror", "-fPIC", "-shared"];

export type NativeFunction = (...args: number[]) => number;

export interface Native {
  /** A function of numbers: its name and the count of its u32 arguments behind the arena's base. Returns a u32. */
  func(name: string, args: number): NativeFunction;
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
 * @param flags further ones for the compiler
 * @returns null when there is no gcc
 * @throws Error with gcc's output when the source does not compile
 */
export function loadNative(name: string, flags: readonly string[] = []): Native | null {
  if (nativeMissing() !== undefined) return null;
  const target = `${BUILT}${name}.so`;
  mkdirSync(BUILT, { recursive: true });
  writeIfChanged(`${BUILT}layout.h`, layoutHeader());
  if (!isFresh(target)) {
    const args = [...FLAGS, ...flags, `-I${BUILT}`, `-I${SOURCES}`, `${SOURCES}${name}.c`, "-o", target];
    const done = spawnSync("gcc", args, { encoding: "utf8" });
    if (done.status !== 0) throw new Error(`gcc ${args.join(" ")} failed:\n${done.stderr}`);
  }
  const library = koffi.load(target);
  return {
    func: (name, args) => library.func(name, "uint32_t", ["uintptr_t", ...Array(args).fill("uint32_t")]),
  };
}

/**
 * Compiles c/<name>.c as a program of its own.
 * @returns its path
 * @throws Error with gcc's output when the source does not compile
 */
export function compileProgram(name: string): string {
  const target = `${BUILT}${name}`;
  mkdirSync(BUILT, { recursive: true });
  const source = `${SOURCES}${name}.c`;
  if (existsSync(target) && statSync(source).mtimeMs < statSync(target).mtimeMs) return target;
  const args = [...FLAGS.filter((flag) => flag !== "-fPIC" && flag !== "-shared"), source, "-o", target];
  const done = spawnSync("gcc", args, { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`gcc ${args.join(" ")} failed:\n${done.stderr}`);
  return target;
}

function writeIfChanged(path: string, text: string): void {
  if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text);
}

function isFresh(target: string): boolean {
  if (!existsSync(target)) return false;
  const inputs = [...readdirSync(SOURCES).map((file) => `${SOURCES}${file}`), `${BUILT}layout.h`];
  const built = statSync(target).mtimeMs;
  return inputs.every((file) => statSync(file).mtimeMs < built);
}
