// A private apt: its own state, lists and cache in a folder, so that packages of another Debian release can be downloaded
// without installing anything or touching the machine's own apt. The mirror is the one that the machine's configuration
// names, in deb822 (*.sources) or one-line (*.list) form. fetch.ts is its caller.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LabError } from "./lab-error.ts";

export interface Mirror {
  uri: string;
  /** Path of the keyring that signs it, empty when apt's own trusted keys do. */
  signedBy: string;
}

const RELEASES = /^(bullseye|bookworm|trixie|forky|duke|sid|stable|oldstable|testing|unstable)$/;
const DEBIAN_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** First entry of a sources file that is a Debian archive (a release suite with `main`), or null. */
export function mirrorIn(fileName: string, text: string): Mirror | null {
  return fileName.endsWith(".sources") ? mirrorInDeb822(text) : mirrorInLines(text);
}

function mirrorInDeb822(text: string): Mirror | null {
  for (const stanza of text.split(/\n[ \t]*\n/)) {
    const fields = new Map<string, string>();
    for (const line of stanza.split("\n").filter((row) => !row.startsWith("#"))) {
      const match = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
      if (match) fields.set(match[1]!.toLowerCase(), match[2]!.trim());
    }
    const words = (name: string): string[] => (fields.get(name) ?? "").split(/\s+/).filter((word) => word !== "");
    if (fields.get("enabled")?.toLowerCase() === "no" || !words("types").includes("deb")) continue;
    if (!words("suites").some((suite) => RELEASES.test(suite)) || !words("components").includes("main")) continue;
    const signedBy = fields.get("signed-by") ?? "";
    if (words("uris")[0] !== undefined)
      return { uri: words("uris")[0]!, signedBy: signedBy.startsWith("/") ? signedBy : "" };
  }
  return null;
}

function mirrorInLines(text: string): Mirror | null {
  for (const line of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)$/.exec(line);
    if (!match || !RELEASES.test(match[3]!) || !match[4]!.split(/\s+/).includes("main")) continue;
    return { uri: match[2]!, signedBy: /signed-by=(\/\S+)/.exec(match[1] ?? "")?.[1] ?? "" };
  }
  return null;
}

/** The Debian mirror of this machine; LabError when its apt knows none. */
export function findMirror(etc = "/etc/apt"): Mirror {
  const parts = join(etc, "sources.list.d");
  const files = existsSync(parts) ? readdirSync(parts).sort() : [];
  for (const file of [join(etc, "sources.list"), ...files.map((name) => join(parts, name))]) {
    if (!existsSync(file) || !/\.(list|sources)$/.test(file)) continue;
    const mirror = mirrorIn(file, readFileSync(file, "utf8"));
    if (mirror !== null) return existsSync(DEBIAN_KEYS) ? { ...mirror, signedBy: DEBIAN_KEYS } : mirror;
  }
  throw new LabError(
    "MIRROR",
    `no Debian mirror in ${etc}: the guest lab fetches QEMU and a kernel from Debian by apt-get`,
  );
}

/** An apt of its own below `folder`, reading the given suites (each "suite component ..."). */
export class PrivateApt {
  readonly #conf: string;

  constructor(folder: string, mirror: Mirror, suites: readonly string[], preferred: string) {
    for (const sub of ["etc/apt.conf.d", "etc/preferences.d", "lists/partial", "cache/archives/partial"])
      mkdirSync(join(folder, sub), { recursive: true });
    writeFileSync(join(folder, "status"), "");
    const signed = mirror.signedBy === "" ? "" : `[signed-by=${mirror.signedBy}] `;
    writeFileSync(join(folder, "etc/sources.list"), suites.map((s) => `deb ${signed}${mirror.uri} ${s}\n`).join(""));
    this.#conf = join(folder, "apt.conf");
    const settings: Record<string, string> = {
      "Dir::State": folder,
      "Dir::State::status": join(folder, "status"),
      "Dir::State::lists": join(folder, "lists"),
      "Dir::Cache": join(folder, "cache"),
      "Dir::Etc": join(folder, "etc"),
      "Dir::Etc::sourcelist": "sources.list",
      "Dir::Etc::sourceparts": "-",
      "Dir::Etc::parts": "apt.conf.d",
      "Dir::Etc::preferencesparts": "preferences.d",
      "Acquire::Languages": "none",
      "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
      "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled": "false",
      "Acquire::Retries": "3",
      "APT::Architecture": "amd64",
      "APT::Install-Recommends": "false",
      "APT::Sandbox::User": "root",
      "APT::Default-Release": preferred,
    };
    writeFileSync(
      this.#conf,
      Object.entries(settings)
        .map(([key, value]) => `${key} "${value}";\n`)
        .join(""),
    );
  }

  update(): void {
    this.#run("apt-get", ["-qq", "update"]);
  }

  /** Downloads packages into `folder`. Throws LabError when one cannot be had. */
  download(folder: string, names: readonly string[]): void {
    mkdirSync(folder, { recursive: true });
    this.#run("apt-get", ["-qq", "download", ...names], folder);
  }

  /** Names of the packages that match an extended regular expression. */
  search(pattern: string): string[] {
    const lines = this.#run("apt-cache", ["search", "-n", pattern]).split("\n");
    return lines.map((line) => line.split(" ")[0]!).filter((name) => name !== "");
  }

  /** A package with all that it depends on, as apt would install them on an empty machine. */
  closure(name: string): string[] {
    const plan = this.#run("apt-get", ["-qq", "-s", "install", name]);
    return [...plan.matchAll(/^Inst (\S+)/gm)].map((match) => match[1]!);
  }

  #run(command: string, args: readonly string[], cwd?: string): string {
    const done = spawnSync(command, ["-c", this.#conf, ...args], {
      cwd,
      encoding: "utf8",
      timeout: 300_000,
      maxBuffer: 1 << 26,
      env: { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
    });
    if (done.error) throw new LabError("TOOL", `${command} does not run: ${done.error.message}`, { cause: done.error });
    if (done.status !== 0)
      throw new LabError(
        "FETCH",
        `${command} ${args.slice(0, 3).join(" ")} ... failed: ${done.stderr.trim().slice(-600)}`,
      );
    return done.stdout;
  }
}
