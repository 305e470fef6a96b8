// Debian packages as files: unpacking parts of them, and folders of the cache that are complete once they are in place, with a
// stamp that tells what they hold. Used by fetch.ts and drivers.ts.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { LabError } from "./lab-error.ts";

// biome-ignore lint/suspicious/noExplicitAny: the writer of a stamp is also its reader
export const readStamp = (folder: string): any => JSON.parse(readFileSync(join(folder, "stamp.json"), "utf8"));

/** Puts the stamp in and the folder in place, in that order, so that a folder in place is complete. */
export function finish(draft: string, folder: string, stamp: object): void {
  writeFileSync(join(draft, "stamp.json"), JSON.stringify(stamp));
  rmSync(folder, { recursive: true, force: true });
  renameSync(draft, folder);
}

/** Paths of the files below a folder, relative to it, that match. */
export function below(folder: string, pattern: RegExp): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => pattern.test(name));
}

/** Unpacks the files of a package that match; a package without any is no error. */
export function untar(deb: string, into: string, patterns: readonly string[]): void {
  const archive = spawnSync("dpkg-deb", ["--fsys-tarfile", deb], { maxBuffer: 1 << 29 });
  if (archive.error) throw new LabError("TOOL", `dpkg-deb does not run: ${archive.error.message}`);
  if (archive.status !== 0) throw new LabError("FETCH", `${basename(deb)} is no package: ${archive.stderr}`);
  const args = ["-x", "-C", into, "--no-same-owner", "--wildcards", ...patterns];
  const done = spawnSync("tar", args, { input: archive.stdout, encoding: "utf8" });
  if (done.error) throw new LabError("TOOL", `tar does not run: ${done.error.message}`);
}
