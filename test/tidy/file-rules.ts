// The rules about a single file: its size, head comment, name, place and words; layout files; index files. Each returns a
// sentence for every violation. Called by tidy.test.ts.
import { LONG_FILES, TOP_LEVEL, TOP_LEVEL_DOT } from "./layers.ts";
import type { SourceFile } from "./sources.ts";

const MAX_LINES = 400;
const INDEX = /^packages\/[^/]+\/src\/(data\/)?index\.ts$/;
const isCode = (path: string): boolean => /\.(ts|mjs|js|c|h)$/.test(path);

export function sizeViolations({ path, text }: SourceFile): string[] {
  const lines = text.trimEnd().split("\n").length;
  if (!isCode(path) || lines <= MAX_LINES || LONG_FILES[path] !== undefined) return [];
  return [`${path}: ${lines} lines; split it, or give a table its reason in LONG_FILES`];
}

/** The file's first words must say what it is; an index file of exports says it by its place. */
export function headViolations({ path, text }: SourceFile): string[] {
  if (!isCode(path) || INDEX.test(path)) return [];
  const head = text.replace(/^#!.*\n/, "");
  const comment = /^(?:\/\/[^\n]*\n)+|^\/\*[\s\S]*?\*\//.exec(head)?.[0] ?? "";
  const words = comment.split(/\s+/).filter((word) => /\w/.test(word)).length;
  return words >= 8 ? [] : [`${path}: no head comment that says what the file is and who calls it`];
}

const PROPER_NAMES = new Set(["README.md", "CONFORMANCE.md", "LICENSE"]);

export function nameViolations({ path }: SourceFile): string[] {
  const bad = path.split("/").filter((part) => !PROPER_NAMES.has(part) && !/^\.?[a-z0-9]+([.-][a-z0-9]+)*$/.test(part));
  return bad.map((part) => `${path}: '${part}' is not kebab-case`);
}

/** Names at the top level that nobody expects there. */
export function topLevelViolations(names: readonly string[], ignored: readonly string[]): string[] {
  const known = new Set([...TOP_LEVEL, ...TOP_LEVEL_DOT, ...ignored, ".git"]);
  return names
    .filter((name) => !known.has(name))
    .map((name) => `${name}: stray at the top level; known are ${[...known].join(" ")}`);
}

const LEAKS: readonly [RegExp, string][] = [
  [/(?<![\w.~-])\/(?:work|root|home|Users)\/\w/, "a path of one machine"],
  [
    /\b(?:deb|registry|snapshot|mirrors?|ftp|archive)\.[a-z0-9-]+\.(?:org|com|net|io)\b/,
    "the name of a registry or mirror",
  ],
  [/"resolved":\s*"http/, "the address that a package came from"],
  [/https?:\/\/(?!(?:127\.0\.0\.1|localhost)\b|[\w.-]+\.test\b)[a-z0-9][\w.-]*\.[a-z]{2,}/, "the address of a host"],
];

/** Machine paths and host names. A page for people may link to the Web, a drawing names SVG's namespace, the lock file sponsors. */
export function leakViolations({ path, text }: SourceFile): string[] {
  const rules = path === "package-lock.json" || /\.(md|svg)$/.test(path) ? LEAKS.slice(0, 3) : LEAKS;
  return text
    .split("\n")
    .flatMap((line, index) =>
      rules
        .filter(([pattern]) => pattern.test(line))
        .map(([, what]) => `${path}:${index + 1}: ${what}: ${line.trim().slice(0, 100)}`),
    );
}

/** A layout file is read by two compilers: it may hold integer constants and nothing else. */
export function layoutViolations({ path, text }: SourceFile): string[] {
  if (!/\/src\/layout\/[^/]+\.ts$/.test(path)) return [];
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
  const known = new Set<string>();
  const violations: string[] = [];
  for (const statement of code
    .split(";")
    .map((part) => part.trim())
    .filter((part) => part !== "")) {
    const match = /^export const ([A-Z][A-Z0-9_]*) = ([\s\S]+)$/.exec(statement);
    const names = (match?.[2] ?? "").match(/\b[A-Za-z_]\w*\b/g) ?? [];
    const plain = match !== null && /^[\w\s()+\-*/%<>|&^~]+$/.test(match[2]!) && !/\d\.|\b\d+e\d/i.test(match[2]!);
    if (!plain || names.some((name) => !known.has(name)))
      violations.push(`${path}: '${statement.slice(0, 60)}' is not 'export const NAME = <integer expression>'`);
    else known.add(match[1]!);
  }
  return violations;
}

/** An index file exports what others hold; it has no code of its own. */
export function indexViolations({ path, text }: SourceFile): string[] {
  if (!INDEX.test(path)) return [];
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
  const rest = code
    .replace(/(export|import)\b[^;]*?(from\s*"[^"]+"|"[^"]+")\s*;/g, "")
    .replace(/export\s*\{\s*\}\s*;/g, "");
  return rest.trim() === "" ? [] : [`${path}: an index file exports only; it holds '${rest.trim().slice(0, 60)}'`];
}
