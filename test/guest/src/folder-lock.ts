// A lock that several processes can hold in turn: a folder, made by one of them, with the holder's process id in it. A lock
// whose holder is gone is taken over. fetch.ts holds it while it fills the cache, so that two runs at once fetch once.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { LabError } from "./lab-error.ts";

/** Runs `job` while holding the lock folder `path`; waits for another holder up to `waitMs`. */
export async function withFolderLock<T>(path: string, waitMs: number, job: () => Promise<T>): Promise<T> {
  const give = Date.now() + waitMs;
  while (!take(path)) {
    const holder = holderOf(path);
    if (holder !== null && !alive(holder)) breakLock(path);
    else if (Date.now() > give)
      throw new LabError("TIMEOUT", `${path} is held by process ${holder ?? "?"} for ${waitMs / 1000} s; remove it`);
    else await sleep(200);
  }
  try {
    return await job();
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

/** Makes the folder with the pid already in it, so that no one ever sees a lock without a holder. */
function take(path: string): boolean {
  const draft = `${path}.${process.pid}`;
  mkdirSync(draft, { recursive: true });
  writeFileSync(`${draft}/pid`, String(process.pid));
  try {
    renameSync(draft, path); // fails where a lock folder with content stands
    return true;
  } catch {
    rmSync(draft, { recursive: true, force: true });
    return false;
  }
}

function holderOf(path: string): number | null {
  try {
    return Number(readFileSync(`${path}/pid`, "utf8")) || null;
  } catch {
    return null;
  }
}

/** Moves the dead holder's lock aside first: of several processes that try, one succeeds. */
function breakLock(path: string): void {
  const grave = `${path}.dead.${process.pid}`;
  try {
    renameSync(path, grave);
    rmSync(grave, { recursive: true, force: true });
  } catch {
    // another process was quicker
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
