// The rules about imports: layers, third-party modules, and what a data folder may reach. Each takes a file and returns a
// sentence for every violation, which names the file, the edge and what would be allowed. Called by tidy.test.ts.
import { posix } from "node:path";
import { DATA_NODE_MODULES, LAYERS, THIRD_PARTY } from "./layers.ts";
import { type Import, importsOf, isProduct, ownerOf, type SourceFile } from "./sources.ts";

/** Package that an import reaches: by `@emudev/` name, or by a relative path out of the importer's folder. */
export function packageOf(path: string, target: string): string | null {
  const named = /^@emudev\/([^/]+)/.exec(target);
  if (named) return named[1]!;
  if (!target.startsWith(".")) return null;
  return ownerOf(`${posix.normalize(posix.join(posix.dirname(path), target))}/`);
}

/** Imports of other packages that the layer table does not have. */
export function layerViolations(file: SourceFile): string[] {
  const owner = ownerOf(file.path);
  if (!isProduct(file.path) || owner === null || !file.path.startsWith("packages/")) return [];
  const allowed = LAYERS[owner];
  if (allowed === undefined) return [`${file.path}: package ${owner} has no row in the layer table`];
  const violations: string[] = [];
  for (const { target, line } of importsOf(file.text)) {
    const reached = packageOf(file.path, target);
    if (reached === null || reached === owner || allowed.includes(reached)) continue;
    violations.push(`${file.path}:${line}: ${owner} -> ${reached} ('${target}'); ${owner} may import ${list(allowed)}`);
  }
  return violations;
}

/** Relative imports that leave the package: only kernels and layout files are shared that way. */
export function relativeViolations(file: SourceFile): string[] {
  if (!isProduct(file.path)) return [];
  const violations: string[] = [];
  for (const { target, line } of importsOf(file.text)) {
    const reached = packageOf(file.path, target);
    if (!target.startsWith(".") || reached === ownerOf(file.path)) continue;
    const shared = /\/assembly\//.test(file.path) && /\/(assembly|src\/layout)\/[a-z0-9/-]+$/.test(target);
    if (!shared) violations.push(`${file.path}:${line}: '${target}' leaves the package; import @emudev/... by name`);
  }
  return violations;
}

/** Third-party modules outside the packages that own them. */
export function thirdPartyViolations(file: SourceFile): string[] {
  const owner = ownerOf(file.path);
  if (!isProduct(file.path) || owner === null) return [];
  const violations: string[] = [];
  for (const { target, line } of importsOf(file.text)) {
    if (target.startsWith(".") || target.startsWith("node:") || target.startsWith("@emudev/")) continue;
    const module = target
      .split("/")
      .slice(0, target.startsWith("@") ? 2 : 1)
      .join("/");
    const allowed = THIRD_PARTY[module];
    if (allowed?.includes(owner)) continue;
    violations.push(`${file.path}:${line}: ${owner} -> ${module}; ${module} may be imported by ${list(allowed ?? [])}`);
  }
  return violations;
}

/** A file that an lcore runs: a data folder's, or a forward mode's. */
export const isData = (path: string): boolean => /\/src\/data\/|^apps\/[^/]+\/src\/fwd\//.test(path) && isProduct(path);

/** What lcore code may not reach: control code, packages' main entries that hold control code, Node's modules. */
export function dataViolations(file: SourceFile, hasDataEntry: (name: string) => boolean): string[] {
  if (!isData(file.path)) return [];
  const told = ({ target, line }: Import, why: string): string =>
    `${file.path}:${line}: '${target}' in lcore code: ${why}`;
  const violations: string[] = [];
  for (const each of importsOf(file.text).filter(({ typeOnly }) => !typeOnly)) {
    const named = /^@emudev\/([^/]+)$/.exec(each.target)?.[1];
    const allowed = DATA_NODE_MODULES[file.path] ?? [];
    if (/\/control\//.test(each.target)) violations.push(told(each, "control code belongs to the main thread"));
    else if (named !== undefined && hasDataEntry(named)) violations.push(told(each, `import @emudev/${named}/data`));
    else if (each.target.startsWith("node:") && !allowed.includes(each.target))
      violations.push(
        told(each, `allowed Node modules here are ${list(allowed)}; system calls go through @emudev/linux/data`),
      );
  }
  return violations;
}

const list = (names: readonly string[]): string => (names.length === 0 ? "nothing" : names.join(", "));
