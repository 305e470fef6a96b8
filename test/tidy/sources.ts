// Reading the repository for tidy.test.ts: its files, their imports, and the owner (package or application) of each path.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** One file of the repository; `path` is relative to its top. */
export interface SourceFile {
  path: string;
  text: string;
}

/** One import of a file: where it points to, and whether it is gone after compilation. */
export interface Import {
  target: string;
  typeOnly: boolean;
  line: number;
}

const IGNORED = new Set(["node_modules", "dist", ".git", ".cache", "coverage"]);

/** Paths of all files below `folder` that are not generated, in order. */
export function filesBelow(root: string, folder = ""): string[] {
  const paths: string[] = [];
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (IGNORED.has(entry.name) || /\.(tsbuildinfo|log)$/.test(entry.name)) continue;
    if (entry.isDirectory()) paths.push(...filesBelow(root, path));
    else paths.push(path);
  }
  return paths;
}

export const readSource = (root: string, path: string): SourceFile => ({
  path,
  text: readFileSync(join(root, path), "utf8"),
});

const STATEMENT = /(?:^|\n)[ \t]*(import|export)\b([^"'`;]*?)\bfrom\s*["']([^"']+)["']/g;
const BARE = /(?:^|\n)[ \t]*import\s*["']([^"']+)["']/g;
const DYNAMIC = /\b(?:import|require|import\.meta\.resolve)\(\s*["'`]([^"'`]+)["'`]/g;

/** All imports and re-exports of a TypeScript or AssemblyScript file. */
export function importsOf(text: string): Import[] {
  const code = text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " "))
    .replace(/^[ \t]*\/\/.*$/gm, "");
  const line = (index: number): number => code.slice(0, index).split("\n").length;
  const found: Import[] = [];
  for (const match of code.matchAll(STATEMENT))
    found.push({ target: match[3]!, typeOnly: /^\s*type\b/.test(match[2]!), line: line(match.index + 1) });
  for (const match of code.matchAll(BARE))
    found.push({ target: match[1]!, typeOnly: false, line: line(match.index + 1) });
  for (const match of code.matchAll(DYNAMIC))
    found.push({ target: match[1]!, typeOnly: false, line: line(match.index) });
  return found;
}

/** The package or application that a path belongs to, by its folder's name; null for what belongs to none. */
export function ownerOf(path: string): string | null {
  return /^(?:packages|apps)\/([^/]+)\//.exec(path)?.[1] ?? null;
}

/** A file that is shipped or run in production: not a test. */
export const isProduct = (path: string): boolean => /^(packages|apps)\/[^/]+\/(src|assembly)\/.*\.ts$/.test(path);

export interface Manifest {
  name: string;
  license?: unknown;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

export const readManifest = (root: string, folder: string): Manifest =>
  JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));

/** Folders with a package.json below `packages` and `apps`. */
export function workspaces(root: string): string[] {
  return ["packages", "apps"].flatMap((top) =>
    readdirSync(join(root, top))
      .sort()
      .map((name) => `${top}/${name}`)
      .filter((folder) => existsSync(join(root, folder, "package.json"))),
  );
}

/** package.json of every installed dependency, nested ones too; links to our own packages are left out. */
export function installed(root: string, folder = "node_modules"): Manifest[] {
  if (!existsSync(join(root, folder))) return [];
  const found: Manifest[] = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (!entry.isDirectory() || entry.name.startsWith(".")) continue;
    if (entry.name.startsWith("@")) found.push(...installed(root, path));
    if (existsSync(join(root, path, "package.json"))) found.push(readManifest(root, path));
    found.push(...installed(root, `${path}/node_modules`));
  }
  return found;
}
