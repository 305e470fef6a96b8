// The parts of the guest lab that need no guest: reading apt's configuration, the cpio archive, the order of modules, the
// choice of KVM, QEMU's command line, the lock of the cache, and children that cannot outlive their parent.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, test } from "vitest";
import { findMirror, mirrorIn } from "./guest/src/apt.ts";
import { encodeCpio } from "./guest/src/cpio.ts";
import { withFolderLock } from "./guest/src/folder-lock.ts";
import { inLoadingOrder } from "./guest/src/initrd.ts";
import { allowedCpus, kvmWorks } from "./guest/src/machine.ts";
import { guestArguments } from "./guest/src/qemu.ts";

const folder = mkdtempSync(join(tmpdir(), "emudev-lab-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the mirror in apt's configuration", () => {
  const key = "/usr/share/keyrings/some.gpg";
  test("deb822: the first enabled stanza with a release and main", () => {
    const text = `# a comment
Types: deb
URIs: http://security.test/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.test/debian
Suites: bookworm
Components: main

Types: deb deb-src
# URIs: http://old.test/debian
URIs: http://one.test/debian http://two.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: ${key}
`;
    expect(mirrorIn("debian.sources", text)).toEqual({ uri: "http://one.test/debian", signedBy: key });
  });
  test("one line: options are read, other archives are passed over", () => {
    const text = `# deb http://no.test/debian bookworm main
deb https://cloud.test/apt cloud-sdk-bookworm main
deb-src http://src.test/debian trixie main
deb [arch=amd64 signed-by=${key}] http://one.test/debian trixie main contrib
`;
    expect(mirrorIn("sources.list", text)).toEqual({ uri: "http://one.test/debian", signedBy: key });
    expect(mirrorIn("sources.list", "deb http://one.test/debian sid main")?.signedBy).toBe("");
  });
  test("a key inside the stanza is no path; other distributions are no mirror", () => {
    const inline = "Types: deb\nURIs: http://one.test/d\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN\n .\n";
    expect(mirrorIn("x.sources", inline)).toEqual({ uri: "http://one.test/d", signedBy: "" });
    expect(
      mirrorIn("x.sources", "Types: deb\nURIs: http://u.test/ubuntu\nSuites: noble\nComponents: main\n"),
    ).toBeNull();
  });
  test("none at all is an error that says what for", () => {
    mkdirSync(join(folder, "apt/sources.list.d"), { recursive: true });
    writeFileSync(join(folder, "apt/sources.list"), "deb http://u.test/ubuntu noble main\n");
    expect(() => findMirror(join(folder, "apt"))).toThrow(/no Debian mirror in .*apt: the guest lab fetches QEMU/);
  });
});

test("a cpio archive has the layout that the kernel unpacks", () => {
  const data = Buffer.from("hello");
  const archive = encodeCpio([{ name: "a/b", mode: 0o100644, data }]);
  expect(archive.toString("latin1", 0, 6)).toBe("070701");
  const field = (index: number): number =>
    Number.parseInt(archive.toString("latin1", 6 + 8 * index, 14 + 8 * index), 16);
  expect([field(1), field(6), field(11)]).toEqual([0o100644, 5, 4]); // mode, size, name with its NUL
  const start = Math.ceil((110 + 4) / 4) * 4;
  expect(archive.subarray(start, start + 5)).toEqual(data);
  expect(archive.toString("latin1", start + 8, start + 14)).toBe("070701");
  expect(archive.includes("TRAILER!!!")).toBe(true);
});

test("modules are loaded after those that they need, and a circle does not hang", () => {
  const module = (name: string, needs: string) => ({ name, data: Buffer.from(`x\0depends=${needs}\0y`) });
  const names = (...modules: ReturnType<typeof module>[]): string[] => inLoadingOrder(modules).map(({ name }) => name);
  const set = [module("iavf.ko", "libie,libeth"), module("libeth.ko", ""), module("libie.ko", "libeth")];
  expect(names(...set)).toEqual(["libeth.ko", "libie.ko", "iavf.ko"]);
  expect(names(module("a.ko", "b"), module("b.ko", "a"))).toHaveLength(2);
});

test("KVM is not used where the CPU does not virtualise, whatever /dev/kvm says", () => {
  expect(kvmWorks("flags\t\t: fpu sse2 hypervisor\n")).toBe(false);
});

test("the CPUs of a cpuset are read as ranges", () => {
  expect(allowedCpus("x\nCpus_allowed_list:\t0-2,5,8-9\ny")).toEqual([0, 1, 2, 5, 8, 9]);
  expect(allowedCpus().length).toBeGreaterThan(0);
});

test("QEMU's command line: memory by kind, a device a socket, reboot only where asked for", () => {
  const lab = { qemu: { argv: ["qemu"], version: "1" }, kernel: { release: "1", image: "/k", initrd: "/i" } };
  const line = (options: object): string =>
    guestArguments(lab, { name: "x", devices: ["/a", "/b"], ...options }).join(" ");
  expect(line({})).toContain("memory-backend-memfd,id=mem,size=256M,share=on -m 256M -smp 1");
  expect(line({})).toContain("-no-reboot");
  expect(line({ reboot: true })).not.toContain("-no-reboot");
  expect(line({ ram: "private" })).not.toContain("memory-backend");
  expect(line({ ram: "hugetlb" })).toContain("share=on,hugetlb=on,hugetlbsize=2M");
  expect(line({})).toContain('"addr":"06.0","socket":{"type":"unix","path":"/b"}');
});

describe("the lock of the cache", () => {
  test("jobs run one after another", async () => {
    const path = join(folder, "lock");
    let inside = 0;
    const job = async (): Promise<void> => {
      expect(++inside).toBe(1);
      await sleep(5);
      inside--;
    };
    await Promise.all([1, 2, 3].map(() => withFolderLock(path, 10_000, job)));
    expect(existsSync(path)).toBe(false);
  });
  test("a dead holder's lock is taken over, a living one's is waited for and then named", async () => {
    const path = join(folder, "held");
    mkdirSync(path);
    const gone = spawn("true");
    await new Promise((resolve) => gone.once("exit", resolve));
    writeFileSync(join(path, "pid"), String(gone.pid));
    expect(await withFolderLock(path, 1000, async () => "mine")).toBe("mine");
    mkdirSync(path);
    writeFileSync(join(path, "pid"), String(process.ppid));
    await expect(withFolderLock(path, 10, async () => {})).rejects.toThrow(
      new RegExp(`held by process ${process.ppid}`),
    );
  });
});

test("a child of the lab ends when its parent is killed", async () => {
  const child = join(import.meta.dirname, "guest/dist/child.js");
  const code = `import(${JSON.stringify(child)}).then(({ Child }) => console.log(new Child("sleep", ["300"], {}).pid))`;
  const parent = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  const pid = Number(await new Promise((resolve) => parent.stdout.once("data", resolve)));
  const alive = (): boolean =>
    existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  expect(alive()).toBe(true);
  parent.kill("SIGKILL");
  for (let tries = 0; tries < 100 && alive(); tries++) await sleep(20);
  expect(alive()).toBe(false);
});
