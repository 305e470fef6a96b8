// The rules about what is built and installed: a kernel's .wasm (one import, no data, no start, no 64-bit parameters), the
// edges of package.json against tsconfig.json and the imports, and the licences of dependencies. Called by tidy.test.ts.
import { LICENCE_EXCEPTIONS, PERMISSIVE } from "./layers.ts";
import { importsOf, type Manifest, type SourceFile } from "./sources.ts";

const SECTION = { type: 1, import: 2, start: 8, data: 11 };
const I64 = 0x7e;

/** What a .wasm module must not have; binary format as in the WebAssembly core specification, chapter 5. */
export function wasmViolations(path: string, bytes: Uint8Array): string[] {
  if (bytes.length < 8 || Buffer.from(bytes.subarray(0, 4)).toString("latin1") !== "\0asm") return [`${path}: no wasm`];
  const violations: string[] = [];
  const module = new WebAssembly.Module(bytes);
  const imports = WebAssembly.Module.imports(module).map((each) => `${each.module}.${each.name} (${each.kind})`);
  if (imports.join() !== "env.memory (memory)") violations.push(`${path}: imports ${imports.join(", ") || "nothing"}`);
  for (const { id, at, end } of sectionsOf(bytes)) {
    if (id === SECTION.start) violations.push(`${path}: has a start function`);
    if (id === SECTION.data && leb(bytes, at).value > 0) violations.push(`${path}: has data segments`);
    if (id === SECTION.type && typesWithI64(bytes.subarray(at, end)))
      violations.push(`${path}: a function type has an i64; pass two words, or an address`);
  }
  return violations;
}

function* sectionsOf(bytes: Uint8Array): Generator<{ id: number; at: number; end: number }> {
  for (let at = 8; at < bytes.length; ) {
    const id = bytes[at]!;
    const size = leb(bytes, at + 1);
    yield { id, at: size.next, end: size.next + size.value };
    at = size.next + size.value;
  }
}

function leb(bytes: Uint8Array, start: number): { value: number; next: number } {
  let value = 0;
  for (let at = start, shift = 0; ; at++, shift += 7) {
    value += (bytes[at]! & 0x7f) * 2 ** shift;
    if ((bytes[at]! & 0x80) === 0) return { value, next: at + 1 };
  }
}

/** All optimised kernels inline their helpers, so every function type is an export's or could be one. */
function typesWithI64(section: Uint8Array): boolean {
  const count = leb(section, 0);
  let at = count.next;
  for (let type = 0; type < count.value; type++) {
    at++; // 0x60: a function
    for (let half = 0; half < 2; half++) {
      const length = leb(section, at);
      const kinds = section.subarray(length.next, length.next + length.value);
      if (kinds.includes(I64)) return true;
      at = length.next + length.value;
    }
  }
  return false;
}

const ours = (names: Iterable<string>): string[] => [...names].filter((name) => name.startsWith("@emudev/")).sort();

/** package.json's edges must be those of tsconfig.json, and hold every import of the sources. */
export function manifestViolations(
  folder: string,
  manifest: Manifest,
  references: readonly string[],
  sources: readonly SourceFile[],
): string[] {
  const declared = ours(Object.keys(manifest.dependencies ?? {}));
  const referred = references.map((path) => `@emudev/${path.split("/").pop()}`).sort();
  const violations: string[] = [];
  if (declared.join() !== referred.join())
    violations.push(`${folder}: package.json names [${declared}], tsconfig.json refers to [${referred}]`);
  for (const file of sources)
    for (const { target } of importsOf(file.text)) {
      const name = target
        .split("/")
        .slice(0, target.startsWith("@") ? 2 : 1)
        .join("/");
      if (target.startsWith(".") || target.startsWith("node:") || name === manifest.name) continue;
      if (manifest.dependencies?.[name] === undefined)
        violations.push(`${file.path}: imports '${name}', which ${folder}/package.json does not name`);
    }
  return violations;
}

/** Dependencies whose licence is neither permissive nor excepted. */
export function licenceViolations({ name, license }: Manifest): string[] {
  const text = typeof license === "string" ? license : ((license as { type?: string } | undefined)?.type ?? "none");
  const choices = text.replace(/[()]/g, "").split(/\s+OR\s+/i);
  const excepted = Object.keys(LICENCE_EXCEPTIONS).some((one) => name === one || name.startsWith(`${one}-`));
  if (excepted || choices.some((one) => one.split(/\s+AND\s+/i).every((id) => PERMISSIVE.includes(id)))) return [];
  return [`${name}: licence ${text} is not among ${PERMISSIVE.join(", ")}`];
}
