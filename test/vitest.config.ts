// Tests run what is shipped: an import of `../src/x.ts` in a test, or of a package by name, is the built `dist/x.js`, loaded
// by Node itself, so that the main thread, its workers and the tests all share one instance of every module.
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

export const runBuilt = {
  name: "run-what-is-built",
  enforce: "pre" as const,
  resolveId(source: string, importer?: string) {
    if (importer === undefined || !source.startsWith(".") || !/\/src\/.*\.ts$/.test(source)) return null;
    const built = resolve(dirname(importer), source).replace("/src/", "/dist/").replace(/\.ts$/, ".js");
    return existsSync(built) ? { id: built, external: true } : null;
  },
};

export default defineConfig({
  plugins: [runBuilt],
  test: {
    root,
    include: ["test/*.test.ts", "packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts", "bench/test/*.test.ts"],
    setupFiles: ["test/vitest.setup.ts"],
    server: { deps: { external: [/\/dist\/.*\.js$/] } },
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: ["default"],
  },
});
