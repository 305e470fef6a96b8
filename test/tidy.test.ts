// Holds the repository to its own rules: the layers, the form of files, what is in each .wasm, dependencies' licences. The
// rules are functions in tidy/, and each is shown a bad sample here, so that a rule that has gone blind is noticed.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { licenceViolations, manifestViolations, wasmViolations } from "./tidy/build-rules.ts";
import * as files from "./tidy/file-rules.ts";
import * as imports from "./tidy/import-rules.ts";
import { LAYERS, LONG_FILES } from "./tidy/layers.ts";
import { filesBelow, installed, isProduct, readManifest, readSource, workspaces } from "./tidy/sources.ts";

const root = join(import.meta.dirname, "..");
const all = filesBelow(root)
  .filter((path) => !/\.(pcap|bin|img|wasm|png)$/.test(path))
  .map((path) => readSource(root, path));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const hasDataEntry = (name: string): boolean => existsSync(join(root, `packages/${name}/src/data/index.ts`));
const at = (path: string, text: string) => ({ path, text });

describe("imports", () => {
  test("every import between packages is an edge of the layer table", () => {
    expect(all.flatMap(imports.layerViolations)).toEqual([]);
  });
  test("another edge is told with its file, itself and what is allowed", () => {
    const sideways = at("packages/avfbe-ethdev/src/control/x.ts", 'import { a } from "@emudev/avf-emudev";');
    expect(imports.layerViolations(sideways)).toEqual([
      expect.stringMatching(/x\.ts:1: avfbe-ethdev -> avf-emudev .* may import emudev, ethdev/),
    ]);
    const upwards = at("packages/shm/src/data/x.ts", '// text\nimport type {\n  A,\n} from "@emudev/eal/data";');
    expect(imports.layerViolations(upwards)).toEqual([expect.stringContaining("x.ts:2: shm -> eal")]);
    const kernel = at("packages/net/assembly/x.ts", 'import { a } from "../../shm/assembly/ring";');
    expect(imports.layerViolations(kernel)).toEqual([expect.stringContaining("net -> shm")]);
    const dynamic = at("packages/linux/src/x.ts", 'await import("@emudev/shm");');
    expect(imports.layerViolations(dynamic)).toHaveLength(1);
    expect(imports.layerViolations(at("packages/unheard-of/src/x.ts", ""))).toEqual([
      expect.stringContaining("no row"),
    ]);
  });

  test("no source file reaches into another package by a relative path", () => {
    expect(all.flatMap(imports.relativeViolations)).toEqual([]);
    const bad = at("packages/eal/src/x.ts", 'import { a } from "../../shm/src/control/arena.ts";');
    expect(imports.relativeViolations(bad)).toHaveLength(1);
    const kernel = at("packages/eal/assembly/x.ts", 'import { a } from "../../shm/assembly/ring";');
    expect(imports.relativeViolations(kernel)).toEqual([]);
  });

  test("koffi, piscina and yargs are imported only where they belong, and no other module at all", () => {
    expect(all.flatMap(imports.thirdPartyViolations)).toEqual([]);
    expect(imports.thirdPartyViolations(at("packages/shm/src/x.ts", 'import koffi from "koffi";'))).toHaveLength(1);
    expect(imports.thirdPartyViolations(at("packages/emudev/src/x.ts", 'import "piscina/x";'))).toHaveLength(1);
    expect(imports.thirdPartyViolations(at("apps/testpmd/src/x.ts", 'import _ from "lodash";'))).toHaveLength(1);
    expect(imports.thirdPartyViolations(at("packages/linux/src/x.ts", 'import koffi from "koffi";'))).toEqual([]);
  });

  test("what an lcore runs imports no control code and no Node module", () => {
    expect(all.flatMap((file) => imports.dataViolations(file, hasDataEntry))).toEqual([]);
    const bad = (path: string, text: string): string[] => imports.dataViolations(at(path, text), () => true);
    expect(bad("packages/emudev/src/data/x.ts", 'import { a } from "../control/a.ts";')).toHaveLength(1);
    expect(bad("packages/emudev/src/data/x.ts", 'import type { A } from "../control/a.ts";')).toEqual([]);
    expect(bad("packages/emudev/src/data/x.ts", 'import fs from "node:fs";')).toHaveLength(1);
    expect(bad("apps/testpmd/src/fwd/io.ts", 'import { a } from "@emudev/ethdev";')).toHaveLength(1);
    expect(bad("apps/testpmd/src/fwd/io.ts", 'import { a } from "@emudev/ethdev/data";')).toEqual([]);
  });

  test("package.json, tsconfig.json and the imports name the same packages", () => {
    const violations = workspaces(root).flatMap((folder) => {
      const { references = [] } = JSON.parse(read(`${folder}/tsconfig.json`));
      const sources = all.filter(({ path }) => path.startsWith(`${folder}/src/`) && path.endsWith(".ts"));
      return manifestViolations(
        folder,
        readManifest(root, folder),
        references.map((each: { path: string }) => each.path),
        sources,
      );
    });
    expect(violations).toEqual([]);
    const manifest = { name: "@emudev/x", dependencies: { "@emudev/shm": "1" } };
    expect(manifestViolations("packages/x", manifest, ["../eal"], [])).toHaveLength(1);
    expect(
      manifestViolations("packages/x", manifest, ["../shm"], [at("x.ts", 'import "@emudev/eal/data";')]),
    ).toHaveLength(1);
  });

  test("the layer table has a row for every package, and each row points down", () => {
    const packages = workspaces(root).flatMap((folder) => (folder.startsWith("packages/") ? [folder.slice(9)] : []));
    expect(packages.sort()).toEqual(Object.keys(LAYERS).sort());
    const rows = Object.keys(LAYERS);
    for (const [name, allowed] of Object.entries(LAYERS))
      for (const other of allowed) expect(rows.indexOf(other), `${name} -> ${other}`).toBeLessThan(rows.indexOf(name));
  });
});

