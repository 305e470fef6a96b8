// A testpmd under measurement, DPDK's or ours: both speak the same console, so one class drives both. Lines go to its standard
// input; statistics are read off `show port stats`. Used by all benches of whole programs.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";

const PROMPT = "testpmd> ";
/** Told at any time, behind the prompt too. */
const EVENT = /\nPort \d+: [a-z ]+ event\n/g;
const PATIENCE_MS = 60_000;

/** Counters of a port, and when they were read. */
export interface Reading {
  rx: number;
  tx: number;
  /** Milliseconds. */
  at: number;
}

export class Testpmd {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #command: string;
  /** What matched `aside`, in the order it came; it is no part of any answer. */
  readonly taken: RegExpMatchArray[] = [];
  #text = "";
  #errors = "";
  #changed = (): void => {};
  readonly #closed: Promise<void>;
  #over = false;

  /** @param aside lines that others print on its standard output, a global pattern */
  constructor(command: string, args: readonly string[], aside?: RegExp) {
    this.#command = [command, ...args].join(" ");
    this.#child = spawn(command, args);
    this.#child.stdin.on("error", () => {});
    this.#child.stdout.on("data", (chunk) => {
      this.#text = (this.#text + chunk).replace(EVENT, "");
      if (aside !== undefined)
        this.#text = this.#text.replace(aside, (...match) => {
          this.taken.push(match.slice(0, -2) as RegExpMatchArray);
          return "";
        });
      this.#changed();
    });
    this.#child.stderr.on("data", (chunk) => {
      this.#errors += chunk;
    });
    this.#closed = new Promise((resolve) => {
      const over = (): void => {
        this.#over = true;
        this.#changed();
        resolve();
      };
      this.#child.on("close", over);
      this.#child.on("error", over);
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Resolves when it is ready for commands. */
  async ready(): Promise<void> {
    await this.#until((text) => text.endsWith(PROMPT));
  }

  /** Runs a command and returns what it printed. */
  async ask(line: string): Promise<string> {
    this.#text = "";
    this.#child.stdin.write(`${line}\n`);
    // Both echo the line after their prompt when the input is no terminal, or not at all.
    return this.#until((text) => text.endsWith(PROMPT) && text.replace(line, "").trim() !== PROMPT.trim());
  }

  async stats(port = 0): Promise<Reading> {
    const text = await this.ask(`show port stats ${port}`);
    const at = performance.now();
    const number = (label: string): number =>
      Number(new RegExp(`${label}-packets: +(\\d+)`).exec(text)?.[1] ?? Number.NaN);
    return { rx: number("RX"), tx: number("TX"), at };
  }

  async linkUp(port = 0): Promise<boolean> {
    return /Link status: up/i.test(await this.ask(`show port info ${port}`));
  }

  /** Ends it; by force when it does not go. */
  async quit(): Promise<void> {
    this.#child.stdin.end("stop\nquit\n");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    await this.#closed;
    clearTimeout(timer);
  }

  async #until(done: (text: string) => boolean): Promise<string> {
    const late = AbortSignal.timeout(PATIENCE_MS);
    while (!done(this.#text)) {
      if (this.#over || late.aborted) {
        const what = this.#over ? "has ended" : "does not answer";
        throw new Error(`${this.#command} ${what}: ${(this.#errors + this.#text).slice(-600)}`);
      }
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
        setTimeout(resolve, 500);
      });
    }
    return this.#text;
  }
}
