// testpmd as a child process for the end-to-end tests: lines go to its standard input, and what it prints is waited for.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { getAffinity } from "@emudev/linux";

const cpus = getAffinity();

/** An argument for two lcores, the main one and one that polls, on the CPUs that are there. */
export const TWO_LCORES = ["--lcores", `0@${cpus[0]},1@${cpus.at(-1)}`];
/** The same with two that poll. */
export const THREE_LCORES = ["--lcores", `0@${cpus[0]},1@${cpus[0]},2@${cpus.at(-1)}`];

export const LOOP = new URL("./loop-driver.mjs", import.meta.url).pathname;
export const MAIN = new URL("../dist/main.js", import.meta.url).pathname;

export class Program {
  /** All that it printed on standard output so far. */
  output = "";
  errors = "";
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly child: ChildProcessWithoutNullStreams;
  #seen = 0;
  #wake = (): void => {};
  #wakeLog = (): void => {};

  /** @param script a program for Node, or a command of the system when its name is no path */
  constructor(script: string, args: readonly string[]) {
    const [command, rest] = script.includes("/") ? [process.execPath, [script, ...args]] : [script, args];
    this.child = spawn(command, rest);
    this.child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.output += text;
      this.#wake();
    });
    this.child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text;
      this.#wakeLog();
    });
    this.child.stdin.on("error", () => {});
    this.exit = new Promise((resolve) => {
      this.child.on("close", (code, signal) => {
        resolve({ code, signal });
        this.#wake();
        this.#wakeLog();
      });
    });
  }

  /** Types a line and returns what is printed from there up to the pattern. */
  async ask(line: string, until: RegExp): Promise<string> {
    this.#seen = this.output.length;
    this.child.stdin.write(`${line}\n`);
    return this.expect(until);
  }

  /** Waits for a pattern in what was printed since the last match, and returns the text up to its end. */
  async expect(pattern: RegExp): Promise<string> {
    for (;;) {
      const fresh = this.output.slice(this.#seen);
      const match = pattern.exec(fresh);
      if (match !== null) {
        const end = match.index + match[0].length;
        this.#seen += end;
        return fresh.slice(0, end);
      }
      if (this.child.exitCode !== null && this.child.stdout.readableEnded)
        throw new Error(`it ended before it printed ${pattern}:\n${this.output.slice(-2000)}${this.errors}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Waits for a text in its log. */
  async says(text: string): Promise<void> {
    while (!this.errors.includes(text)) {
      if (this.child.exitCode !== null) throw new Error(`it ended before it said "${text}":\n${this.errors}`);
      await new Promise<void>((resolve) => {
        this.#wakeLog = resolve;
      });
    }
  }

  kill(): void {
    if (this.child.exitCode === null) this.child.kill("SIGKILL");
  }
}

/** Runs it to its end with a script on its standard input. */
export async function runScript(
  script: string,
  args: readonly string[],
  lines: readonly string[] | null,
): Promise<{ code: number | null; output: string; errors: string }> {
  const program = new Program(script, args);
  if (lines !== null) program.child.stdin.end(lines.map((line) => `${line}\n`).join(""));
  const { code } = await program.exit;
  return { code, output: program.output, errors: program.errors };
}
