// The layout constants of the packages whose state the C baselines and the bench's guest touch, read from their built
// layout files: what the baselines see as macros, and what `at` looks up by name.
import { readdirSync } from "node:fs";

const PACKAGES = ["shm", "avf", "emudev", "ethdev", "avfbe-ethdev"];

async function readLayouts(): Promise<Map<string, number>> {
  const constants = new Map<string, number>();
  for (const name of PACKAGES) {
    const folder = new URL(`../../packages/${name}/dist/layout/`, import.meta.url);
    for (const file of readdirSync(folder).filter((file) => file.endsWith(".js"))) {
      const module: Record<string, unknown> = await import(new URL(file, folder).href);
      for (const [key, value] of Object.entries(module)) {
        if (typeof value !== "number") throw new Error(`${name}/${file}: ${key} is no number`);
        if (constants.has(key)) throw new Error(`${name}/${file}: ${key} is in two layouts`);
        constants.set(key, value);
      }
    }
  }
  return constants;
}

const constants = await readLayouts();

/** A layout constant by name. */
export function at(name: string): number {
  const value = constants.get(name);
  if (value === undefined) throw new Error(`no layout has a constant ${name}`);
  return value;
}

/** All of them as a C header. */
export function layoutHeader(): string {
  const lines = [...constants].map(([name, value]) => `#define ${name} ${value}\n`);
  return `// Generated from the packages' src/layout.\n#pragma once\n${lines.join("")}`;
}
