// The runtime directory of a process, /var/run/dpdk/<prefix>/ for root and $XDG_RUNTIME_DIR/dpdk/<prefix>/ for others (DPDK's
// convention), with a lock so that two processes of one prefix clash with a clear error instead of sharing sockets. The lock
// is a file that names its owner by pid and start time; one whose owner is gone is replaced. Called by init.ts.
import { linkSync, mkdirSync, readFileSync, renameSync, rmdirSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EalError, reason } from "../errors.ts";

export interface RuntimeDir {
  path: string;
  /** Removes the lock, and the directory if nothing else is left in it. Never throws. */
  release(): void;
}

/** Where the runtime directory of a prefix lies. */
export function runtimePath(prefix: string, env: NodeJS.ProcessEnv = process.env): string {
  const root = process.getuid?.() === 0 ? "/var/run" : env.XDG_RUNTIME_DIR || "/tmp";
  return join(root, "dpdk", prefix);
}

/**
 * Makes and locks a runtime directory.
 * @throws EalError RUNTIME when another live process has it, or when it cannot be written
 */
export function acquireRuntimeDir(path: string): RuntimeDir {
  const lock = join(path, "lock");
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    takeLock(lock);
  } catch (error) {
    if (error instanceof EalError) throw error;
    throw new EalError("RUNTIME", `cannot use the runtime directory ${path}: ${reason(error)}; try --in-memory`, {
      cause: error,
    });
  }
  let held = true;
  return {
    path,
    release() {
      if (!held) return;
      held = false;
      for (const remove of [() => unlinkSync(lock), () => rmdirSync(path)]) {
        try {
          remove();
        } catch {
          // Somebody removed it before us, or left files of theirs in it: neither is ours to repair.
        }
      }
    },
  };
}

function takeLock(lock: string): void {
  const mine = `${process.pid} ${startTime(process.pid)}\n`;
  const own = `${lock}.${process.pid}`;
  writeFileSync(own, mine, { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 8; attempt++) {
      // A hard link appears with its content or not at all, so no reader ever sees a half-written lock.
      if (link(own, lock)) return;
      const owner = readOwner(lock);
      if (owner === null) continue;
      if (owner.live) {
        const prefix = lock.split("/").at(-2);
        const advice = `stop it, or give this one another --file-prefix than '${prefix}'`;
        throw new EalError("RUNTIME", `the runtime directory of ${lock} is in use by process ${owner.pid}; ${advice}`);
      }
      dropStale(lock, `${lock}.stale.${process.pid}`, owner.text);
    }
    throw new EalError("RUNTIME", `the lock ${lock} changes hands too fast; try again`);
  } finally {
    unlinkSync(own);
  }
}

function link(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function readOwner(lock: string): { pid: number; live: boolean; text: string } | null {
  try {
    const text = readFileSync(lock, "utf8");
    const [pid = 0, start = ""] = text.trim().split(" ");
    return { pid: Number(pid), live: start !== "" && startTime(Number(pid)) === start, text };
  } catch {
    return null;
  }
}

/** Moves a dead owner's lock away; what turns out to be a newcomer's is put back. */
function dropStale(lock: string, aside: string, text: string): void {
  try {
    renameSync(lock, aside);
    if (readFileSync(aside, "utf8") !== text) link(aside, lock);
    unlinkSync(aside);
  } catch {
    // Another process was faster; the next attempt sees what it left.
  }
}

/** Clock ticks from boot to the process's start (field 22 of /proc/pid/stat), "" for one that is not there or a zombie. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? "" : (fields[19] ?? "");
  } catch {
    return "";
  }
}
