// Set-up shared by every npm script: installs what package-lock.json asks for and builds what is stale, and says so.
// Plain JavaScript, because it runs before anything is installed.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Runs a command to its end; a failure ends the process with the command's own status, and is named here unless the
 * command has `ownWords` for it.
 */
export function run(command, args, { ownWords = false, ...options } = {}) {
  const done = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (done.error) throw done.error;
  if (done.status !== 0) {
    if (done.signal || !ownWords)
      console.error(`emudev: '${command} ${args.join(" ")}' failed with ${done.signal ?? `status ${done.status}`}`);
    process.exit(done.status || 1);
  }
}

const mtime = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

/** Newest modification time of the files below a folder that `keep` accepts, 0 where there are none. */
function newest(folder, keep) {
  if (!existsSync(folder)) return 0;
  let time = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) time = Math.max(time, newest(path, keep));
    else if (keep(entry.name)) time = Math.max(time, mtime(path));
  }
  return time;
}

const folders = (top) =>
  readdirSync(join(root, top)).filter((name) => existsSync(join(root, top, name, "package.json")));

export function ensureInstalled() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`emudev needs Node 20.19 or newer; this is ${process.version}.`);
    process.exit(1);
  }
  if (mtime(join(root, "node_modules/.package-lock.json")) >= mtime(join(root, "package-lock.json"))) return;
  console.log("emudev: installing dependencies (npm install) ...");
  // Not `npm ci`: it refuses a lock file made where a registry lacks the optional packages of other platforms.
  run("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]);
}

const ascFlags = [
  "-O3",
  "--noAssert",
  "--runtime",
  "stub",
  "--enable",
  "simd",
  "--enable",
  "threads",
  "--enable",
  "bulk-memory",
  "--debug", // names of functions, for profiles; the code is the same
];
ascFlags.push("--importMemory", "--sharedMemory", "--initialMemory", "1", "--maximumMemory", "65536");

function buildKernels() {
  const isSource = (name) => name.endsWith(".ts");
  const owners = ["packages", "apps"].flatMap((top) => folders(top).map((name) => join(root, top, name)));
  owners.push(join(root, "bench"));
  let sources = 0;
  for (const owner of owners) {
    sources = Math.max(sources, newest(join(owner, "assembly"), isSource), newest(join(owner, "src/layout"), isSource));
  }
  for (const owner of owners) {
    const source = join(owner, "assembly/index.ts");
    const target = join(owner, "dist/kernels.wasm");
    if (!existsSync(source) || mtime(target) > sources) continue;
    console.log(`emudev: compiling the kernels of ${basename(owner)} ...`);
    mkdirSync(dirname(target), { recursive: true });
    run(process.execPath, [join(root, "node_modules/assemblyscript/bin/asc.js"), source, "-o", target, ...ascFlags]);
  }
}

export function ensureBuilt() {
  ensureInstalled();
  buildKernels();
  if (!existsSync(join(root, "packages/linux/dist/index.js"))) console.log("emudev: compiling TypeScript ...");
  run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-b"]);
}
