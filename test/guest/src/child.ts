// A child process that cannot outlive its test: it is killed when this process exits, and by the kernel (PR_SET_PDEATHSIG,
// through util-linux's setpriv where it is installed) when this process is killed. qemu.ts, testpmd.ts and netns.ts start
// theirs here; nothing is ever killed by name.
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const live = new Set<Child>();
process.on("exit", () => {
  for (const child of live) child.kill("SIGKILL");
});

let setpriv: boolean | undefined;

/** Command and arguments under which the child dies with its parent. */
function bound(command: string, args: readonly string[]): [string, string[]] {
  setpriv ??= spawnSync("setpriv", ["--version"], { stdio: "ignore" }).status === 0;
  return setpriv ? ["setpriv", ["--pdeathsig", "KILL", "--", command, ...args]] : [command, [...args]];
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export class Child {
  readonly process: ChildProcess;
  readonly exited: Promise<Exit>;
  exit: Exit | null = null;

  constructor(command: string, args: readonly string[], options: SpawnOptions) {
    const [program, rest] = bound(command, args);
    this.process = spawn(program, rest, options);
    live.add(this);
    this.exited = new Promise((resolve) => {
      const ended = (code: number | null, signal: NodeJS.Signals | null): void => {
        live.delete(this);
        this.exit ??= { code, signal };
        resolve(this.exit);
      };
      this.process.once("exit", ended);
      this.process.once("error", () => ended(127, null));
    });
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  kill(signal: NodeJS.Signals): void {
    if (this.exit === null) this.process.kill(signal);
  }

  /** Waits for the end, and makes it by SIGKILL after `graceMs`. */
  async end(signal: NodeJS.Signals, graceMs: number): Promise<Exit> {
    this.kill(signal);
    const timer = setTimeout(() => this.kill("SIGKILL"), graceMs);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  /** Open file descriptors, each with what it refers to (a path, "socket:[n]", "anon_inode:[eventfd]" ...). */
  fds(): string[] {
    const folder = `/proc/${this.pid}/fd`;
    return readdirSync(folder).flatMap((name) => {
      try {
        return [readlinkSync(`${folder}/${name}`)];
      } catch {
        return []; // closed meanwhile
      }
    });
  }

  /** Lines of /proc/pid/maps. */
  maps(): string[] {
    return readFileSync(`/proc/${this.pid}/maps`, "utf8").trimEnd().split("\n");
  }

  /** Resident memory in MiB; 0 when the process is gone. */
  residentMiB(): number {
    try {
      const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
      return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
    } catch {
      return 0;
    }
  }
}
