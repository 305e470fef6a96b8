// Fetches what a guest needs into the cache folder, by apt-get from Debian, installing nothing: QEMU with the libraries it is
// linked with (trixie-backports: the oldest release whose QEMU has vfio-user-pci), busybox, and a kernel with the iavf module
// from the installer's small packages. Each part has a stamp; what is there is not fetched again. Called by qemu.ts's users.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { findMirror, PrivateApt } from "./apt.ts";
import { driversFolder, fetchDrivers, readDrivers } from "./drivers.ts";
import { withFolderLock } from "./folder-lock.ts";
import { writeInitrd } from "./initrd.ts";
import { LabError } from "./lab-error.ts";
import { below, finish, readStamp, untar } from "./package-files.ts";
import { cacheFolder } from "./paths.ts";
import { decompress, vmlinuxOf } from "./unpack.ts";

/** Raised whenever what this file puts into the cache changes. */
const RECIPE = 1;
const QEMU_SUITE = "trixie-backports";

/** What qemu-system-x86_64 is linked with; the whole of apt's dependencies is three times as much. */
const QEMU_LIBRARIES =
  "libaio1t64 libatomic1 libblkid1 libbpf1 libc6 libcap2 libcapstone5 libdaxctl1 libelf1t64 libfdt1 libffi8 libfuse3-4 " +
  "libglib2.0-0t64 libgmp10 libgnutls30t64 libhogweed6t64 libibverbs1 libidn2-0 libjpeg62-turbo libkmod2 libmount1 " +
  "libndctl6 libnettle8t64 libnl-3-200 libnl-route-3-200 libnuma1 libp11-kit0 libpcre2-8-0 libpixman-1-0 libpmem1 " +
  "libpng16-16t64 librdmacm1t64 libsasl2-2 libseccomp2 libselinux1 libslirp0 libssl3t64 libsystemd0 libtasn1-6 libudev1 " +
  "libunistring5 liburing2 libuuid1 libvdeplug2t64 libzstd1 zlib1g";
const IAVF_MODULES = ["iavf", "libeth", "libie", "libie_fwlog", "libie_adminq"];

export interface Lab {
  /** Command line of QEMU up to its own options. */
  qemu: { argv: string[]; version: string };
  kernel: { release: string; image: string; initrd: string };
}

type Say = (line: string) => void;

export interface LabOptions {
  /** The kernel's Debian release; default EMUDEV_GUEST_SUITE. */
  suite?: string | undefined;
  say?: Say;
  /** A disk with drivers and tools of drivers.ts too, for which Debian's whole kernel package is fetched once. */
  drivers?: boolean;
}

/**
 * QEMU, a kernel and an initial RAM disk, fetched where they are not in the cache yet. The kernel is that of the Debian release
 * named by EMUDEV_GUEST_SUITE; without it trixie's, or bookworm's when the mirror's index is ahead of what it holds.
 */
export async function ensureLab(options: LabOptions = {}): Promise<Lab> {
  const { suite = process.env.EMUDEV_GUEST_SUITE, say = () => {}, drivers = false } = options;
  if (suite !== undefined) return ensureSuite(suite, say, drivers);
  return ensureSuite("trixie", say, drivers).catch((error: unknown) => {
    if (!(error instanceof LabError) || error.code !== "FETCH") throw error;
    say(`guest lab: ${error.message}; trying bookworm's kernel`);
    return ensureSuite("bookworm", say, drivers);
  });
}

