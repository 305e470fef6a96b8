// A device of apps/devices as a child process, started as a user would: what it prints, commands typed to it, what it holds
// open. Set up by scene.ts; it must end in order when it is told to.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Child, type Exit } from "./child.ts";
import { LabError } from "./lab-error.ts";
import { repository } from "./paths.ts";

export class Program {
  readonly name: string;
  /** All that was printed so far, standard output and error together. */
  output = "";
  readonly #child: Child;
  #wake: (() => void) | null = null;

  /** `path` from the top of the repository. */
  constructor(path: string, args: readonly string[]) {
    this.name = path;
    const argv = [join(repository, path), ...args];
    this.#child = new Child(process.execPath, argv, { stdio: ["pipe", "pipe", "pipe"] });
    const take = (data: Buffer): void => {
      this.output += data;
      this.#wake?.();
    };
    this.#child.process.stdout!.on("data", take);
    this.#child.process.stderr!.on("data", take);
    this.#child.process.stdin!.on("error", () => {});
    this.#child.exited.then(() => this.#wake?.());
  }

  /** Types a line to it. */
  send(line: string): void {
    this.#child.process.stdin!.write(`${line}\n`);
  }

  /** Waits until all that was printed matches. */
  async said(pattern: RegExp, timeoutMs = 10_000): Promise<RegExpExecArray> {
    const give = Date.now() + timeoutMs;
    while (true) {
      const match = pattern.exec(this.output);
      if (match !== null) return match;
      const left = give - Date.now();
      if (this.#child.exit !== null || left <= 0)
        throw new LabError("TIMEOUT", `${this.name} did not print ${pattern}, but: ${this.output.slice(-1000)}`);
      await Promise.race([new Promise<void>((resolve) => (this.#wake = resolve)), sleep(Math.min(left, 1000))]);
    }
  }

  fds(): string[] {
    return this.#child.fds();
  }

  /** Ends it by SIGTERM, or by SIGKILL when that takes longer than 5 s; again is the same. */
  async end(): Promise<Exit> {
    const exit = await this.#child.end("SIGTERM", 5000);
    await sleep(0); // the last that it printed
    return exit;
  }
}
