// What guests get on top of the lab's own disk to bind drivers to the devices of apps/devices: modules of Debian's
// linux-image package for the very kernel that the lab boots, with those they depend on, and tools that make and check a
// file system (e2fsprogs) or move GPIO lines (gpiod). A disk of its own, so that other guests boot as fast as before.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { PrivateApt } from "./apt.ts";
import { dependencies, type ExtraFile } from "./initrd.ts";
import { LabError } from "./lab-error.ts";
import { below, finish, readStamp, untar } from "./package-files.ts";
import { decompress } from "./unpack.ts";

/** Raised whenever what this file puts into the cache changes. */
const RECIPE = 1;
/** crc32c_generic is what ext4 asks the kernel's crypto for by another name. */
const MODULES = ["crc32c_generic", "ext4", "nvme", "gpio-pci-idio-16"];
const PACKAGES = ["e2fsprogs", "libext2fs2t64", "libcom-err2", "gpiod", "libgpiod3"];
const PROGRAMS = ["mke2fs", "e2fsck", "gpiodetect", "gpioget", "gpioset", "gpiomon"];
const LOADER = "ld-linux-x86-64.so.2";
/** From PACKAGES, and from what the lab has fetched for QEMU. */
const OWN_LIBRARIES = ["libext2fs.so.2", "libe2p.so.2", "libcom_err.so.2", "libgpiod.so.3"];
const QEMU_LIBRARIES = ["libc.so.6", "libblkid.so.1", "libuuid.so.1"];
const LIBRARIES = "usr/lib/x86_64-linux-gnu";

/** Where in the cache the drivers for a kernel are. */
export const driversFolder = (cache: string, release: string): string => join(cache, `drivers-${release}-${RECIPE}`);

/** Modules to load and files to add, from a folder that fetchDrivers has filled; `qemuRoot` is where QEMU's libraries are. */
export function readDrivers(folder: string, qemuRoot: string): { modules: string[]; files: ExtraFile[] } {
  const { modules } = readStamp(folder);
  const files = [
    ...PROGRAMS.map((name) => ({ name: `tools/${name}`, from: join(folder, name) })),
    ...OWN_LIBRARIES.map((name) => ({ name: `lib/x86_64-linux-gnu/${name}`, from: join(folder, name) })),
    ...QEMU_LIBRARIES.map((name) => ({ name: `lib/x86_64-linux-gnu/${name}`, from: join(qemuRoot, LIBRARIES, name) })),
    { name: `lib64/${LOADER}`, from: join(qemuRoot, LIBRARIES, LOADER) },
  ];
  return { modules: modules.map((name: string) => join(folder, name)), files };
}

/** Fills `folder` by way of `draft`. @throws LabError FETCH when the mirror does not have this kernel's package (any more) */
export function fetchDrivers(apt: PrivateApt, release: string, draft: string, folder: string, busybox: string): void {
  const packages = join(draft, "deb");
  const image = `linux-image-${release}`;
  apt.download(packages, [image, ...PACKAGES]);
  const debs = below(packages, /\.deb$/).map((file) => join(packages, file));
  const kernel = debs.find((path) => basename(path).startsWith(`${image}_`));
  if (kernel === undefined) throw new LabError("FETCH", `the mirror gave no package ${image}`);
  const modules = unpackModules(kernel, draft, busybox);
  const root = join(draft, "root");
  mkdirSync(root);
  for (const deb of debs.filter((path) => path !== kernel))
    untar(deb, root, ["./usr/sbin/*", "./usr/bin/*", "./usr/lib/*"]);
  const unpacked = below(root, /./);
  for (const name of [...PROGRAMS, ...OWN_LIBRARIES]) {
    const found = unpacked.find((path) => basename(path) === name);
    if (found === undefined) throw new LabError("FETCH", `none of ${PACKAGES.join(", ")} holds ${name}`);
    writeFileSync(join(draft, name), readFileSync(join(root, found)));
  }
  for (const name of ["deb", "root", "tree"]) rmSync(join(draft, name), { recursive: true, force: true });
  finish(draft, folder, { modules });
}

/** Puts MODULES and all they depend on into `draft`, plain; returns their file names. */
function unpackModules(deb: string, draft: string, busybox: string): string[] {
  const tree = join(draft, "tree");
  mkdirSync(tree);
  const form = (name: string): string => name.replaceAll("-", "_");
  let builtin: Set<string> | undefined;
  const done: string[] = [];
  for (let wanted = MODULES; wanted.length > 0; ) {
    // a dash in a file's name is an underscore where other modules name it
    const patterns = wanted.map((name) => `*/${name.replaceAll(/[-_]/g, "[-_]")}.ko*`);
    untar(deb, tree, [...patterns, "*/modules.builtin"]);
    builtin ??= builtinModules(tree);
    const files = below(tree, /\.ko(\.\w+)?$/);
    const next = new Set<string>();
    for (const name of wanted) {
      const file = files.find((path) => form(basename(path).replace(/\.ko.*/, "")) === form(name));
      if (file === undefined) {
        if (builtin.has(form(name))) continue;
        throw new LabError("FETCH", `${basename(deb)} has no module ${name}`);
      }
      const plain = decompress(readFileSync(join(tree, file)), busybox);
      if (plain === null) throw new LabError("TOOL", `${name} cannot be decompressed: install xz-utils and zstd`);
      const plainName = basename(file).replace(/\.ko.*/, ".ko");
      writeFileSync(join(draft, plainName), plain);
      done.push(plainName);
      for (const other of dependencies(plain)) next.add(form(other));
    }
    wanted = [...next].filter((name) => !done.some((file) => form(file) === `${name}.ko`));
  }
  return done;
}

function builtinModules(tree: string): Set<string> {
  const list = below(tree, /modules\.builtin$/)[0];
  if (list === undefined || !existsSync(join(tree, list))) return new Set();
  const lines = readFileSync(join(tree, list), "utf8").split("\n");
  return new Set(
    lines.map((line) =>
      basename(line)
        .replace(/\.ko.*/, "")
        .replaceAll("-", "_"),
    ),
  );
}