describe("files", () => {
  test("none is over 400 lines but the tables that are named with a reason", () => {
    expect(all.flatMap(files.sizeViolations)).toEqual([]);
    for (const path of Object.keys(LONG_FILES)) expect(read(path).split("\n").length, path).toBeGreaterThan(400);
    expect(files.sizeViolations(at("packages/x/src/x.ts", "a;\n".repeat(401)))).toHaveLength(1);
  });

  test("each begins with a comment that says what it is", () => {
    expect(all.flatMap(files.headViolations)).toEqual([]);
    expect(
      files.headViolations(at("x.ts", 'import "a";\n// too late to say what this file is and does\n')),
    ).toHaveLength(1);
    expect(files.headViolations(at("x.ts", "// short\n"))).toHaveLength(1);
  });

  test("names are kebab-case", () => {
    expect(all.flatMap(files.nameViolations)).toEqual([]);
    expect(files.nameViolations(at("packages/shm/src/memPool.ts", ""))).toHaveLength(1);
    expect(files.nameViolations(at("packages/Shm/src/mem_pool.ts", ""))).toHaveLength(2);
  });

  test("nothing strays at the top level", () => {
    const ignored = read(".gitignore")
      .split("\n")
      .map((line) => line.replace(/\/$/, ""));
    const globs = ignored.filter((line) => line.startsWith("*."));
    const names = readdirSync(root).filter((name) => !globs.some((glob) => name.endsWith(glob.slice(1))));
    expect(files.topLevelViolations(names, ignored)).toEqual([]);
    expect(files.topLevelViolations(["notes.txt", "packages"], [])).toEqual([expect.stringContaining("notes.txt")]);
  });

  test("no machine path and no host name is in them", () => {
    expect(all.filter(({ path }) => path !== "test/tidy.test.ts").flatMap(files.leakViolations)).toEqual([]);
    for (const text of ["cd /work/x", '"/home/me/x"', "deb.debian.org", "see http://example.org/x", "/root/a"])
      expect(files.leakViolations(at("x.ts", text)), text).not.toEqual([]);
    for (const text of ["packages/work/x", "node_modules/.bin", "registry.find()", "http://127.0.0.1:80"])
      expect(files.leakViolations(at("x.ts", text)), text).toEqual([]);
  });

  test("layout files hold integer constants and nothing else", () => {
    expect(all.flatMap(files.layoutViolations)).toEqual([]);
    const bad = (text: string): string[] => files.layoutViolations(at("packages/x/src/layout/x.ts", text));
    expect(bad("export const A = 4; // bytes\nexport const B = (A << 2) | 0x1f;")).toEqual([]);
    for (const text of [
      "export const A: u32 = 4;",
      "export const A = 4 as const;",
      "const A = 4;",
      "export const A = 1.5;",
    ])
      expect(bad(text), text).toHaveLength(1);
    for (const text of ["export const A = B;", 'export const A = "a";', "export function a(): void {}", 'import "a";'])
      expect(bad(text), text).toHaveLength(1);
  });

  test("every layout constant is a 32-bit integer", async () => {
    for (const { path } of all.filter((file) => /^packages\/[^/]+\/src\/layout\//.test(file.path))) {
      const built = join(root, path.replace("/src/", "/dist/").replace(/\.ts$/, ".js"));
      for (const [name, value] of Object.entries(await import(built)))
        expect(
          Number.isInteger(value) && (value as number) >= -(2 ** 31) && (value as number) < 2 ** 32,
          `${path} ${name}`,
        ).toBe(true);
    }
  });

  test("index files export only", () => {
    expect(all.flatMap(files.indexViolations)).toEqual([]);
    const bad = at("packages/x/src/index.ts", 'export { a } from "./a.ts";\nexport const b = 1;\n');
    expect(files.indexViolations(bad)).toHaveLength(1);
  });

  test("every package and application has a README", () => {
    expect(workspaces(root).filter((folder) => !existsSync(join(root, folder, "README.md")))).toEqual([]);
  });
});

describe("what is built and installed", () => {
  const kernels = all
    .filter(({ path }) => /^packages\/[^/]+\/assembly\/index\.ts$/.test(path))
    .map(({ path }) => path.split("/")[1]!);

  test.each(kernels)("kernels of %s: one import, no data, no start function, no i64 in a signature", (name) => {
    const path = `packages/${name}/dist/kernels.wasm`;
    expect(wasmViolations(path, readFileSync(join(root, path)))).toEqual([]);
  });

  test("a module with a start function, data, an i64 or another import is told", () => {
    const wasm = (...sections: number[][]): Uint8Array =>
      Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...sections.flat()]);
    const name = (text: string): number[] => [text.length, ...Buffer.from(text)];
    const section = (id: number, ...bytes: number[]): number[] => [id, bytes.length, ...bytes];
    const memory = section(2, 1, ...name("env"), ...name("memory"), 2, 0, 1);
    const noop = [section(3, 1, 0), section(10, 1, 2, 0, 0x0b)];
    const types = section(1, 1, 0x60, 0, 0);
    expect(wasmViolations("x", wasm(types, memory, noop[0]!, noop[1]!))).toEqual([]);
    expect(wasmViolations("x", wasm(types, memory, noop[0]!, section(8, 0), noop[1]!))).toEqual([
      "x: has a start function",
    ]);
    expect(wasmViolations("x", wasm(memory, section(11, 1, 0, 0x41, 0, 0x0b, 1, 7)))).toEqual(["x: has data segments"]);
    expect(wasmViolations("x", wasm(section(1, 1, 0x60, 1, 0x7e, 0), memory))).toEqual([
      expect.stringContaining("i64"),
    ]);
    expect(wasmViolations("x", wasm())).toEqual(["x: imports nothing"]);
    const host = section(2, 1, ...name("env"), ...name("abort"), 0, 0);
    expect(wasmViolations("x", wasm(types, host))).toEqual(["x: imports env.abort (function)"]);
  });

  test("all dependencies are under permissive licences", () => {
    const found = installed(root);
    expect(found.length).toBeGreaterThan(20);
    expect(found.flatMap(licenceViolations)).toEqual([]);
    expect(licenceViolations({ name: "x", license: "GPL-3.0" })).toHaveLength(1);
    expect(licenceViolations({ name: "x" })).toHaveLength(1);
    expect(licenceViolations({ name: "x", license: "(MIT OR GPL-3.0)" })).toEqual([]);
  });

  test("every one of our packages is BSD-3-Clause, as LICENSE says", () => {
    expect(read("LICENSE")).toMatch(/^BSD 3-Clause License\n\nCopyright \(c\) \d{4}, The emudev authors\n/);
    for (const folder of ["", ...workspaces(root)])
      expect(readManifest(root, folder).license, folder).toBe("BSD-3-Clause");
  });

  test("the rules see the sources", () => {
    expect(all.filter(({ path }) => isProduct(path)).length).toBeGreaterThan(50);
  });
});
