// Our own testpmd as a child process: it is started as a user would, driven through its standard input, and read by what it
// prints. File descriptors and mappings are counted from outside, in /proc. Used by every guest test and by console.ts.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Child, type Exit } from "./child.ts";
import { LabError } from "./lab-error.ts";
import { allowedCpus } from "./machine.ts";
import { repository } from "./paths.ts";

export interface TestpmdOptions {
  /** EAL arguments, without `-l`, which defaults to one polling lcore, on another CPU than the main one where there is one. */
  eal: readonly string[];
  /** testpmd's own arguments, after `--`. */
  app: readonly string[];
  lcores?: readonly string[];
  /** Command line in front, as NetNs.prefix. */
  prefix?: readonly string[];
}

export const testpmdProgram = join(repository, "apps/testpmd/dist/main.js");

export class Testpmd {
  /** All that was printed so far, standard output and error together. */
  output = "";
  readonly #child: Child;
  #seen = 0;
  #wake: (() => void) | null = null;

  constructor(options: TestpmdOptions) {
    const cpus = allowedCpus();
    const lcores = options.lcores ?? ["--lcores", `0@${cpus[0]},1@${cpus.at(-1)}`];
    // no runtime directory: another testpmd of this user must not be in the way
    const args = [testpmdProgram, "--in-memory", ...lcores, ...options.eal, "--", "-i", ...options.app];
    const [command, ...rest] = [...(options.prefix ?? []), process.execPath, ...args];
    this.#child = new Child(command!, rest, { stdio: ["pipe", "pipe", "pipe"] });
    const take = (data: Buffer): void => {
      this.output += data;
      this.#wake?.();
    };
    this.#child.process.stdout!.on("data", take);
    this.#child.process.stderr!.on("data", take);
    this.#child.process.stdin!.on("error", () => {});
    this.#child.exited.then(() => this.#wake?.());
  }

  /** Starts testpmd and its forwarding, and waits until it forwards. */
  static async start(options: TestpmdOptions): Promise<Testpmd> {
    const testpmd = new Testpmd(options);
    try {
      testpmd.send("start");
      await testpmd.expect(/packet forwarding - ports=/, 30_000);
    } catch (error) {
      testpmd.#child.kill("SIGKILL");
      throw error;
    }
    return testpmd;
  }

  get pid(): number {
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#child.exit === null;
  }

  /** Types a line at the console. */
  send(line: string): void {
    this.#child.process.stdin!.write(`${line}\n`);
  }

  /** Waits for a pattern in what was printed after the last match, and returns the match. */
  async expect(pattern: RegExp, timeoutMs = 10_000): Promise<RegExpExecArray> {
    const give = Date.now() + timeoutMs;
    while (true) {
      const match = pattern.exec(this.output.slice(this.#seen));
      if (match !== null) {
        this.#seen += match.index + match[0].length;
        return match;
      }
      if (!this.running) throw new LabError("GONE", `testpmd ended before it printed ${pattern}:\n${this.tail()}`);
      const left = give - Date.now();
      if (left <= 0)
        throw new LabError("TIMEOUT", `testpmd did not print ${pattern} in ${timeoutMs} ms:\n${this.tail()}`);
      await Promise.race([new Promise<void>((resolve) => (this.#wake = resolve)), sleep(Math.min(left, 1000))]);
    }
  }

  /** Types a line and waits for a pattern in what is printed from then on. */
  async ask(line: string, pattern: RegExp, timeoutMs = 10_000): Promise<RegExpExecArray> {
    this.#seen = this.output.length;
    this.send(line);
    return this.expect(pattern, timeoutMs);
  }

  /** Statistics of a port, by the labels of `show port stats` (RX-packets, TX-bytes ...). */
  async portStats(port: number): Promise<Record<string, number>> {
    const head = `NIC statistics for port ${port} `;
    const [text] = await this.ask(`show port stats ${port}`, new RegExp(`${head}[sS]*?Tx-pps:[^\\n]*\\n`));
    return Object.fromEntries([...text.matchAll(/([RT]X-\w+):\s+(\d+)/g)].map((match) => [match[1], Number(match[2])]));
  }

  /** Extended statistics of a port by name. */
  async portXstats(port: number): Promise<Record<string, number>> {
    const [text] = await this.ask(
      `show port xstats ${port}`,
      new RegExp(`NIC extended statistics for port ${port} [\\s\\S]*?testpmd> `),
    );
    return Object.fromEntries([...text.matchAll(/^(\w+): (\d+)$/gm)].map((match) => [match[1], Number(match[2])]));
  }

  fds(): string[] {
    return this.#child.fds();
  }

  maps(): string[] {
    return this.#child.maps();
  }

  /** Ends it by its own `quit`, or by SIGKILL when that takes longer than 10 s. */
  async quit(): Promise<Exit> {
    if (this.running) this.send("quit");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    const exit = await this.#child.exited;
    clearTimeout(timer);
    return exit;
  }

  /** The end of the output, for error messages. */
  tail(): string {
    return this.output.slice(-4000);
  }
}