async function ensureSuite(suite: string, say: Say, withDrivers: boolean): Promise<Lab> {
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new LabError("PLATFORM", `guests need Linux on x86-64, this is ${process.platform} on ${process.arch}`);
  const cache = cacheFolder();
  const tools = join(cache, `tools-${RECIPE}`);
  const kernel = join(cache, `kernel-${suite}-${RECIPE}`);
  mkdirSync(cache, { recursive: true });
  await withFolderLock(join(cache, "lock"), 600_000, async () => {
    const isThere = (folder: string): boolean => existsSync(join(folder, "stamp.json"));
    const lacking = [tools, kernel].filter((folder) => !isThere(folder));
    const driversLack = (): boolean => withDrivers && !isThere(driversFolder(cache, readStamp(kernel).release));
    if (lacking.length === 0 && !driversLack()) return;
    const work = join(cache, `work-${process.pid}`);
    try {
      const parts = [...lacking.map((folder) => basename(folder)), ...(withDrivers ? ["drivers (108 MB)"] : [])];
      say(`guest lab: fetching ${parts.join(" and ")} from Debian into ${cache} ...`);
      const suites = ["trixie main", `${QEMU_SUITE} main`, `${suite} main main/debian-installer`];
      const apt = new PrivateApt(join(work, "apt"), findMirror(), suites, QEMU_SUITE);
      apt.update();
      if (lacking.includes(tools)) fetchTools(apt, join(work, "tools"), tools);
      if (lacking.includes(kernel)) fetchKernel(apt, join(work, "kernel"), kernel, join(tools, "busybox"));
      if (driversLack()) {
        const { release } = readStamp(kernel);
        fetchDrivers(apt, release, join(work, "drivers"), driversFolder(cache, release), join(tools, "busybox"));
      }
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
  const { version } = readStamp(tools);
  const { release, image, modules } = readStamp(kernel);
  const extra = withDrivers
    ? readDrivers(driversFolder(cache, release), join(tools, "root"))
    : { modules: [], files: [] };
  const paths = [...modules.map((name: string) => join(kernel, name)), ...extra.modules];
  const initrd = writeInitrd(kernel, join(tools, "busybox"), paths, extra.files);
  return { qemu: { argv: qemuArgv(tools), version }, kernel: { release, image: join(kernel, image), initrd } };
}

function qemuArgv(folder: string): string[] {
  const lib = join(folder, "root/usr/lib/x86_64-linux-gnu");
  const share = join(folder, "root/usr/share");
  const program = join(folder, "root/usr/bin/qemu-system-x86_64");
  const loader = [join(lib, "ld-linux-x86-64.so.2"), "--library-path", lib];
  return [...loader, program, "-L", join(share, "qemu"), "-L", join(share, "seabios")];
}

function fetchTools(apt: PrivateApt, draft: string, folder: string): void {
  const packages = join(draft, "deb");
  const parts = ["qemu-system-x86", "qemu-system-data", "seabios", "busybox-static"];
  apt.download(packages, [...parts, ...QEMU_LIBRARIES.split(" ")]);
  unpackTools(packages, draft);
  const [loader, ...rest] = qemuArgv(draft);
  const linked = spawnSync(loader!, [...rest.slice(0, 2), "--list", rest[2]!], { encoding: "utf8" }).stdout ?? "";
  if (/not found/.test(linked) || linked === "") {
    // a newer QEMU is linked with more than we know: take all that apt would
    const known = below(packages, /\.deb$/).map((name) => name.split("_")[0]!);
    apt.download(
      packages,
      apt.closure("qemu-system-x86").filter((name) => !known.includes(name)),
    );
    unpackTools(packages, draft);
  }
  const told = spawnSync(loader!, [...rest, "--version"], { encoding: "utf8" });
  const version = /version (\S+)/.exec(told.stdout ?? "")?.[1];
  if (version === undefined)
    throw new LabError("FETCH", `the fetched QEMU does not run: ${(told.stderr ?? "").trim()}`);
  rmSync(packages, { recursive: true });
  finish(draft, folder, { version });
}

function unpackTools(packages: string, draft: string): void {
  const root = join(draft, "root");
  mkdirSync(root, { recursive: true });
  for (const file of below(packages, /\.deb$/)) {
    const deb = join(packages, file);
    const name = file.split("_")[0]!;
    if (name === "qemu-system-x86") untar(deb, root, ["./usr/bin/qemu-system-x86_64"]);
    else if (name === "qemu-system-data") untar(deb, root, ["*dma.bin", "*/kvmvapic.bin", "*/pvh.bin"]);
    else if (name === "seabios") untar(deb, root, ["*/bios-256k.bin"]);
    else if (name === "busybox-static") untar(deb, draft, ["*/bin/busybox"]);
    else untar(deb, root, ["./usr/lib/*", "./lib/*", "./lib64/*"]);
  }
  const busybox = below(draft, /bin\/busybox$/)[0];
  if (busybox !== undefined) renameSync(join(draft, busybox), join(draft, "busybox"));
}

/** Newest installer kernel whose packages the mirror really has: an index can be ahead of what the mirror holds. */
function fetchKernel(apt: PrivateApt, draft: string, folder: string, busybox: string): void {
  // the image is in kernel-image-RELEASE, from Debian 14 on in linux-binary-RELEASE
  const images = apt.search("^(kernel-image|linux-binary)-[0-9].*-amd64-di$");
  const releaseOf = (name: string): string => name.replace(/^[a-z]+-[a-z]+-/, "");
  images.sort((a, b) => releaseOf(b).localeCompare(releaseOf(a), "en", { numeric: true }));
  let last: unknown;
  for (const image of images.slice(0, 4)) {
    const release = releaseOf(image);
    const packages = join(draft, "deb");
    try {
      apt.download(packages, [image, `nic-modules-${release}`]);
    } catch (error) {
      rmSync(packages, { recursive: true, force: true });
      last = error;
      continue;
    }
    const wanted = ["./boot/vmlinuz*", ...IAVF_MODULES.map((name) => `*/${name}.ko*`)];
    for (const file of below(packages, /\.udeb$/)) untar(join(packages, file), draft, wanted);
    rmSync(packages, { recursive: true });
    finish(draft, folder, kernelStamp(draft, release.replace(/-di$/, ""), busybox));
    return;
  }
  throw new LabError("FETCH", `no installer kernel can be had from the mirror (${images.length} known)`, {
    cause: last,
  });
}

/** Unpacks image and modules in place, and tells what they are. */
function kernelStamp(draft: string, release: string, busybox: string): object {
  const bzImage = readFileSync(join(draft, below(draft, /^boot\/vmlinuz/)[0]!));
  const vmlinux = vmlinuxOf(bzImage, busybox);
  const image = vmlinux === null ? "vmlinuz" : "vmlinux";
  writeFileSync(join(draft, image), vmlinux ?? bzImage);
  const modules: string[] = [];
  for (const file of below(draft, /\.ko(\.\w+)?$/)) {
    const plain = decompress(readFileSync(join(draft, file)), busybox);
    if (plain === null)
      throw new LabError("TOOL", `${basename(file)} cannot be decompressed: install xz-utils and zstd`);
    const name = basename(file).replace(/\.ko.*/, ".ko");
    writeFileSync(join(draft, name), plain);
    modules.push(name);
  }
  if (!modules.includes("iavf.ko"))
    throw new LabError("FETCH", `kernel ${release} has no iavf module among its packages`);
  for (const folder of ["boot", "lib", "usr"]) rmSync(join(draft, folder), { recursive: true, force: true });
  return { release, image, modules };
}
